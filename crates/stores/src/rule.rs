//! What a limit decides, whichever way it counts.

use crate::{Gcra, SlidingWindow};

/// Whether a request may pass, and what is to be told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may pass. Only then its cost is counted.
    pub allowed: bool,
    /// How much more may be used at this moment, after this request.
    pub remaining: u64,
    /// How long until the key is as good as new if it is left alone, in microseconds.
    pub reset_after_us: u64,
    /// How long until this very request would be admitted, in microseconds: zero if it is, `None` if it never will
    /// be because it costs more than the limit ever has to give.
    pub retry_after_us: Option<u64>,
}

/// Arithmetic over the one word of state that a key has. Zero is the state of a key that was never seen.
pub trait Rule {
    /// Decides for a request of a `cost`, and returns the state after it, which is `state` itself if nothing was
    /// used.
    fn decide(&self, state: u64, now_ns: u64, cost: u64) -> (Decision, u64);

    /// When a key in this state is as good as new, in nanoseconds.
    fn expires_ns(&self, state: u64, now_ns: u64) -> u64;
}

/// Set in states whose expiry they do not tell by themselves. A state without it is the time of its expiry.
pub(crate) const EXPIRES_APART: u64 = 1 << 63;

/// A limit of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Evenly spread, with a burst.
    Gcra(Gcra),
    /// So many within any window, near enough.
    SlidingWindow(SlidingWindow),
}

impl Rule for Limit {
    fn decide(&self, state: u64, now_ns: u64, cost: u64) -> (Decision, u64) {
        match self {
            Self::Gcra(gcra) => gcra.decide(state, now_ns, cost),
            Self::SlidingWindow(window) => window.decide(state, now_ns, cost),
        }
    }

    fn expires_ns(&self, state: u64, now_ns: u64) -> u64 {
        match self {
            Self::Gcra(gcra) => gcra.expires_ns(state, now_ns),
            Self::SlidingWindow(window) => window.expires_ns(state, now_ns),
        }
    }
}
