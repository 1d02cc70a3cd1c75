//! Addresses of HTTP listeners, which may say that they are for a name over TLS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::address::{ListenAddress, parse_port, split_port};
use super::host::HostPattern;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Where HTTP is listened for: an address (see [`ListenAddress`]), or `https://name` for the port 443 (or the one
/// that is written) of all addresses, with a certificate for the name from ACME.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpAddress {
    address: ListenAddress,
    name: Option<HostPattern>,
}

impl HttpAddress {
    /// What is bound.
    pub fn address(&self) -> ListenAddress {
        self.address
    }

    /// The name after `https://`.
    pub fn name(&self) -> Option<&HostPattern> {
        self.name.as_ref()
    }
}

impl FromStr for HttpAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(rest) = text.strip_prefix("https://") else {
            return text.parse().map(|address| Self { address, name: None });
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match split_port(rest) {
            (host, Some(port)) => (host, parse_port(port, text)?),
            (host, None) => (host, 443),
        };
        if matches!(host, "" | "*") || host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            let message = format!("`{text}` names no host to get a certificate for");
            let address = if matches!(host, "" | "*") { String::new() } else { host.to_owned() };
            let mend = format!("write `address: \"{address}:{port}\"` and `tls` beside it");
            return Err(ValueError::mend(message, mend));
        }
        Ok(Self { address: ListenAddress::all(port), name: Some(host.parse()?) })
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.address.port()) {
            (None, _) => self.address.fmt(f),
            (Some(name), 443) => write!(f, "https://{name}"),
            (Some(name), port) => write!(f, "https://{name}:{port}"),
        }
    }
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    HttpAddress,
    "an address to listen on",
    Shape::pattern(
        "listen address",
        r"^((http://)?(\*|[0-9.]+|\[[0-9A-Fa-f:.]+\])?(:[0-9]{1,5})?/?|https://[A-Za-z0-9._-]+(:[0-9]{1,5})?/?)$"
    )
);

#[cfg(test)]
mod tests {
    use super::HttpAddress;

    #[test]
    fn addresses_of_http_listeners_are_read_or_refused_with_the_mend() {
        for (text, shown, port, name) in [
            (":8080", ":8080", 8080, None),
            ("http://127.0.0.1", "127.0.0.1:80", 80, None),
            ("https://Shop.example.com", "https://shop.example.com", 443, Some("shop.example.com")),
            ("https://a.example:8443/", "https://a.example:8443", 8443, Some("a.example")),
        ] {
            let address: HttpAddress = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), shown);
            assert_eq!((address.address().port(), address.name().map(|n| n.as_str())), (port, name));
            assert_eq!(shown.parse(), Ok(address));
        }
        for (text, part) in [
            ("https://", "write `address: \":443\"`"),
            ("https://:8443", "write `address: \":8443\"`"),
            ("https://127.0.0.1", "write `address: \"127.0.0.1:443\"`"),
            ("https://[::1]:81", "write `address: \"[::1]:81\"`"),
            ("https://a b", "is not a host"),
            ("ftp://a", "`ftp://` is not available"),
            ("shop.example.com:80", "`hosts` of a route"),
        ] {
            let error = text.parse::<HttpAddress>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
