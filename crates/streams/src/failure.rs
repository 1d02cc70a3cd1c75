//! How a stream fails.

use std::{fmt, io};

use crate::text::BadHead;

/// Why a stream did not come to its orderly end. Every [`io::Error`] of a [`crate::MessageStream`] carries
/// one; [`StreamFailure::of`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFailure {
    /// The peer did not look at the stream: it refused it, or said that it takes no more of the connection's.
    /// Whatever the request is, it is safe to send again.
    Refused,
    /// The peer reset the stream, with this error code of its protocol.
    Reset(u64),
    /// The connection ended below the stream.
    ConnectionLost,
    /// The peer sent something that breaks the rules of its protocol.
    Malformed(&'static str),
    /// What was to be sent cannot be said in the protocol.
    Unsendable(BadHead),
}

impl StreamFailure {
    /// The failure that an error carries.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }

    /// Whether the peer has done nothing for the stream, so that anything may be sent again.
    pub fn is_safe_to_retry(self) -> bool {
        self == Self::Refused
    }
}

impl fmt::Display for StreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the peer refused the stream"),
            Self::Reset(code) => write!(f, "the peer reset the stream with error code {code:#x}"),
            Self::ConnectionLost => f.write_str("the connection was lost"),
            Self::Malformed(what) => write!(f, "the peer sent a malformed message: {what}"),
            Self::Unsendable(bad) => write!(f, "the message cannot be sent: {bad}"),
        }
    }
}

impl std::error::Error for StreamFailure {}

impl From<StreamFailure> for io::Error {
    fn from(failure: StreamFailure) -> Self {
        let kind = match failure {
            StreamFailure::Refused => io::ErrorKind::ConnectionRefused,
            StreamFailure::Reset(_) => io::ErrorKind::ConnectionReset,
            StreamFailure::ConnectionLost => io::ErrorKind::ConnectionAborted,
            StreamFailure::Malformed(_) => io::ErrorKind::InvalidData,
            StreamFailure::Unsendable(_) => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_found_in_its_error() {
        for failure in [StreamFailure::Refused, StreamFailure::Reset(8), StreamFailure::Malformed("x")] {
            let error = io::Error::from(failure);
            assert_eq!(StreamFailure::of(&error), Some(failure));
            assert_eq!(error.to_string(), failure.to_string());
        }
        assert_eq!(StreamFailure::of(&io::ErrorKind::ConnectionReset.into()), None);
    }
}
