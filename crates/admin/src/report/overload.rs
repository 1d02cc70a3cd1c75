//! What an upstream does about overload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_upstream::{Admission, Breaker};

/// How many requests are at an upstream that limits them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacesStatus {
    /// How many may be at the whole upstream at once now; null for any number.
    pub limit: Option<u32>,
    /// Whether that number is found from the latency of responses.
    pub adaptive: bool,
    /// How many are; 0 where they are limited at single endpoints only.
    pub used: u32,
    /// How many wait for their turn.
    pub waiting: u32,
    /// How many got no place since the process started.
    pub refused: u64,
}

impl PlacesStatus {
    pub(super) fn of(admission: &Admission) -> Self {
        let status = admission.status();
        Self {
            limit: status.cap,
            adaptive: status.is_adaptive,
            used: status.taken,
            waiting: status.waiting.iter().sum(),
            refused: status.refused.iter().sum(),
        }
    }
}

/// An upstream's circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CircuitStatus {
    /// `closed`, `half_open` or `open`.
    pub state: String,
    /// For how much longer it is open, in milliseconds.
    pub open_for_ms: u64,
    /// Requests that ended lately.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// Requests that were refused since the process started, or would have been.
    pub refused: u64,
    /// It only tells what it would have done.
    pub shadow: bool,
}

impl CircuitStatus {
    pub(super) fn of(breaker: &Breaker, now_ms: u64) -> Self {
        let status = breaker.status(now_ms);
        Self {
            state: status.circuit.word().to_owned(),
            open_for_ms: status.open_for_ms,
            requests: status.counts.total,
            failed: status.counts.failed,
            slow: status.counts.slow,
            refused: status.refused,
            shadow: status.shadow,
        }
    }

    /// Whether requests are refused, all or all but a few.
    pub fn refuses(&self) -> bool {
        self.state != "closed" && !self.shadow
    }
}
