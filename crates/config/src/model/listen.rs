//! Listeners.

use std::fmt;
use std::str::FromStr;

use super::{Hsts, HttpProtocol, ListenerTls, RedirectHttps};
use crate::section::{choice, section};
use crate::setting::{Many, NonEmpty, Toggle, ValueError, Whole, text_setting};
use crate::shape::Shape;
use crate::source::Located;
use crate::table::Table;
use crate::units::{Cidr, Duration, EndpointAddress, HostPattern, HttpAddress, ListenAddress, Name};

section! {
    /// A socket that takes traffic: HTTP, TCP or UDP. An address is enough where the defaults fit.
    pub struct Listener short "address" {
        /// What it takes, and where.
        place: Place = choice;
        /// What logs and metrics call it; the address if left out.
        name: Option<Located<Name>> = optional;
        /// Connections open at once; more are answered 503 and closed. No limit if left out.
        max_connections: Option<Located<Whole<1, 10_000_000>>> = optional;
        /// Connections open at once from one client address; more are answered 429 and closed. No limit if left out.
        max_connections_per_address: Option<Located<Whole<1, 10_000_000>>> = optional;
        /// Wakes Tollgate only when a new connection has sent something (TCP_DEFER_ACCEPT).
        defer_accept: bool = default(false);
        /// Proxies in front of this listener, instead of the document's `trusted_proxies`.
        trusted_proxies: Option<Many<Located<Cidr>>> = optional;
        /// Peers whose connections begin with a PROXY header, version 1 or 2. Theirs must, those of others
        /// must not.
        proxy_protocol: Many<Located<Cidr>> = default(Many::none());
        /// Its connections are encrypted.
        tls: Option<Located<Box<ListenerTls>>> = optional;
        /// The versions of HTTP that it speaks; `[h1, h2]` if left out, with `https://name` `[h1, h2, h3]`.
        protocols: Option<Located<NonEmpty<Located<HttpProtocol>>>> = optional;
        /// Sends plain requests to https with a 308 instead of routing them: to the port 443 with `true`, or to
        /// the port that is written.
        redirect_https: Option<Located<RedirectHttps>> = optional;
        /// Tells browsers to come back over https only (RFC 6797): `true`, a duration, or the long form.
        hsts: Option<Located<Toggle<Hsts>>> = optional;
        /// For TCP and UDP: an upstream, by its name, or an address.
        to: Option<Located<StreamDestination>> = optional;
        /// For TCP: destinations by the name that the client asks for in its TLS hello (`mqtt.example.com`,
        /// `*.example.com`). Nothing is decrypted. Connections for other names go where `to` says, or are closed.
        sni: Option<Located<Table<HostPattern, Located<StreamDestination>>>> = optional;
        /// For TCP: how long a connection may carry nothing in either direction; 1h if left out.
        idle_timeout: Option<Located<Duration<1>>> = optional;
        /// For UDP: what of one client address and port belongs together.
        flows: Option<Located<Flows>> = optional;
    }
}

choice! {
    /// What a listener takes, and where.
    pub enum Place {
        /// HTTP. `:8080` for all addresses of the machine, `127.0.0.1:8080`, `[::1]:8080`, also with `http://`;
        /// `https://shop.example.com` for the port 443 with a certificate from ACME.
        Http("address"): Located<HttpAddress>;
        /// TCP: connections are carried to an upstream.
        Tcp("tcp"): Located<ListenAddress>;
        /// UDP: flows are carried to an upstream.
        Udp("udp"): Located<ListenAddress>;
    }
}

/// As it stands in logs: `:8080`, `https://shop.example.com`, `tcp://:5432`, `udp://:53`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => address.value.fmt(f),
            Self::Tcp(address) => write!(f, "tcp://{}", address.value),
            Self::Udp(address) => write!(f, "udp://{}", address.value),
        }
    }
}

impl Place {
    /// What is bound, and where that was written.
    pub fn address(&self) -> Located<ListenAddress> {
        match self {
            Self::Http(address) => Located { value: address.value.address(), origin: address.origin },
            Self::Tcp(address) | Self::Udp(address) => *address,
        }
    }
}

