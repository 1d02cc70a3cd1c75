//! Changes of a circuit breaker as events, for the log and the dashboard.

use std::fmt;
use std::sync::Arc;

use super::window::Counts;

/// What a circuit breaker does with exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// All pass.
    Closed,
    /// A few pass to try the upstream.
    HalfOpen,
    /// None passes.
    Open,
}

impl Circuit {
    /// The word of the log and the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// One change of a circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerEvent {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// What changed, and why.
    pub turn: Turn,
    /// Whether it only tells what it would have done.
    pub shadow: bool,
    /// When, in milliseconds since the process started.
    pub at_ms: u64,
}

/// What changed a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Too many exchanges failed or were slow: it opens.
    Tripped {
        /// What the window held.
        counts: Counts,
        /// For how long it is open, in milliseconds.
        for_ms: u64,
    },
    /// Its time is over: a few exchanges try the upstream.
    TriesAgain,
    /// A trial failed or was slow: it opens again.
    TrialFailed {
        /// How often it opened in a row.
        openings: u32,
        /// For how long it is open, in milliseconds.
        for_ms: u64,
    },
    /// Enough trials went well: it closes.
    Recovered {
        /// How many.
        trials: u32,
    },
}

impl Turn {
    /// What the breaker is afterwards.
    pub fn to(self) -> Circuit {
        match self {
            Self::Tripped { .. } | Self::TrialFailed { .. } => Circuit::Open,
            Self::TriesAgain => Circuit::HalfOpen,
            Self::Recovered { .. } => Circuit::Closed,
        }
    }
}

impl fmt::Display for BreakerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shadow = if self.shadow { " (shadow)" } else { "" };
        write!(f, "circuit of {}{shadow}: {}: ", self.upstream, self.turn.to().word())?;
        match self.turn {
            Turn::Tripped { counts: Counts { total, failed, slow }, for_ms } => {
                let seconds = for_ms as f64 / 1000.0;
                write!(
                    f,
                    "of the last {total} exchanges {failed} failed and {slow} were slow; for {seconds:.1}s"
                )
            }
            Turn::TriesAgain => f.write_str("its time is over, a few exchanges try the upstream"),
            Turn::TrialFailed { openings, for_ms } => {
                let seconds = for_ms as f64 / 1000.0;
                write!(f, "a trial failed; for {seconds:.1}s (the {openings}. time in a row)")
            }
            Turn::Recovered { trials } => write!(f, "{trials} trials went well"),
        }
    }
}
