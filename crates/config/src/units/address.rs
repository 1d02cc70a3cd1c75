//! Addresses to listen on and to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::host::is_name;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// What a listener binds: `:8080` (all addresses), `127.0.0.1:8080`, `[::1]:8080`, with or without
/// `http://` before it. With the scheme the port may be left out and is 80. Port 0 lets the system choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    ip: Option<IpAddr>,
    port: u16,
}

impl ListenAddress {
    /// A port on all addresses of the machine.
    pub(super) const fn all(port: u16) -> Self {
        Self { ip: None, port }
    }

    /// The address to bind; `None` for all addresses of the machine, IPv4 and IPv6.
    pub fn ip(self) -> Option<IpAddr> {
        self.ip
    }

    /// The port; 0 lets the system choose.
    pub fn port(self) -> u16 {
        self.port
    }

    /// The socket address to bind: all addresses are `[::]`, or `0.0.0.0` where the machine has no IPv6.
    pub fn socket(self, has_ipv6: bool) -> SocketAddr {
        let all = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(self.ip.unwrap_or(all), self.port)
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(rest) = text.strip_prefix("https://") {
            return Err(ValueError::mend(
                format!("`{text}` cannot stand here"),
                format!("write `{rest}`, with a port; `tls` beside it encrypts"),
            ));
        }
        let (rest, default_port) = plain_http(text, "a listener")?;
        let rest = if default_port.is_some() { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        let wrong = |message: String, mend: &str| Err(ValueError::mend(message, mend));
        let (host, port) = match split_port(rest) {
            (host, Some(port)) => (host, port),
            (port, None) if port.parse::<u16>().is_ok() => {
                return wrong(format!("`{text}` is no address"), &format!("write `:{port}`"));
            }
            (host, None) if default_port.is_some() => (host, "80"),
            (host, None) => {
                return wrong(format!("the address `{text}` has no port"), &format!("write `{host}:8080`"));
            }
        };
        let port = parse_port(port, text)?;
        match host {
            "" | "*" => Ok(Self { ip: None, port }),
            _ => match parse_ip(host) {
                Some(ip) => Ok(Self { ip: Some(ip), port }),
                None if host == "localhost" => wrong(
                    "a listener binds an IP address, not a name".to_owned(),
                    &format!("write `127.0.0.1:{port}` or `[::1]:{port}`"),
                ),
                None => wrong(
                    format!("`{host}` is not an IP address"),
                    &format!("write `:{port}` for all addresses; host names belong to `hosts` of a route"),
                ),
            },
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => write!(f, ":{}", self.port),
            Some(ip) => write!(f, "{}", SocketAddr::new(ip, self.port)),
        }
    }
}

impl fmt::Debug for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    ListenAddress,
    "an address to listen on",
    Shape::pattern("listen address", r"^(http://)?(\*|[0-9.]+|\[[0-9A-Fa-f:.]+\])?(:[0-9]{1,5})?/?$")
);

/// Where an endpoint is: `host:port`, `http://host:port` or `https://host:port`, the host a name or an IP
/// address (IPv6 in brackets). With a scheme the port may be left out and is 80 or 443. `https://` means TLS.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointAddress {
    host: Box<str>,
    port: u16,
    https: bool,
}

