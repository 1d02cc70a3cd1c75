//! Name servers, and services in DNS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::host::is_name;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// The port of name servers.
const USUAL_PORT: u16 = 53;

/// A name server: an IP address; port 53 if none is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameServer(SocketAddr);

impl NameServer {
    /// Where it is.
    pub fn socket(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for NameServer {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let socket = match (text.parse::<SocketAddr>(), bare.parse::<IpAddr>()) {
            (Ok(socket), _) => socket,
            (_, Ok(ip)) => SocketAddr::new(ip, USUAL_PORT),
            _ => {
                let message = format!("`{text}` is not the address of a name server");
                return Err(ValueError::mend(
                    message,
                    "write an IP address, such as `10.0.0.2` or `10.0.0.2:5353`",
                ));
            }
        };
        match socket.port() {
            0 => Err(ValueError::new(format!("name server `{text}` cannot have port 0"))),
            _ => Ok(Self(socket)),
        }
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    NameServer,
    "the address of a name server",
    Shape::pattern(
        "name server",
        r"^([0-9.]+(:[0-9]{1,5})?|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?)$"
    )
);

/// The name of a service in DNS, such as `_http._tcp.api.internal`, in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// The name, with a dot at its end if it was written with one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if is_name(name) {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        let message = format!("`{text}` is not the name of a service in DNS");
        Err(match text.rsplit_once(':') {
            Some((host, _)) if is_name(host) => ValueError::mend(
                message,
                format!("its records say the port: write `{host}`, or `dns: {text}` for addresses"),
            ),
            _ => ValueError::mend(message, "write one like `_http._tcp.api.internal`"),
        })
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    ServiceName,
    "the name of a service in DNS",
    Shape::pattern("service name", r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,253}$")
);

#[cfg(test)]
mod tests {
    use super::{NameServer, ServiceName};

    #[test]
    fn name_servers_have_a_usual_port() {
        for (text, shown) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("10.0.0.2:5353", "10.0.0.2:5353"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:54", "[::1]:54"),
        ] {
            assert_eq!(text.parse::<NameServer>().unwrap().to_string(), shown);
        }
        for text in ["", "ns.example", "10.0.0.2:0", "10.0.0.2:x", "[::1"] {
            assert!(text.parse::<NameServer>().is_err(), "{text}");
        }
    }

    #[test]
    fn services_are_names_without_ports() {
        for text in ["_http._tcp.api.internal", "_HTTP._tcp.Api.internal.", "api.service.consul"] {
            assert_eq!(text.parse::<ServiceName>().unwrap().as_str(), text.to_ascii_lowercase());
        }
        for text in ["", ".", "_http._tcp..x", "_http._tcp.api:80", "a b"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
    }
}
