//! Why a certificate could not be had, and whom that concerns.

use std::fmt;
use std::time::Duration;

/// What a failure says about the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only this certificate: others may be tried at once.
    Certificate,
    /// The directory or the storage: nothing else would go better now.
    Everything,
}

/// An order, or the way to it, that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// How long the directory wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whom it concerns.
    pub scope: Scope,
    /// The directory does not know our account.
    pub(crate) is_account_gone: bool,
}

impl Failure {
    /// A failure that concerns one certificate.
    pub fn of_certificate(message: impl Into<String>) -> Self {
        let scope = Scope::Certificate;
        Self { message: message.into(), retry_after: None, scope, is_account_gone: false }
    }

    /// A failure that concerns all of them.
    pub fn of_everything(message: impl Into<String>) -> Self {
        Self { scope: Scope::Everything, ..Self::of_certificate(message) }
    }

    /// The same, said to be tried again only after this time.
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
