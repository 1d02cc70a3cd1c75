//! The program, the process, the document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::{ConfigState, Process};
use tollgate_runtime::{Clock, date};

/// The program that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The processor and system it was built for.
    pub target: String,
    /// Whether it was built for speed.
    pub optimised: bool,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessStatus {
    /// Its number in the system.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub started: String,
    /// For how long it runs, in milliseconds. What two answers are apart in time is the difference of
    /// theirs.
    pub uptime_ms: u64,
    /// Threads that run connections.
    pub workers: usize,
    /// Whether it is about to end.
    pub draining: bool,
    /// Records of the access log that were lost because their destination did not keep up.
    pub log_records_lost: u64,
}

/// The document in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigStatus {
    /// Which document of this process it is; the first has 1.
    pub number: u64,
    /// Where it was read from.
    pub source: String,
    /// When it was put to work, RFC 3339.
    pub since: String,
    /// For how long it is in force, in milliseconds.
    pub age_ms: u64,
    /// The last attempt to load another one; null while there was none.
    pub last_reload: Option<Reload>,
    /// What it says otherwise than what the process was started with, and what takes effect only at the next
    /// start, in words.
    pub needs_restart: Vec<String>,
    /// What files beside it hold by now that cannot be used, in words: what they held before stays in force.
    #[serde(default)]
    pub stuck_files: Vec<String>,
    /// In so many milliseconds it is taken back unless it is confirmed; null where it is not on trial.
    pub on_trial_ms: Option<u64>,
}

/// How an attempt to load another document went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// When it ended, RFC 3339.
    pub at: String,
    /// What made it: `reload`, `apply`, `rollback to 1`.
    pub occasion: String,
    /// What was wrong, so that the document in force stayed; null where it was put to work.
    pub problem: Option<String>,
}

impl Build {
    /// What is known when it is compiled.
    pub fn of_this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            optimised: !cfg!(debug_assertions),
        }
    }
}

impl ProcessStatus {
    pub(super) fn of(process: &Process) -> Self {
        let clock = Clock::new();
        let uptime_ms = clock.now_ms();
        let started = clock.wall().saturating_sub(std::time::Duration::from_millis(uptime_ms));
        Self {
            pid: std::process::id(),
            started: date::rfc3339(started),
            uptime_ms,
            workers: process.workers(),
            draining: process.is_draining(),
            log_records_lost: process.logs().lost(),
        }
    }
}

impl ConfigStatus {
    pub(super) fn of(state: &ConfigState, trial_until_ms: Option<u64>, now_ms: u64) -> Self {
        let reload = |outcome: &tollgate_control::ReloadOutcome| Reload {
            at: date::rfc3339(outcome.at),
            occasion: outcome.occasion.to_string(),
            problem: outcome.problem.clone(),
        };
        Self {
            number: state.number,
            source: state.source.clone(),
            since: date::rfc3339(state.since),
            age_ms: now_ms.saturating_sub(state.since_ms),
            last_reload: state.last_reload.as_ref().map(reload),
            needs_restart: state.needs_restart.clone(),
            stuck_files: state.stuck_files.clone(),
            on_trial_ms: trial_until_ms.map(|until| until.saturating_sub(now_ms)),
        }
    }
}
