//! PROXY headers on connections: what a listed peer says, and what upstreams are told.

use std::net::SocketAddr;

use tollgate_proxy_protocol::{Addresses, Details, Parsed, parse, write_v1, write_v2};

use super::tcp::Caller;
use crate::exchange::Exchange;
use crate::snapshot::ProxyHeader;

/// A header that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Both ends of the connection that it speaks of; `None` where the connection's own hold.
    pub addresses: Option<Addresses>,
    /// How many bytes it had.
    pub length: usize,
}

/// Reads a header that has to come. `None` while it is not complete; an error says why there is none.
pub fn read(bytes: &[u8]) -> Option<Result<Received, &'static str>> {
    match parse(bytes) {
        Parsed::Partial => None,
        Parsed::Other => Some(Err("the connection does not begin with a PROXY header")),
        Parsed::Malformed(problem) => Some(Err(problem)),
        Parsed::Complete { header, consumed } => {
            let canonical =
                |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
            let addresses = header.addresses.map(|addresses| Addresses {
                source: canonical(addresses.source),
                destination: canonical(addresses.destination),
            });
            Some(Ok(Received { addresses, length: consumed }))
        }
    }
}

/// Appends the header that tells an upstream of a client. Without both addresses it says that they are not known.
pub fn write(
    out: &mut Vec<u8>,
    version: ProxyHeader,
    client: SocketAddr,
    destination: Option<SocketAddr>,
    details: &Details<'_>,
) {
    let addresses = destination.map(|destination| Addresses { source: client, destination });
    match version {
        ProxyHeader::V1 => write_v1(out, addresses),
        ProxyHeader::V2 => write_v2(out, addresses, details),
    }
}

/// The header that the upstream wants, if it wants one.
pub(super) fn announcement(caller: &Caller, exchange: &Exchange, alpn: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(version) = exchange.transport().and_then(|transport| transport.proxy_header) else { return out };
    let destination = caller.destination.or_else(|| caller.socket.local_address());
    let [id, _, _, name] = exchange.notes.parts();
    let authority = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
    let details = Details { alpn, authority, unique_id: Some(id), tls: None };
    write(&mut out, version, caller.client, destination, &details);
    out
}
