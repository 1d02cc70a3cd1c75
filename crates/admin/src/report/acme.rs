//! Certificates by ACME.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::acme::CertificateStatus;
use tollgate_runtime::date;

/// A certificate that is got and renewed by ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeCertificate {
    /// The names that it is for.
    pub names: Vec<String>,
    /// When the one that is there ends, RFC 3339; null where there is none yet.
    pub expires: Option<String>,
    /// When it is ordered or renewed next, RFC 3339. In the past: when those before it are done.
    pub next_order: String,
    /// Whether it is being ordered just now.
    pub ordering: bool,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// The last order that failed; null where none did since the last one that did not.
    pub last_error: Option<AcmeError>,
}

/// An order that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeError {
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub problem: String,
}

impl AcmeCertificate {
    pub(super) fn of(status: CertificateStatus) -> Self {
        let error = |(at, problem): (Duration, String)| AcmeError { at: date::rfc3339(at), problem };
        Self {
            names: status.names,
            expires: status.valid_until.map(date::rfc3339),
            next_order: date::rfc3339(status.next_order),
            ordering: status.is_ordering,
            failures: status.failures,
            last_error: status.last_error.map(error),
        }
    }
}
