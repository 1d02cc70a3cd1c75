//! How the certificates stand, for `status`, metrics and the admin API.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How one certificate stands. Times are since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CertificateStatus {
    /// Its names, the first of which it goes by.
    pub names: Vec<String>,
    /// The end of the certificate that is there, if one is.
    pub valid_until: Option<Duration>,
    /// When it is ordered or renewed next. In the past: as soon as those before it are done.
    pub next_order: Duration,
    /// Whether it is being ordered just now.
    pub is_ordering: bool,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// When the last order failed, and why.
    pub last_error: Option<(Duration, String)>,
}

/// Where a keeper writes how its certificates stand, and anybody reads it.
#[derive(Debug, Default)]
pub struct Board(Mutex<Vec<CertificateStatus>>);

impl Board {
    /// How they stand now, in the order of the settings.
    pub fn read(&self) -> Vec<CertificateStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn write(&self, statuses: Vec<CertificateStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = statuses;
    }
}
