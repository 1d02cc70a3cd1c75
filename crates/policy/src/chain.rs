//! A route's policies, one after the other.

use std::fmt;
use std::sync::Arc;

use tollgate_decision::{Passing, Record, Verdict as Noted};

use crate::series::{Outcome, PolicySeries};
use crate::{Answer, Asked, Gate, Policy, Refused, Resolution, Stage, Verdict, Wait};

/// A policy in a chain.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The policy.
    pub policy: Arc<dyn Policy>,
    /// It decides and is counted, but what it decides is not done.
    pub shadow: bool,
    /// What is counted of it.
    pub series: Arc<PolicySeries>,
}

/// The policies of a route, in the order in which they are asked: by stage, then as they were added.
#[derive(Clone, Default)]
pub struct Chain {
    entries: Box<[Entry]>,
}

/// What a chain comes to.
#[derive(Debug)]
pub enum Passed {
    /// The request goes on.
    On,
    /// It is refused.
    Refused(Refused),
    /// It gets this answer.
    Answered(Box<Answer>),
    /// It has to wait; the chain is then run again with what came of it.
    Waits(Wait),
}

impl Chain {
    /// A chain of these policies; `None` where there are none.
    pub fn new(mut entries: Vec<Entry>) -> Option<Self> {
        entries.sort_by_key(|entry| entry.policy.stage());
        (!entries.is_empty()).then(|| Self { entries: entries.into() })
    }

    /// The policies, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether some policy has this place in line.
    pub fn has(&self, stage: Stage) -> bool {
        self.entries.iter().any(|entry| entry.policy.stage() == stage)
    }

    /// Asks the policies from where the gate stands. `resolution` is what came of the future that the last run
    /// ended with, and `waited_us` how long that took.
    pub fn run(
        &self,
        asked: &Asked<'_>,
        gate: &mut Gate,
        record: &mut Record,
        mut resolved: Option<(Resolution, u64)>,
    ) -> Passed {
        while let Some(entry) = self.entries.get(gate.next) {
            let (resolution, waited_us) = resolved.take().map_or((None, 0), |(r, us)| (Some(r), us));
            let before = entry.shadow.then(|| gate.so_far());
            let blank = Noted { waited_us, ..blank(gate.next) };
            let looked_at = gate.body.is_some();
            let verdict = entry.policy.decide(asked, gate, resolution);
            if gate.body.is_some() && !looked_at {
                gate.body_policy = gate.next as u16;
            }
            let (noted, stopped) = match verdict {
                Verdict::Continue(value) => (Noted { value, ..blank }, None),
                Verdict::Noted(value, note) => (Noted { value, note: Some(note), ..blank }, None),
                Verdict::Refuse(refused) => {
                    let (reason, note) = (Some(refused.reason), refused.note.clone());
                    (stopped(entry, Noted { reason, note, ..blank }), Some(Passed::Refused(refused)))
                }
                Verdict::Answer(answer) => {
                    let (reason, note) = (answer.reason, answer.note.clone());
                    (stopped(entry, Noted { reason, note, ..blank }), Some(Passed::Answered(answer)))
                }
                Verdict::Wait(wait) if asked.mode.serves() && !(entry.shadow && wait.is_effect) => {
                    entry.series.add(Outcome::Waited);
                    return Passed::Waits(wait);
                }
                Verdict::Wait(wait) => {
                    let note = Some(format!("would wait for {}", wait.what).into());
                    let outcome = if wait.is_effect { Passing::WouldStop } else { Passing::Unknown };
                    (Noted { outcome, note, ..blank }, None)
                }
            };
            if asked.mode.serves() {
                entry.series.count(&noted);
            }
            record.verdict(noted);
            gate.next += 1;
            match (before, stopped) {
                (Some(before), _) => gate.back_to(&before),
                (None, Some(stopped)) => return stopped,
                (None, None) => {}
            }
        }
        Passed::On
    }
}

fn blank(policy: usize) -> Noted {
    let policy = policy as u16;
    Noted { policy, outcome: Passing::Passed, reason: None, note: None, value: None, waited_us: 0 }
}

fn stopped(entry: &Entry, noted: Noted) -> Noted {
    Noted { outcome: if entry.shadow { Passing::WouldStop } else { Passing::Stopped }, ..noted }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.policy.name())).finish()
    }
}

#[cfg(test)]
mod tests;