impl EndpointAddress {
    /// The host: a name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it was written with `https://`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host and port without a scheme, as in a `Host` field.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The socket address, if the host is an IP address and needs no look-up.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.host.parse().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl FromStr for EndpointAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let https = text.starts_with("https://");
        let (rest, default_port) = match text.strip_prefix("https://") {
            Some(rest) => (rest, Some(443)),
            None => plain_http(text, "an endpoint")?,
        };
        let rest = if default_port.is_some() { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        if rest.contains(['/', '?', '#', '@']) {
            let message = format!("`{text}` has more than a host and a port");
            return Err(ValueError::mend(message, "remove the rest; `rewrite` of a route changes paths"));
        }
        let (host, port) = match split_port(rest) {
            (host, Some(port)) => (host, parse_port(port, text)?),
            (host, None) => match default_port {
                Some(port) => (host, port),
                None if rest.parse::<Ipv6Addr>().is_ok() => {
                    return Err(ValueError::mend(
                        format!("endpoint `{text}` is an IPv6 address without brackets and port"),
                        format!("write `[{rest}]:8080`"),
                    ));
                }
                None => {
                    let message = format!("endpoint `{text}` has no port");
                    return Err(ValueError::mend(message, format!("write {host}:8080")));
                }
            },
        };
        if port == 0 {
            return Err(ValueError::new(format!("endpoint `{text}` cannot have port 0")));
        }
        let host = match parse_ip(host) {
            Some(ip) => ip.to_string(),
            None if is_name(host) => host.to_ascii_lowercase(),
            None => {
                let message = format!("`{host}` is neither a host name nor an IP address");
                return Err(ValueError::mend(message, "write `host:port`, IPv6 as `[::1]:8080`"));
            }
        };
        Ok(Self { host: host.into(), port, https })
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.https {
            f.write_str("https://")?;
        }
        f.write_str(&self.authority())
    }
}

impl fmt::Debug for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    EndpointAddress,
    "the address of an endpoint",
    Shape::pattern(
        "endpoint address",
        r"^(https?://[^/?#@\s]+/?|([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})$"
    )
);

/// Takes `http://` off and gives its port; refuses other schemes.
pub(super) fn plain_http<'a>(text: &'a str, who: &str) -> Result<(&'a str, Option<u16>), ValueError> {
    if let Some(rest) = text.strip_prefix("http://") {
        return Ok((rest, Some(80)));
    }
    match text.split_once("://") {
        Some((scheme, rest)) => Err(ValueError::mend(
            format!("`{scheme}://` is not available for {who}"),
            format!("write `http://{rest}`"),
        )),
        None => Ok((text, None)),
    }
}

/// Splits the port off. A colon inside brackets is the address's own; so are the colons of a bare
/// IPv6 address.
pub(super) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((_, port)) if port.contains(']') => (text, None),
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

pub(super) fn parse_port(port: &str, whole: &str) -> Result<u16, ValueError> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(ValueError::new(format!("`{port}` in `{whole}` is not a port from 0 to 65535"))),
    }
}

/// An IPv4 address, or an IPv6 address in brackets.
fn parse_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointAddress, ListenAddress};

    #[test]
    fn listen_addresses_are_read_or_refused_with_the_mend() {
        for (text, shown) in [
            (":8080", ":8080"),
            ("*:8080", ":8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("http://127.0.0.1:81/", "127.0.0.1:81"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://:8080", ":8080"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().map(|a| a.to_string()), Ok(shown.into()), "{text}");
        }
        for (text, part) in [
            ("8080", "write `:8080`"),
            ("127.0.0.1", "write `127.0.0.1:8080`"),
            ("localhost:80", "write `127.0.0.1:80`"),
            ("shop.example.com:80", "`hosts` of a route"),
            ("https://shop.example.com", "`tls` beside it"),
            (":99999", "not a port"),
            (":+80", "not a port"),
            ("::1", "no port"),
            ("[::1:80", "not an IP address"),
            ("", "no port"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn endpoint_addresses_are_read_or_refused_with_the_mend() {
        for (text, shown) in [
            ("products-1:8080", "products-1:8080"),
            ("Products_1.Internal:8080", "products_1.internal:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
            ("http://app:3000/", "app:3000"),
            ("http://app", "app:80"),
            ("https://app", "https://app:443"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
        ] {
            assert_eq!(text.parse::<EndpointAddress>().map(|a| a.to_string()), Ok(shown.into()), "{text}");
        }
        for (text, part) in [
            ("products-1", "endpoint `products-1` has no port, write products-1:8080"),
            ("::1", "write `[::1]:8080`"),
            ("http://app/api", "more than a host and a port"),
            ("user@app:80", "more than a host and a port"),
            ("ftp://app", "`ftp://` is not available"),
            ("app:0", "port 0"),
            ("app:x", "not a port"),
            (":80", "neither a host name"),
            ("a b:80", "neither a host name"),
            ("-x:80", "neither a host name"),
            ("999.1.1.1.:80", "neither a host name"),
        ] {
            let error = text.parse::<EndpointAddress>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
