//! HTTP/1.1 (RFC 9112) without sockets and clocks: bytes in, heads and body bytes out.
//!
//! The head parser is httparse for the scanning, plus the strictness a proxy needs: nothing that two
//! parsers could read in two ways gets through (see [`request`]). Bodies are decoded in place
//! ([`chunked`]), and heads are written from the bytes they arrived as plus a list of edits
//! ([`encode`]).

pub mod chunked;
pub mod connection;
pub mod edits;
pub mod encode;
pub mod error;
pub mod framing;
pub mod request;
pub mod response;
mod scan;
pub mod target;

pub use error::Malformed;

/// The largest number of fields that a head may be allowed to have.
pub const MAX_FIELDS: usize = 256;

/// What a head may be at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, start line and final empty line included.
    pub head_size: usize,
    /// Number of fields, at most [`MAX_FIELDS`].
    pub fields: usize,
    /// Bytes of the request target.
    pub target_size: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_size: 32 * 1024, fields: 100, target_size: 8 * 1024 }
    }
}

/// What became of an attempt to parse a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// The head is not complete; more bytes are needed.
    Partial,
    /// The head is complete.
    Complete(T),
}
