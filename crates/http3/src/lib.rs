//! HTTP/3 (RFC 9114) to clients.
//!
//! An [`Endpoint`] is one worker's share of a UDP port. It admits connections ([`Endpoint::accept`]), each of which
//! makes its handshake ([`Handshake::finish`]) and then yields its requests ([`Connection::accept`]), each of which
//! is a [`ServerStream`]: the same [`MessageStream`](tollgate_streams::MessageStream) that every protocol presents.
//!
//! QUIC is quinn's, with its GSO, GRO and congestion control. Of h3 this crate takes what belongs to a connection
//! (control streams, settings, GOAWAY) and QPACK; frames on request streams are read and written here
//! (`frames`), since there memory must be bounded and a body must not end but where its frames end.
//!
//! Workers share a port by connection ids that tell their worker ([`steering`]), so that a connection stays with
//! its worker when its client's address changes.

mod adapter;
mod connection;
mod ended;
mod endpoint;
mod frames;
mod guard;
mod head;
mod receive;
mod relay;
mod relay_frame;
mod send;
mod settings;
pub mod steering;
mod stream;

pub use connection::{Connection, Facts};
pub use ended::Ended;
pub use endpoint::{Counts, Endpoint, Handshake, Seat};
pub use relay::{Before, Relay};
pub use settings::{Secret, SecretKey, Settings};
pub use steering::Instance;
pub use stream::ServerStream;

/// The ALPN name of HTTP/3.
pub const ALPN: &[u8] = b"h3";

/// The value of an `Alt-Svc` field (RFC 7838) that tells clients to come to this UDP port of the same host.
/// They may remember it for a day.
pub fn alt_svc(port: u16) -> String {
    format!("h3=\":{port}\"; ma=86400")
}

#[cfg(test)]
mod tests {
    #[test]
    fn announces_its_port() {
        assert_eq!(super::alt_svc(8443), "h3=\":8443\"; ma=86400");
    }
}
