//! Why a probe failed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a probe failed, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Nobody listens at the address.
    Refused,
    /// The connection failed in another way.
    Connect(io::ErrorKind),
    /// There was no connection in time.
    ConnectTimeout(Duration),
    /// There was a connection, and what comes before the probe failed on it: this, in words.
    Unusable(Arc<str>),
    /// There was a connection, but no whole answer head in time.
    NoAnswer(Duration),
    /// The connection ended before the answer head did.
    Closed,
    /// Sending or receiving failed in another way.
    Broken(io::ErrorKind),
    /// The answer is not HTTP/1.
    NotHttp(httparse::Error),
    /// The answer head is larger than this many bytes.
    HeadTooLarge(usize),
    /// The status is not one of those expected.
    Status {
        /// The status that came.
        got: u16,
        /// The expected ones, as "200-299, 304".
        expected: Arc<str>,
    },
    /// What the body is to hold is not in it.
    Body {
        /// What was looked for.
        expected: Arc<str>,
        /// In how many bytes.
        looked_at: usize,
        /// Whether these are all that there were or that are looked at; else more did not come in time.
        in_time: bool,
    },
    /// The connection is not as HTTP/2 has it.
    NotHttp2(Arc<str>),
    /// The answer is not one of gRPC, or not of the health protocol.
    NotGrpc(&'static str),
    /// The call failed with this status of gRPC.
    GrpcStatus(u32),
    /// The service is known and does not serve.
    NotServing(&'static str),
}

impl ProbeFailure {
    pub(super) fn from_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            // Made by who dials, with a text of its own.
            io::ErrorKind::Other => Self::Unusable(error.to_string().into()),
            kind => Self::Connect(kind),
        }
    }

    pub(super) fn from_exchange(error: &io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::Closed,
            kind => Self::Broken(kind),
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Connect(kind) => write!(f, "no connection: {kind}"),
            Self::ConnectTimeout(timeout) => write!(f, "no connection in {timeout:?}"),
            Self::Unusable(problem) => write!(f, "the connection cannot be used: {problem}"),
            Self::NoAnswer(timeout) => write!(f, "no answer in {timeout:?}"),
            Self::Closed => f.write_str("the connection was closed before the answer"),
            Self::Broken(kind) => write!(f, "the connection broke: {kind}"),
            Self::NotHttp(error) => write!(f, "the answer is not HTTP/1: {error}"),
            Self::HeadTooLarge(limit) => write!(f, "the answer head is larger than {limit} bytes"),
            Self::NotHttp2(problem) => write!(f, "the endpoint does not speak HTTP/2: {problem}"),
            Self::NotGrpc(problem) => write!(f, "the answer is not gRPC: {problem}"),
            Self::GrpcStatus(12) => f.write_str("the endpoint has no health service (gRPC status 12)"),
            Self::GrpcStatus(5) => f.write_str("the endpoint does not know the service (gRPC status 5)"),
            Self::GrpcStatus(code) => write!(f, "gRPC status {code}"),
            Self::NotServing(status) => write!(f, "the service says {status}"),
            Self::Body { expected, looked_at, in_time: true } => {
                write!(f, "{expected} is not in the body ({looked_at} bytes were looked at)")
            }
            Self::Body { expected, looked_at, in_time: false } => {
                write!(f, "{expected} is not in the {looked_at} bytes of the body that came in time")
            }
            Self::Status { got, expected } => write!(f, "status {got}, expected {expected}"),
        }
    }
}
