//! Which document runs, since when, and how the last attempt to change it went.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate_runtime::Clock;

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
}

/// How an attempt to load another document went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// When it ended, since 1970.
    pub at: Duration,
    /// What was wrong, so that the document in force stayed; `None` where it was put to work.
    pub problem: Option<String>,
}

impl ConfigState {
    /// The state of a process that was just started with a document from `source`.
    pub fn first(source: impl Into<String>) -> Self {
        let clock = Clock::new();
        Self {
            number: 1,
            source: source.into(),
            since: clock.wall(),
            since_ms: clock.now_ms(),
            last_reload: None,
        }
    }
}

/// A [`ConfigState`] that those who load documents write and those who tell of them read.
#[derive(Clone, Debug)]
pub struct SharedConfigState(Arc<Mutex<ConfigState>>);

impl SharedConfigState {
    /// Shares a state.
    pub fn new(state: ConfigState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// The state now.
    pub fn get(&self) -> ConfigState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut ConfigState)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
