//! The name in a client's TLS hello, read without taking part in the handshake.

use tollgate_tls::hello;

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A TLS hello, with the name it asks for, in lower case.
    Asks(Option<String>),
    /// Something else, or a hello that makes no sense.
    Other,
}

/// Reads the first bytes of a connection; `None` while they are too few.
pub fn read(bytes: &[u8]) -> Option<Hello> {
    match hello::peek(bytes) {
        hello::Hello::Partial => None,
        hello::Hello::NotTls | hello::Hello::Malformed => Some(Hello::Other),
        hello::Hello::Complete { server_name, .. } => Some(Hello::Asks(server_name.map(String::from))),
    }
}
