//! What a route's policies decide about a request that is explained, or decided about a recorded one.

use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_decision::{Passing, Reason, Verdict};
use tollgate_policy::Caller;
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::Understood;
use tollgate_proxy::decide::gate::{self, Arrival, Judged};
use tollgate_proxy::http::Refusal;
use tollgate_proxy::recorder::Entry;

use super::Explanation;

/// What a policy decided.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTold {
    /// Its name.
    pub name: String,
    /// What it decided.
    pub verdict: Verdict,
}

impl PolicyTold {
    /// For programs.
    pub fn to_json(&self) -> Json {
        json!({
            "policy": self.name,
            "outcome": outcome(self.verdict.outcome),
            "reason": self.verdict.reason.map(Reason::code),
            "note": self.verdict.note,
            "value": self.verdict.value,
            "waited_us": (self.verdict.waited_us > 0).then_some(self.verdict.waited_us),
        })
    }
}

/// For people.
impl fmt::Display for PolicyTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { outcome, reason, note, value, waited_us, .. } = &self.verdict;
        let word = match outcome {
            Passing::Passed => "passed",
            Passing::Stopped => "stopped the request",
            Passing::WouldStop => "in shadow: would have stopped the request",
            Passing::Unknown => "not asked",
        };
        write!(f, "{}: {word}", self.name)?;
        if let Some(reason) = reason {
            write!(f, ", {}", reason.code())?;
        }
        if let Some(note) = note {
            write!(f, ", {note}")?;
        }
        if let Some(value) = value {
            write!(f, ", {value} left")?;
        }
        match waited_us {
            0 => Ok(()),
            us => write!(f, ", after waiting {}.{:03}ms", us / 1000, us % 1000),
        }
    }
}

fn outcome(passing: Passing) -> &'static str {
    match passing {
        Passing::Passed => "passed",
        Passing::Stopped => "stopped",
        Passing::WouldStop => "would_stop",
        Passing::Unknown => "unknown",
    }
}

/// Asks the policies of a route about a request that nobody sent; `None` where it has none.
pub(super) fn ask(
    snapshot: &Snapshot,
    route: u32,
    understood: &Understood<'_>,
    arrival: &Arrival<'_>,
    told: &mut Explanation,
) -> Option<Judged> {
    let judged = gate::judge(snapshot, route, understood, arrival)?;
    let each = judged.verdicts.iter();
    let each =
        each.map(|verdict| PolicyTold { name: judged.name(verdict).to_owned(), verdict: verdict.clone() });
    told.policies = each.collect();
    told.consumer = consumer(&judged.gate.caller);
    Some(judged)
}

/// What the policies of a recorded exchange decided.
pub(super) fn tell_recorded(entry: &Entry, told: &mut Explanation) -> Result<(), Refusal> {
    let names = entry.names.policies.iter().map(String::as_str).chain(std::iter::repeat("policy"));
    let verdicts = entry.record.verdicts().iter();
    let each = verdicts
        .zip(names)
        .map(|(verdict, name)| PolicyTold { name: name.to_owned(), verdict: verdict.clone() });
    told.policies = each.collect();
    told.consumer = entry.client.caller.as_deref().and_then(consumer);
    let stopped = entry.record.verdicts().last().filter(|verdict| verdict.outcome == Passing::Stopped);
    stopped.and_then(|verdict| verdict.reason).map_or(Ok(()), |reason| Err(reason.into()))
}

/// Who it is, as far as there is something to call them.
fn consumer(caller: &Caller) -> Option<String> {
    match (caller.name(), caller.subject.as_deref()) {
        ("", Some(subject)) => Some(format!("none, subject {subject}")),
        ("", None) => None,
        (name, _) => Some(name.to_owned()),
    }
}
