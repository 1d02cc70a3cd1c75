//! What a keeper tells.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something that operators want in their log. Its text is a sentence without the time.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An order begins.
    Ordering {
        /// The certificate's first name.
        name: String,
    },
    /// A certificate was obtained, or found to have been by another process.
    Obtained {
        /// The certificate's first name.
        name: String,
        /// Its end, since 1970.
        until: Duration,
    },
    /// What was to be done failed.
    Failed {
        /// The certificate's first name.
        name: String,
        /// Why.
        message: String,
        /// When it is tried again, since 1970.
        next: Duration,
    },
    /// A file could not be used and has another name now.
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A file could not be read or written; what was to be in it is only in memory.
    Storage {
        /// What happened.
        message: String,
    },
    /// The directory wants a certificate renewed at another time (RFC 9773).
    Rescheduled {
        /// The certificate's first name.
        name: String,
        /// When, since 1970.
        next: Duration,
    },
}

impl Event {
    /// Whether somebody may have to do something.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::SetAside { .. } | Self::Storage { .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = |time: &Duration| tollgate_runtime::date::rfc3339(*time);
        match self {
            Self::Ordering { name } => write!(f, "ACME: ordering a certificate for {name}"),
            Self::Obtained { name, until } => {
                write!(f, "ACME: the certificate for {name} is there, valid until {}", date(until))
            }
            Self::Failed { name, message, next } => {
                write!(f, "ACME: {name}: {message}; next try at {}", date(next))
            }
            Self::SetAside { path, message } => {
                write!(f, "ACME: {} cannot be used and was set aside: {message}", path.display())
            }
            Self::Storage { message } => write!(f, "ACME: storage: {message}"),
            Self::Rescheduled { name, next } => {
                write!(f, "ACME: the directory wants the certificate for {name} renewed at {}", date(next))
            }
        }
    }
}
