//! How many requests at once.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Verdict};
use tollgate_stores::KeyHash;
use tollgate_stores::memory::{Concurrency, Entry};

use super::Amounts;
use super::key::KeySource;
use super::rate::with_key;

/// What is limited.
#[derive(Debug)]
pub struct Settings {
    /// The document's name for it; empty for one of a route's own.
    pub name: String,
    /// Who is counted together.
    pub by: KeySource,
    /// How many there may be.
    pub max: Amounts<u64>,
}

/// Limits requests at once. Counts outlive the policy: those of the same limit of the next document go on.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    name: String,
    settings: Settings,
    inside: Arc<Concurrency>,
    hash: Arc<KeyHash>,
}

impl ConcurrencyLimit {
    /// A policy that counts in this table.
    pub fn new(settings: Settings, inside: Arc<Concurrency>, hash: Arc<KeyHash>) -> Self {
        let name = match &*settings.name {
            "" => "concurrency_limit".to_owned(),
            name => format!("concurrency_limit {name}"),
        };
        Self { name, settings, inside, hash }
    }
}

impl Policy for ConcurrencyLimit {
    fn name(&self) -> &str {
        &self.name
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        let max = *self.settings.max.of(&gate.caller);
        let key = with_key(&self.settings.by, asked, gate, |key| self.hash.key(0, key));
        if !asked.mode.serves() {
            let left = max.saturating_sub(self.inside.inside(key));
            return match left {
                0 => full(max),
                left => Verdict::Continue(i64::try_from(left - 1).ok()),
            };
        }
        match self.inside.enter(key, max) {
            Entry::Admitted(permit) => {
                gate.hold(permit);
                Verdict::CONTINUE
            }
            Entry::Full => full(max),
            Entry::Uncounted => Verdict::Refuse(Refused {
                retry_after_s: Some(1),
                ..Refused::because(
                    Reason::ConcurrencyLimited,
                    "there is no place left to count another key in",
                )
            }),
        }
    }
}

fn full(max: u64) -> Verdict {
    let note = format!("{max} of the same key are under way");
    Verdict::Refuse(Refused { retry_after_s: Some(1), ..Refused::because(Reason::ConcurrencyLimited, note) })
}
