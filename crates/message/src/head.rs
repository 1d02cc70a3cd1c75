//! Request and response heads.

use crate::fields::Fields;
use crate::method::Method;

/// The HTTP version a message was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
    /// HTTP/3
    Http3,
}

impl Version {
    /// The version's number as OpenTelemetry's `network.protocol.version` writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        }
    }
}

/// How long a message's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No body follows the head.
    None,
    /// Exactly this many bytes, never 0.
    Known(u64),
    /// Chunks up to the last one (RFC 9112 section 7.1).
    Chunked,
    /// All bytes until the connection closes; responses only.
    UntilClose,
}

/// A request head, borrowed from the bytes it arrived as.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method,
    /// The method as it was spelled.
    pub method_bytes: &'a [u8],
    /// The request target as it was spelled (RFC 9112 section 3.2).
    pub target: &'a [u8],
    /// The version of the request line.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'a>,
}

/// A response head, borrowed from the bytes it arrived as.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase as it was spelled; often empty.
    pub reason_phrase: &'a [u8],
    /// The version of the status line.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'a>,
}