/// Which versions of HTTP a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// HTTP/1.0 and HTTP/1.1.
    pub h1: bool,
    /// HTTP/2.
    pub h2: bool,
    /// HTTP/3.
    pub h3: bool,
}

impl Listener {
    /// The name after `https://`, for which it gets a certificate.
    pub fn https_name(&self) -> Option<&HostPattern> {
        match &self.place {
            Place::Http(address) => address.value.name(),
            Place::Tcp(_) | Place::Udp(_) => None,
        }
    }

    /// Whether TLS ends at it.
    pub fn ends_tls(&self) -> bool {
        self.tls.is_some() || self.https_name().is_some()
    }

    /// The versions of HTTP that it speaks; none for TCP and UDP.
    pub fn versions(&self) -> Versions {
        if !matches!(self.place, Place::Http(_)) {
            return Versions::default();
        }
        match &self.protocols {
            Some(protocols) => {
                let has = |wanted| protocols.iter().any(|protocol| protocol.value == wanted);
                Versions { h1: has(HttpProtocol::H1), h2: has(HttpProtocol::H2), h3: has(HttpProtocol::H3) }
            }
            // No PROXY header comes before the packets of HTTP/3.
            None => {
                let h3 = self.https_name().is_some() && self.proxy_protocol.is_empty();
                Versions { h1: true, h2: true, h3 }
            }
        }
    }

    /// The names that it gets certificates for by ACME, each once.
    pub fn acme_names(&self) -> Vec<&HostPattern> {
        let mut names: Vec<&HostPattern> = self.https_name().into_iter().collect();
        for name in self.tls.iter().flat_map(|tls| tls.acme.iter()) {
            if !names.contains(&&name.value) {
                names.push(&name.value);
            }
        }
        names
    }
}

/// Where the connections or flows of a listener go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StreamDestination {
    /// An upstream of the document.
    Upstream(Name),
    /// An upstream of this one endpoint, with all defaults.
    Inline(EndpointAddress),
}

impl FromStr for StreamDestination {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let mend = match scheme {
                "https" | "tls" => {
                    format!("for TLS, name an upstream with `tls: true` and the endpoint `{rest}`")
                }
                _ => format!("write `{rest}`"),
            };
            return Err(ValueError::mend(
                format!("`{text}` is a URL, but bytes are carried as they are"),
                mend,
            ));
        }
        if text.contains(':') { text.parse().map(Self::Inline) } else { text.parse().map(Self::Upstream) }
    }
}

impl fmt::Display for StreamDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(name) => name.fmt(f),
            Self::Inline(address) => address.fmt(f),
        }
    }
}

text_setting!(
    StreamDestination,
    "an upstream's name or an address",
    Shape::pattern("destination", r"^[A-Za-z0-9_\[][^\s/]*$")
);

section! {
    /// Flows of a UDP listener: what one client address and port sends goes to one endpoint, and what that
    /// answers goes back.
    pub struct Flows {
        /// How long a flow may carry nothing.
        idle_timeout: Duration<1> = default(Duration::seconds(30));
        /// Flows at once; datagrams that would begin more are dropped and counted.
        max: Whole<1, 10_000_000> = default(Whole::of::<65_536>());
        /// Flows at once of one client address.
        max_per_address: Whole<1, 10_000_000> = default(Whole::of::<1024>());
    }
}

impl Flows {
    /// All defaults.
    pub fn standard() -> Self {
        Self {
            idle_timeout: Duration::seconds(30),
            max: Whole::of::<65_536>(),
            max_per_address: Whole::of::<1024>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flows;
    use crate::diagnostic::Diagnostics;
    use crate::setting::{Decoder, Setting};
    use crate::source::{MemoryFiles, Sources};
    use crate::tree::Node;

    #[test]
    fn standard_flows_are_what_an_empty_section_gives() {
        let (diagnostics, sources) = (&mut Diagnostics::default(), &mut Sources::default());
        let mut decoder = Decoder { diagnostics, sources, files: &MemoryFiles::default() };
        assert_eq!(Flows::decode(&Node::EMPTY, &mut decoder), Some(Flows::standard()));
    }
}
