//! Why a call has no answer.

use std::fmt;
use std::time::Duration;

/// Why a call has no answer. The texts name hosts, never paths, queries or anything that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// As many calls are under way as may be.
    Busy,
    /// The host's name has no address.
    Resolve {
        /// The host.
        host: Box<str>,
        /// What the resolver said.
        why: Box<str>,
    },
    /// No connection was made.
    Connect {
        /// Host and port.
        to: Box<str>,
        /// What the system said.
        why: Box<str>,
    },
    /// TLS was not agreed on; also where the certificate is not to be trusted.
    Tls {
        /// Host and port.
        to: Box<str>,
        /// What is wrong.
        why: Box<str>,
    },
    /// It took too long.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The answer is larger than is allowed.
    TooLarge {
        /// Which part of it.
        what: &'static str,
        /// How many bytes it may have.
        limit: usize,
    },
    /// The other side broke the protocol, or the connection broke.
    Protocol(Box<str>),
    /// The runtime that connections live on has ended.
    Stopped,
}

impl Error {
    pub(crate) fn protocol(why: impl fmt::Display) -> Self {
        Self::Protocol(why.to_string().into())
    }

    /// Of errors that wrap others, the innermost says the most.
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut inner = error.source();
        while let Some(error) = inner {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            inner = error.source();
        }
        Self::Protocol(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many calls are under way"),
            Self::Resolve { host, why } => write!(f, "cannot find the address of {host}: {why}"),
            Self::Connect { to, why } => write!(f, "cannot connect to {to}: {why}"),
            Self::Tls { to, why } => write!(f, "no TLS with {to}: {why}"),
            Self::Timeout { what, after } => write!(f, "no {what} within {} ms", after.as_millis()),
            Self::TooLarge { what, limit } => write!(f, "the answer's {what} is larger than {limit} bytes"),
            Self::Protocol(why) => write!(f, "the exchange broke: {why}"),
            Self::Stopped => f.write_str("the program is being stopped"),
        }
    }
}

impl std::error::Error for Error {}
