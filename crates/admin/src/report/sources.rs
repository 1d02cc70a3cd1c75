//! The sources that endpoints come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::discovery::SourceState;

/// A source that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// Its upstream.
    pub upstream: String,
    /// What it is called there: its kind and what is looked at.
    pub source: String,
    /// The word for its kind: `dns`, `srv` or `file`.
    pub kind: String,
    /// How many endpoints its last good answer has; null where there was none yet.
    pub endpoints: Option<usize>,
    /// Milliseconds since that answer; null where there was none yet.
    pub age_ms: Option<u64>,
    /// Looks at it that failed.
    pub failures: u64,
    /// What is wrong with it now; null where nothing is. Its endpoints stay as they were.
    pub problem: Option<String>,
}

impl SourceStatus {
    pub(super) fn of(state: SourceState) -> Self {
        let SourceState { upstream, source, kind, endpoints, age_ms, failures, problem } = state;
        Self { upstream, source, kind: kind.to_owned(), endpoints, age_ms, failures, problem }
    }
}
