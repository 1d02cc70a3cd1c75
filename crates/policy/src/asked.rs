//! What a policy sees of a request.

use std::net::IpAddr;

use tollgate_message::{BodyLength, Fields, Method, Version};

use crate::{Caller, Consumers};

/// A request as policies see it. Everything is borrowed; what several policies would have to find out is found
/// out once.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: Method,
    /// The method as it was spelled.
    pub method_bytes: &'a [u8],
    /// The fields.
    pub fields: Fields<'a>,
    /// The host in lower case, without port.
    pub host: &'a [u8],
    /// The authority as the client spelled it, with its port.
    pub authority: &'a [u8],
    /// The normalised path: the one that routes are matched with.
    pub path: &'a [u8],
    /// The query, without its `?`; `None` where there is no `?`.
    pub query: Option<&'a [u8]>,
    /// How its body is framed.
    pub body: BodyLength,
    /// How it came.
    pub connection: Connection<'a>,
    /// The route's name.
    pub route: &'a str,
    /// The request id.
    pub request_id: &'a [u8],
    /// When it is decided, and by what chance.
    pub moment: Moment,
    /// The consumers as they are known now.
    pub consumers: &'a Consumers,
    /// Whether the decision counts.
    pub mode: Mode<'a>,
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address: the peer's, or what a trusted proxy said.
    pub client: IpAddr,
    /// The connection's other end.
    pub peer: IpAddr,
    /// The version of HTTP.
    pub version: Version,
    /// It is encrypted.
    pub tls: bool,
    /// The name of the TLS hello.
    pub server_name: Option<&'a str>,
    /// The client's certificate, verified.
    pub certificate: Option<Certificate<'a>>,
}

/// A client's certificate that the listener has verified.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// Its bytes (DER).
    pub der: &'a [u8],
}

/// When a request is decided, and by what chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Microseconds of the process's clock, which never goes back.
    pub now_us: u64,
    /// Microseconds since 1970 (UTC).
    pub wall_us: u64,
    /// The exchange's random number.
    pub seed: u64,
}

impl Moment {
    /// Seconds since 1970 (UTC).
    pub fn wall_s(self) -> u64 {
        self.wall_us / 1_000_000
    }
}

/// Whether a decision counts.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// A request is served.
    Serve,
    /// Somebody asks what would happen: nothing is used up, kept or waited for. With a caller, that is who it
    /// comes from, and no proof is asked for.
    Explain(Option<&'a Caller>),
}

impl Mode<'_> {
    /// Whether the decision counts.
    pub fn serves(&self) -> bool {
        matches!(self, Self::Serve)
    }
}

impl<'a> Asked<'a> {
    /// The scheme that the client used, as far as the connection tells.
    pub fn scheme(&self) -> &'static str {
        if self.connection.tls { "https" } else { "http" }
    }

    /// The value of the first query parameter of this name as it was spelled, percent signs and all. A parameter
    /// without `=` has an empty value.
    pub fn query_value(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.query?.split(|byte| *byte == b'&').find_map(|pair| {
            let (found, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            (found == name).then_some(value)
        })
    }

    /// The value of the first cookie of this name (RFC 6265 section 4.2), without quotes around it.
    pub fn cookie(&self, name: &[u8]) -> Option<&'a [u8]> {
        let lines = self.fields.all(tollgate_message::Known::Cookie);
        lines.flat_map(|line| line.split(|byte| *byte == b';')).find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let value = &pair[at + 1..];
            let quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
            (&pair[..at] == name).then(|| if quoted { &value[1..value.len() - 1] } else { value })
        })
    }
}
