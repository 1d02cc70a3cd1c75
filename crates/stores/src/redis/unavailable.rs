//! Why Redis could not decide.

use std::fmt;
use std::sync::Arc;

/// Redis did not decide. What then happens to the request is for the limit to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What kind of failure it is.
    pub kind: UnavailableKind,
    /// What went wrong, for operators.
    pub detail: Arc<str>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnavailableKind {
    /// No answer in time.
    TimedOut,
    /// There is no connection, and none can be had.
    Unreachable,
    /// The connection broke while an answer was awaited.
    Lost,
    /// The user or the password is refused.
    Authentication,
    /// The server answered with an error.
    Refused,
    /// The answer is not what the script returns.
    Garbled,
}

impl Unavailable {
    pub(super) fn new(kind: UnavailableKind, detail: impl Into<Arc<str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(super) fn timed_out() -> Self {
        Self::new(UnavailableKind::TimedOut, "no answer in time")
    }
}

impl From<redis::RedisError> for Unavailable {
    fn from(error: redis::RedisError) -> Self {
        let kind = match error.code() {
            Some("WRONGPASS" | "NOAUTH" | "NOPERM") => UnavailableKind::Authentication,
            _ if error.kind() == redis::ErrorKind::AuthenticationFailed => UnavailableKind::Authentication,
            Some(_) => UnavailableKind::Refused,
            None if error.is_timeout() => UnavailableKind::TimedOut,
            None if error.is_connection_refusal() => UnavailableKind::Unreachable,
            None if error.is_io_error() => UnavailableKind::Lost,
            None => UnavailableKind::Garbled,
        };
        Self::new(kind, error.to_string())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis: {}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for Unavailable {}

impl fmt::Display for UnavailableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::Unreachable => "unreachable",
            Self::Lost => "connection lost",
            Self::Authentication => "not let in",
            Self::Refused => "refused",
            Self::Garbled => "garbled",
        })
    }
}
