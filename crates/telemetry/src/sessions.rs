//! What is counted of sessions that are kept at their endpoints.

use crate::shard::Counter;

/// What became of an exchange's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// It begins with this exchange.
    New,
    /// It went on at its endpoint.
    Kept,
    /// Its endpoint was gone or failed: it goes on at another from now on.
    Moved,
    /// Its endpoint was full: this exchange alone went to another.
    Aside,
    /// The token that came counts as none. The exchange is counted as a new session as well.
    Invalid,
}

impl SessionOutcome {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::New, Self::Kept, Self::Moved, Self::Aside, Self::Invalid];

    /// The word for labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Kept => "kept",
            Self::Moved => "moved",
            Self::Aside => "aside",
            Self::Invalid => "invalid",
        }
    }
}

/// What one worker counted of an upstream's sessions.
#[derive(Debug, Default)]
pub struct SessionSeries([Counter; SessionOutcome::ALL.len()]);

impl SessionSeries {
    /// The counter of an outcome.
    pub fn of(&self, outcome: SessionOutcome) -> &Counter {
        &self.0[outcome as usize]
    }
}
