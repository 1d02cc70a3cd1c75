//! What is probed: an endpoint, perhaps at a port of its own for probes.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Endpoint;

/// Where the probes of one endpoint go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Host and port, as the endpoint's are written.
    pub name: Arc<str>,
    /// Where to connect to.
    pub address: SocketAddr,
}

impl ProbeTarget {
    /// The endpoint, at another port than its own if there is one.
    pub fn new(endpoint: &Endpoint, port: Option<u16>) -> Self {
        let Some(port) = port else {
            return Self { name: Arc::clone(endpoint.name()), address: endpoint.address() };
        };
        let mut address = endpoint.address();
        address.set_port(port);
        Self { name: format!("{}:{port}", host(endpoint.name())).into(), address }
    }

    /// The host alone, as certificates have it.
    pub fn host(&self) -> &str {
        host(&self.name)
    }
}

/// The host of a name that is `host:port` or a host alone.
fn host(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.contains(':') => host,
        Some((host, _)) if host.ends_with(']') => host,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{ProbeTarget, host};
    use crate::endpoint::Endpoint;

    #[test]
    fn hosts_of_names() {
        let hosts = ["a.example:443", "[::1]:443", "10.0.0.1:1", "a", "[::1]", "::1"].map(host);
        assert_eq!(hosts, ["a.example", "[::1]", "10.0.0.1", "a", "[::1]", "::1"]);
    }

    #[test]
    fn a_port_of_its_own_shows_in_name_and_address() {
        let endpoint = Endpoint::new("[::1]:80", "[::1]:80".parse().unwrap(), 1);
        let own = ProbeTarget::new(&endpoint, Some(9000));
        assert_eq!((&*own.name, own.address.to_string()), ("[::1]:9000", "[::1]:9000".to_owned()));
        let usual = ProbeTarget::new(&endpoint, None);
        assert_eq!((&*usual.name, usual.address.port()), ("[::1]:80", 80));
    }
}
