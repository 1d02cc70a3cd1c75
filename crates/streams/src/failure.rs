//! Why a stream failed.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a stream failed, as far as that changes what can be done about it. Travels inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFailure {
    /// The peer has not looked at the request and will not (`REFUSED_STREAM`, or a `GOAWAY` below the
    /// stream): it can be sent again, whatever it is.
    Refused,
    /// The peer has reset the stream, with this code.
    Reset(u64),
    /// The connection is gone, or was closed with an error.
    ConnectionLost,
    /// What the peer sent is not a valid message.
    Malformed(&'static str),
}

impl StreamFailure {
    /// The failure in an error, if it is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl fmt::Display for StreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the peer refused the stream"),
            Self::Reset(code) => write!(f, "the peer reset the stream with code {code}"),
            Self::ConnectionLost => f.write_str("the connection of the stream was lost"),
            Self::Malformed(what) => write!(f, "the peer's message is malformed: {what}"),
        }
    }
}

impl Error for StreamFailure {}

impl From<StreamFailure> for io::Error {
    fn from(failure: StreamFailure) -> Self {
        let kind = match failure {
            StreamFailure::Malformed(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::ConnectionReset,
        };
        Self::new(kind, failure)
    }
}
