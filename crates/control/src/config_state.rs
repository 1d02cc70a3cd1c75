//! Which document runs, since when, and how the last attempt to change it went.

use std::time::Duration;

use crate::history::Occasion;

/// What is known of the document in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigState {
    /// Which document of this process it is; the first has 1.
    pub number: u64,
    /// Where it was read from, for people: a path, or what stands for one.
    pub source: String,
    /// When it was put to work, since 1970.
    pub since: Duration,
    /// The same in milliseconds since the process started.
    pub since_ms: u64,
    /// The last attempt to load another one; `None` while there was none.
    pub last_reload: Option<ReloadOutcome>,
    /// What it says otherwise than what the process was started with, and what takes effect only when it is
    /// started anew, in words.
    pub needs_restart: Vec<String>,
    /// What files beside it hold by now that cannot be used, in words: what they held before stays in force.
    pub stuck_files: Vec<String>,
}

/// How an attempt to load another document went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// When it ended, since 1970.
    pub at: Duration,
    /// What made it.
    pub occasion: Occasion,
    /// What was wrong, so that the document in force stayed; `None` where it was put to work.
    pub problem: Option<String>,
}
