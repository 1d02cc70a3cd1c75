//! Heads between the text of HTTP/1.1 and the fields of multiplexed protocols.
//!
//! HTTP/2 and HTTP/3 share their semantics (RFC 9113 section 8, RFC 9114 section 4), so they share these
//! conversions. What comes from a peer is checked here as a malformed message would have to be: a head that
//! is converted holds no field of a connection, no second host and no line end inside a value, so that it
//! cannot become two messages on an HTTP/1.1 connection.

mod request;
mod response;
mod trailers;

use std::fmt;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};

pub use request::{RequestShape, Tunnel, WebSocketKey, request_to_text, text_to_request};
pub use response::{response_to_text, text_to_response};
pub use trailers::{lines_to_trailers, trailers_to_lines};

/// How many fields a head may have that is converted from text; as many as the parser of HTTP/1.1 takes.
pub const MAX_FIELDS: usize = 128;

/// Why a head, or trailers, cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadHead {
    /// The method may not stand there, or the text's start line is not one.
    StartLine,
    /// The target is neither in origin form nor the asterisk of OPTIONS.
    Target,
    /// The request has a user name in its authority, or the authority is not one.
    Authority,
    /// `Host` and `:authority` differ, or `Host` stands there twice.
    HostDiffers,
    /// A request for an upstream has no host.
    HostMissing,
    /// A field belongs to the connection (RFC 9113 section 8.2.2).
    ConnectionField,
    /// A field's name or value holds what it may not (RFC 9113 section 8.2.1).
    Field,
    /// There are more fields than allowed.
    TooManyFields,
    /// The head is larger than allowed.
    TooLarge,
    /// `Content-Length` stands there twice, or tells a body where none follows.
    ContentLength,
    /// A CONNECT where it is not enabled.
    ConnectRefused,
    /// An extended CONNECT for another protocol than WebSocket.
    UnknownProtocol,
    /// A switch of protocols that was not asked for.
    UnexpectedUpgrade,
    /// The text ends before the head does.
    Incomplete,
}

impl BadHead {
    /// One sentence for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::StartLine => "the start line is malformed",
            Self::Target => "the request target is malformed",
            Self::Authority => "the authority is malformed",
            Self::HostDiffers => "the request names more than one host",
            Self::HostMissing => "the request names no host",
            Self::ConnectionField => "a field belongs to the connection",
            Self::Field => "a field is malformed",
            Self::TooManyFields => "the head has too many fields",
            Self::TooLarge => "the head is too large",
            Self::ContentLength => "the content length contradicts the message",
            Self::ConnectRefused => "CONNECT is not enabled",
            Self::UnknownProtocol => "the protocol of the extended CONNECT is not served",
            Self::UnexpectedUpgrade => "a switch of protocols was not asked for",
            Self::Incomplete => "the head is not complete",
        }
    }
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for BadHead {}

/// The names of `Keep-Alive` and `Proxy-Connection`, which the `http` crate has no constants for.
const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";

/// Whether a field belongs to one connection and so may not stand in a multiplexed protocol. `TE` is the
/// exception, which may say `trailers`.
fn belongs_to_connection(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || matches!(name.as_str(), KEEP_ALIVE | PROXY_CONNECTION)
}

/// Appends the line of a field that came from a peer, or says what is wrong with it.
fn push_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) -> Result<(), BadHead> {
    if belongs_to_connection(name) || (*name == TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(BadHead::ConnectionField);
    }
    push_line(out, name.as_str(), checked(value)?);
    Ok(())
}

/// A value's bytes. The `http` crate keeps CR, LF and NUL out of values; white space around one is left to
/// its users, and malformed (RFC 9113 section 8.2.1).
fn checked(value: &HeaderValue) -> Result<&[u8], BadHead> {
    let bytes = value.as_bytes();
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(bytes.first()) || blank(bytes.last()) { Err(BadHead::Field) } else { Ok(bytes) }
}

/// Appends one field line.
fn push_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Undoes what was appended behind `start` when it failed or became larger than `max`.
fn bounded(out: &mut Vec<u8>, start: usize, max: usize, result: Result<(), BadHead>) -> Result<(), BadHead> {
    let result = match result {
        Ok(()) if out.len() - start > max => Err(BadHead::TooLarge),
        other => other,
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends the fields of a head in text to `map`, without those that belong to the connection, whether they
/// are known to or the head's `Connection` names them. `skip` takes away more.
fn collect_fields(
    fields: &[httparse::Header<'_>],
    map: &mut HeaderMap,
    mut skip: impl FnMut(&HeaderName) -> bool,
) -> Result<(), BadHead> {
    map.reserve(fields.len());
    let names_fields = fields.iter().any(|f| f.name.eq_ignore_ascii_case("connection"));
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BadHead::Field)?;
        let dropped = belongs_to_connection(&name)
            || (name == TE && !says_trailers(field.value))
            || (names_fields && name != TE && is_named_by_connection(fields, name.as_str()));
        if dropped || skip(&name) {
            continue;
        }
        let value = if name == TE { b"trailers" } else { field.value };
        map.append(name, HeaderValue::from_bytes(value).map_err(|_| BadHead::Field)?);
    }
    Ok(())
}

/// Whether a `TE` has `trailers` among its members (RFC 9110 section 10.1.4).
fn says_trailers(value: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether a `Connection` field names the field `name`. What carries the message cannot be named away.
fn is_named_by_connection(fields: &[httparse::Header<'_>], name: &str) -> bool {
    if matches!(name, "host" | "content-length") {
        return false;
    }
    let connection = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    connection
        .flat_map(|f| f.value.split(|b| *b == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}
