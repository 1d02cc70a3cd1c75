//! Figures of an upstream's admission.

use super::refused::Why;
use super::settings::Class;

/// The upper bounds of the counts of waits, in milliseconds. A last count is for all longer ones.
pub const WAIT_BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Figures for metrics and the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionStatus {
    /// How many exchanges may be at the upstream at once now; `None` for any number.
    pub cap: Option<u32>,
    /// How many are, where they are counted.
    pub taken: u32,
    /// Whether the cap follows the latency.
    pub is_adaptive: bool,
    /// How many wait, by [`Class::ALL`].
    pub waiting: [u32; Class::ALL.len()],
    /// How many were refused since the process started, by [`Why::ALL`].
    pub refused: [u64; Why::ALL.len()],
    /// How many waits there have been up to each of [`WAIT_BOUNDS_MS`], each counted once, and longer ones.
    pub waits: [u64; WAIT_BOUNDS_MS.len() + 1],
    /// The sum of those waits, in microseconds.
    pub waited_us: u64,
}

/// The waits that are over.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) buckets: [u64; WAIT_BOUNDS_MS.len() + 1],
    pub(super) sum_us: u64,
}

impl Waits {
    pub(super) fn note(&mut self, waited_us: u64) {
        let bucket = WAIT_BOUNDS_MS.partition_point(|bound_ms| bound_ms * 1000 < waited_us);
        self.buckets[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(waited_us);
    }
}
