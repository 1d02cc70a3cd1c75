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
    /// What the breaker was before.
    pub fn from(self) -> Circuit {
        match self {
            Self::Tripped { .. } => Circuit::Closed,
            Self::TriesAgain => Circuit::Open,
            Self::TrialFailed { .. } | Self::Recovered { .. } => Circuit::HalfOpen,
        }
    }

    /// The word for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tripped { .. } => "tripped",
            Self::TriesAgain => "tries_again",
            Self::TrialFailed { .. } => "trial_failed",
            Self::Recovered { .. } => "recovered",
        }
    }

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
        let shadow = if self.shadow { " (in shadow)" } else { "" };
        let (from, to) = (self.turn.from().word(), self.turn.to().word());
        write!(f, "circuit of {}{shadow}: {from} -> {to}: {}", self.upstream, self.turn)
    }
}

/// Why it changed.
impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: &u64| *ms as f64 / 1000.0;
        match self {
            Self::Tripped { counts: Counts { total, failed, slow }, for_ms } => {
                write!(f, "of the last {total} exchanges {failed} failed and {slow} were slow; ")?;
                write!(f, "open for {:.1}s", seconds(for_ms))
            }
            Self::TriesAgain => f.write_str("its time is over, a few exchanges try the upstream"),
            Self::TrialFailed { openings, for_ms } => {
                write!(f, "a trial failed; open for {:.1}s (opening {openings} in a row)", seconds(for_ms))
            }
            Self::Recovered { trials } => write!(f, "{trials} trials went well"),
        }
    }
}
