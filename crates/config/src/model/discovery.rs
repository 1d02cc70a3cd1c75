//! Where endpoints come from besides addresses: names in DNS and files.

use super::Endpoint;
use crate::section::{choice, section, words};
use crate::setting::{Many, Whole};
use crate::source::{Located, Origin};
use crate::units::{Duration, EndpointAddress, FilePath, NameServer, ServiceName};

choice! {
    /// An address, or where addresses come from.
    pub enum EndpointPlace {
        /// `host:port`, `http://host:port` or `https://host:port`. All addresses of a host name are endpoints, and the name
        /// is followed; at the start it must be known.
        Address("address"): Located<EndpointAddress>;
        /// A name in DNS and a port, `api.internal:8080`: all its addresses (A, AAAA) are endpoints. At the start it need not
        /// be known.
        Dns("dns"): Located<EndpointAddress>;
        /// A service in DNS (SRV records), `_http._tcp.api.internal`: its records say ports, weights and priorities.
        Srv("srv"): Located<ServiceName>;
        /// A file with a list of addresses, looked at twice a second: items as under `endpoints`, or a line each in a file
        /// whose name ends in `.txt`.
        File("file"): Located<FilePath>;
    }
}

section! {
    /// How a name is followed.
    pub struct Follow {
        /// Which addresses of a name are endpoints.
        family: Option<Located<AddressFamily>> = optional;
        /// A name is asked for again when its time to live is over, but not sooner than this; 1s if left out: some
        /// name servers give out nothing but 0.
        min_ttl: Option<Located<Duration<100>>> = optional;
        /// A name is asked for again at least this often, whatever its time to live; 60s if left out: a change should
        /// not go unseen for longer than somebody waits for it.
        max_ttl: Option<Located<Duration<100>>> = optional;
        /// What happens when a name is gone or has no addresses any more; `keep` if left out. A name server that cannot be
        /// reached, or fails, never changes anything.
        on_empty: Option<Located<OnEmpty>> = optional;
        /// How many endpoints of an answer or a file are used; 1,000 if left out.
        max: Option<Located<Whole<1, 10_000>>> = optional;
    }
}

words! {
    /// Which addresses of a name are endpoints.
    pub enum AddressFamily {
        /// All.
        Any = "any";
        /// IPv4.
        V4 = "v4" | "ipv4";
        /// IPv6.
        V6 = "v6" | "ipv6";
    }
}

words! {
    /// What happens when a name has nothing any more.
    pub enum OnEmpty {
        /// The endpoints that it had stay.
        Keep = "keep";
        /// After three answers in a row that say so, its endpoints are removed.
        Remove = "remove";
    }
}

section! {
    /// Whom to ask for the names of endpoints.
    pub struct Dns {
        /// Name servers, an address each; those of `/etc/resolv.conf` if left out, with its search domains and with
        /// `/etc/hosts`. With name servers of the document, names are asked for as they are.
        resolvers: Many<NameServer> = default(Many::none());
        /// How long a question may take, repeated once in that time.
        timeout: Duration<100> = default(Duration::seconds(2));
    }
}

impl Endpoint {
    /// The host and port that are written, unless it is a service or a file.
    pub fn address(&self) -> Option<&Located<EndpointAddress>> {
        match &self.place {
            EndpointPlace::Address(address) | EndpointPlace::Dns(address) => Some(address),
            EndpointPlace::Srv(_) | EndpointPlace::File(_) => None,
        }
    }

    /// What it is called among the others of its upstream: the address, or the source.
    pub fn name(&self) -> String {
        match &self.place {
            EndpointPlace::Address(address) => address.to_string(),
            EndpointPlace::Dns(address) => format!("dns {}", address.value),
            EndpointPlace::Srv(service) => format!("srv {}", service.value),
            EndpointPlace::File(file) => format!("file {}", file.value),
        }
    }

    /// Where that stands in the document.
    pub(crate) fn place_origin(&self) -> Origin {
        match &self.place {
            EndpointPlace::Address(address) | EndpointPlace::Dns(address) => address.origin,
            EndpointPlace::Srv(service) => service.origin,
            EndpointPlace::File(file) => file.origin,
        }
    }
}
