//! What is counted of a policy.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tollgate_decision::{Passing, Verdict};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Requests that went on.
    Passed,
    /// Requests that were refused or answered.
    Stopped,
    /// Requests that would have been, if the policy did not only run in shadow.
    WouldStop,
    /// Requests that had to wait.
    Waited,
}

impl Outcome {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Stopped, Self::WouldStop, Self::Waited];

    /// The word for the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Stopped => "stopped",
            Self::WouldStop => "would_stop",
            Self::Waited => "waited",
        }
    }
}

/// How many sets of counters there are, so that threads do not wait for each other's cache lines. A power of two.
const STRIPES: usize = 16;

/// The counters of a policy: a set for each thread, as far as there are enough.
#[derive(Debug, Default)]
pub struct PolicySeries {
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe([AtomicU64; 4]);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl PolicySeries {
    /// Counts one.
    pub fn add(&self, outcome: Outcome) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let stripe = STRIPE.get();
        let stripe = if stripe == usize::MAX {
            let next = THREADS.fetch_add(1, Ordering::Relaxed);
            STRIPE.set(next);
            next
        } else {
            stripe
        };
        self.stripes[stripe % STRIPES].0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0[outcome as usize].load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn count(&self, verdict: &Verdict) {
        match verdict.outcome {
            Passing::Passed => self.add(Outcome::Passed),
            Passing::Stopped => self.add(Outcome::Stopped),
            Passing::WouldStop => self.add(Outcome::WouldStop),
            Passing::Unknown => {}
        }
    }
}
