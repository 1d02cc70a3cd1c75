//! What the flight recorder holds, and what it keeps.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_config::Switch;
use tollgate_runtime::date;

use crate::Api;

/// What the flight recorder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecorderStatus {
    /// How many exchanges.
    pub entries: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// When the oldest of them began, RFC 3339.
    pub oldest: Option<String>,
    /// How many were worth keeping and were lost, since the process started.
    pub dropped: u64,
    /// What the document wants kept; null where it wants nothing kept.
    pub keeps: Option<Keeps>,
}

/// What the document wants kept besides exchanges that failed, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keeps {
    /// In so much memory.
    pub memory: String,
    /// Exchanges that took so long.
    pub slow: String,
    /// So many of the others.
    pub sample: String,
}

impl RecorderStatus {
    /// How it is now.
    pub(crate) fn of(api: &Api) -> Self {
        let recorders = api.process().recorder();
        let counts = recorders.counts();
        let keeps = match &api.instance.document().recorder {
            Switch::Off => None,
            Switch::On(settings) => Some(Keeps {
                memory: settings.memory.to_string(),
                slow: settings.slow.to_string(),
                sample: settings.sample.to_string(),
            }),
        };
        Self {
            entries: counts.entries,
            bytes: counts.bytes,
            oldest: recorders.oldest().map(date::rfc3339),
            dropped: counts.dropped,
            keeps,
        }
    }
}

/// For people: part of a sentence that says why something is not there.
impl fmt::Display for RecorderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(keeps) = &self.keeps else {
            return f.write_str("the recorder is off (`recorder: none` in the document)");
        };
        let kib = self.bytes.div_ceil(1024);
        match (self.entries, &self.oldest) {
            (0, _) | (_, None) => f.write_str("the recorder is empty")?,
            (1, Some(oldest)) => {
                write!(f, "the recorder holds 1 exchange ({kib}KiB of {}), from {oldest}", keeps.memory)?;
            }
            (entries, Some(oldest)) => write!(
                f,
                "the recorder holds {entries} exchanges ({kib}KiB of {}), the oldest from {oldest}",
                keeps.memory
            )?,
        }
        let Keeps { slow, sample, .. } = keeps;
        write!(
            f,
            "; it keeps those that failed, those that took {slow} or longer, and {sample} of the others"
        )?;
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, "; {dropped} were lost while it was read"),
        }
    }
}
