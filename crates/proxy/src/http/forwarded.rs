//! What the origin is told about the client: `X-Forwarded-*`, `Forwarded`, `X-Request-ID`, `Via`.

use std::io::Write;
use std::net::IpAddr;

use tollgate_http1::encode::{self, Removed};
use tollgate_message::{Field, Fields, Known, Version};
use tollgate_runtime::random::uuid_v7;

use super::secured::Secured;
use crate::snapshot::Snapshot;
use crate::trust::TrustedProxies;
use crate::worker::Worker;
use tollgate_http1::edits::Edits;

/// A request id from a trusted proxy may have this many bytes; a longer one is replaced.
const REQUEST_ID_MAX: usize = 128;

/// What a request's fields say about the client, as far as its peer is believed.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    /// The connection's other end.
    pub peer: IpAddr,
    /// The peer is a trusted proxy: its fields are kept and added to.
    pub trusted: bool,
    /// The request id, taken or made.
    pub request_id: RequestId<'a>,
    /// The connection is encrypted.
    pub tls: bool,
    /// What is known of it then.
    pub secured: Option<&'a Secured>,
    /// The version that the request came by; `None` where it is HTTP/1.
    pub version: Option<Version>,
}

/// A request id.
#[derive(Clone, Copy, Debug)]
pub enum RequestId<'a> {
    /// From a trusted proxy.
    Taken(&'a [u8]),
    /// Made here.
    Made([u8; 36]),
}

impl RequestId<'_> {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Taken(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

impl<'a> Origins<'a> {
    /// Reads a request's fields, and makes a request id where none is to be taken, unless one was `made` before.
    pub fn of(
        worker: &Worker,
        trusted: &TrustedProxies,
        peer: IpAddr,
        secured: Option<&'a Secured>,
        version: Option<Version>,
        fields: &Fields<'a>,
        made: Option<[u8; 36]>,
    ) -> Self {
        let trusted = trusted.contains(peer);
        let taken = fields.get(Known::XRequestId).filter(|id| trusted && is_sound_id(id));
        let make = || RequestId::Made(made.unwrap_or_else(|| make_id(worker)));
        let request_id = taken.map_or_else(make, RequestId::Taken);
        Self { peer, trusted, request_id, tls: secured.is_some(), secured, version }
    }

    /// The scheme that the client's connection implies.
    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The client's address: the peer's, or what a trusted peer says.
    pub fn client(&self, trusted: &TrustedProxies, fields: &Fields<'_>) -> IpAddr {
        // The last field line holds the addresses added last.
        let said = if self.trusted { fields.all(Known::XForwardedFor).last() } else { None };
        said.and_then(|value| trusted.client_address(value)).unwrap_or(self.peer)
    }

    fn client_cert(&self) -> Option<&'a str> {
        self.secured?.client_cert.as_deref()
    }

    /// Marks the incoming fields that do not go on.
    pub fn mark(&self, index: usize, field: &Field, removed: &mut Removed) {
        let drop = match field.known {
            Known::XRequestId => true,
            Known::XForwardedFor
            | Known::XForwardedProto
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XRealIp
            | Known::Forwarded => !self.trusted,
            // RFC 9440 section 4: what a client claims of its certificate goes no further.
            Known::ClientCert | Known::ClientCertChain => !self.trusted || self.client_cert().is_some(),
            _ => false,
        };
        if drop {
            removed.insert(index);
        }
    }

    /// Appends the fields for the origin. A field line beside one that is there continues its list
    /// (RFC 9110 section 5.3), so trusted ones stay untouched.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        snapshot: &Snapshot,
        authority: &[u8],
        fields: &Fields<'_>,
        edits: &Edits,
    ) {
        // A route's changes have the last word on these fields too.
        let adds = |known: Known| !edits.replaces(known.name());
        let keeps = |known| self.trusted && fields.has(known);
        if snapshot.http.forwarded.x_forwarded {
            if adds(Known::XForwardedFor) {
                out.extend_from_slice(b"X-Forwarded-For: ");
                write_address(out, self.peer);
                out.extend_from_slice(b"\r\n");
            }
            if !keeps(Known::XForwardedProto) && adds(Known::XForwardedProto) {
                encode::line(out, b"X-Forwarded-Proto", self.scheme().as_bytes());
            }
            if !keeps(Known::XForwardedHost) && !authority.is_empty() && adds(Known::XForwardedHost) {
                encode::line(out, b"X-Forwarded-Host", authority);
            }
        }
        if snapshot.http.forwarded.rfc7239 && adds(Known::Forwarded) {
            write_forwarded(out, self.peer, authority, self.scheme());
        }
        if let Some(certificate) = self.client_cert().filter(|_| adds(Known::ClientCert)) {
            encode::line(out, b"Client-Cert", certificate.as_bytes());
        }
        if adds(Known::Via) {
            // The protocol that the request came by (RFC 9110 section 7.6.3).
            out.extend_from_slice(match self.version {
                Some(Version::Http2) => b"Via: 2 tollgate\r\n",
                Some(Version::Http3) => b"Via: 3 tollgate\r\n",
                _ => b"Via: 1.1 tollgate\r\n",
            });
        }
        if adds(Known::XRequestId) {
            encode::line(out, b"X-Request-ID", self.request_id.as_bytes());
        }
    }
}

/// An element of `Forwarded` (RFC 7239 section 4). The host is quoted, since its port's colon is not a
/// token character; it was checked to hold nothing that would end the quotes.
fn write_forwarded(out: &mut Vec<u8>, peer: IpAddr, authority: &[u8], scheme: &str) {
    out.extend_from_slice(b"Forwarded: for=");
    if peer.is_ipv6() {
        out.extend_from_slice(b"\"[");
        write_address(out, peer);
        out.extend_from_slice(b"]\"");
    } else {
        write_address(out, peer);
    }
    if !authority.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(authority);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                encode::decimal(out, u64::from(*octet));
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// A request id of our own.
pub fn make_id(worker: &Worker) -> [u8; 36] {
    uuid_v7(worker.clock.wall().as_millis() as u64, &mut worker.random.borrow_mut())
}

/// An id that can stand in logs and headers as it is.
fn is_sound_id(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.iter().all(u8::is_ascii_graphic)
}
