//! The PROXY protocol, versions 1 and 2: who the client of a relayed connection is, told in the connection's first
//! bytes. After "The PROXY protocol, versions 1 & 2" (haproxy.org, proxy-protocol.txt), whose sections are meant
//! where comments name one.
//!
//! Reading and writing only: the crate knows no sockets. Whose header is believed is the caller's affair, and the
//! first thing it has to decide: whoever may send a header may claim any address.

mod checksum;
mod details;
mod v1;
mod v2;

use std::net::{SocketAddr, SocketAddrV6};

pub use details::{Details, Tls};
pub use v1::write as write_v1;
pub use v2::write as write_v2;

/// The longest header of version 1, in bytes, its line end included (section 2.1).
pub const V1_MAX: usize = 107;
/// The longest header of version 2 that [`parse`] takes, in bytes. The format allows for 64 KiB, but addresses and
/// all known details together take less than 1 KiB.
pub const V2_MAX: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// They may become a header: more of them are needed.
    Partial,
    /// They are something else, and never will be a header.
    Other,
    /// They begin with a header.
    Complete {
        /// What it says.
        header: Header<'a>,
        /// How many bytes it has; what follows belongs to the relayed connection.
        consumed: usize,
    },
    /// They begin as a header does, and go on as none may. The text says what is wrong; nothing of the bytes is
    /// in it.
    Malformed(&'static str),
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The ends of the relayed connection. `None` where the connection's own are the right ones: it was opened by
    /// the proxy for itself (`LOCAL`), or the proxy does not know (`UNKNOWN`, `UNSPEC`), or the addresses are of
    /// another kind than those of TCP.
    pub addresses: Option<Addresses>,
    /// What else is known of the relayed connection (version 2 only).
    pub details: Details<'a>,
}

/// Both ends of a relayed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

impl Addresses {
    /// Both as addresses of one family, which a header needs: as IPv4 where both are, else as IPv6 with IPv4
    /// addresses mapped into it (RFC 4291 section 2.5.5.2).
    fn of_one_family(self) -> Pair {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        match (canonical(self.source), canonical(self.destination)) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => Pair::V4(source, destination),
            (source, destination) => Pair::V6(as_v6(source), as_v6(destination)),
        }
    }
}

enum Pair {
    V4(std::net::SocketAddrV4, std::net::SocketAddrV4),
    V6(SocketAddrV6, SocketAddrV6),
}

fn as_v6(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0),
        SocketAddr::V6(v6) => v6,
    }
}

/// Reads the header that a connection begins with. Reads the same from the same bytes however they arrived, so
/// callers gather bytes until the answer is no longer [`Parsed::Partial`]: at most [`V2_MAX`] of them.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    if begins_as(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if begins_as(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Parsed::Other
    }
}

/// Whether bytes begin with a signature, or are the beginning of one.
fn begins_as(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

#[cfg(test)]
mod tests;
