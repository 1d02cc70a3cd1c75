//! Changes of health and of circuit breakers as events, for the log, the API and the dashboard.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{Comparison, Failure, Health, Rule};
use crate::breaker::BreakerEvent;
use crate::probes::ProbeFailure;

/// How many of the newest events are kept to be asked for.
pub const KEPT: usize = 1000;

/// Something that has changed at an upstream by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// The health of an endpoint.
    Health(HealthEvent),
    /// What its circuit breaker does.
    Circuit(BreakerEvent),
}

impl UpstreamEvent {
    /// Name of the upstream.
    pub fn upstream(&self) -> &Arc<str> {
        match self {
            Self::Health(event) => &event.upstream,
            Self::Circuit(event) => &event.upstream,
        }
    }
}

impl From<HealthEvent> for UpstreamEvent {
    fn from(event: HealthEvent) -> Self {
        Self::Health(event)
    }
}

impl From<BreakerEvent> for UpstreamEvent {
    fn from(event: BreakerEvent) -> Self {
        Self::Circuit(event)
    }
}

impl fmt::Display for UpstreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Health(event) => event.fmt(f),
            Self::Circuit(event) => event.fmt(f),
        }
    }
}

/// One change of an endpoint's health, or one that would have been but for shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthEvent {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// What it was.
    pub from: Health,
    /// What it is; the same as before where the ejection is one in shadow.
    pub to: Health,
    /// What changed it.
    pub cause: Cause,
    /// When, in milliseconds since the process started.
    pub at_ms: u64,
}

impl fmt::Display for HealthEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.label(), self.to.label());
        write!(f, "endpoint {} of {}: ", self.endpoint, self.upstream)?;
        if from != to {
            write!(f, "{from} -> {to}: ")?;
        }
        self.cause.fmt(f)
    }
}

/// What changed an endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Outlier detection.
    Ejected(EjectionCause),
    /// The time of the ejection is over.
    EjectionOver,
    /// Probes pass.
    ProbePassed,
    /// Probes fail.
    ProbeFailed(ProbeFailure),
}

impl Cause {
    /// The word for programs: the rule of an ejection, else what happened.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Ejected(cause) => cause.why.rule().label(),
            Self::EjectionOver => "ejection_over",
            Self::ProbePassed => "probe_passed",
            Self::ProbeFailed(_) => "probe_failed",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ejected(cause) => cause.fmt(f),
            Self::EjectionOver => f.write_str("its ejection is over"),
            Self::ProbePassed => f.write_str("its probe passed"),
            Self::ProbeFailed(failure) => write!(f, "its probe failed: {failure}"),
        }
    }
}

/// Why and for how long an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionCause {
    /// What outlier detection has seen.
    pub why: Why,
    /// How often it was ejected lately, this time included.
    pub ejections: u32,
    /// For how long it is ejected, in milliseconds.
    pub for_ms: u64,
    /// It is not ejected: the detection runs in shadow.
    pub shadow: bool,
}

impl fmt::Display for EjectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.shadow { "would be ejected (in shadow)" } else { "ejected" };
        let seconds = self.for_ms as f64 / 1000.0;
        write!(f, "{}; {done} for {seconds:.1}s (ejection {})", self.why, self.ejections)
    }
}

/// What outlier detection has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Too many failures in a row.
    Row {
        /// The rule.
        rule: Rule,
        /// How many there were.
        failures: u32,
        /// The last one.
        last: Failure,
    },
    /// More failures than are right in an interval.
    Interval(Comparison),
}

impl Why {
    /// The rule that it goes against.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Row { rule, .. } => *rule,
            Self::Interval(comparison) => comparison.rule,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { rule, failures, last } => {
                write!(f, "{}: {failures} failures in a row, the last one {last}", rule.label())
            }
            Self::Interval(Comparison { rule, counts, rate, mean, threshold }) => {
                let percent = |basis_points: u32| f64::from(basis_points) / 100.0;
                let (rate, threshold) = (percent(*rate), percent(*threshold));
                write!(f, "{}: {} of {} attempts failed", rule.label(), counts.failed, counts.attempts)?;
                match mean.map(percent) {
                    Some(mean) => {
                        write!(f, ", {rate:.2}% were good; the mean is {mean:.2}%, the bound {threshold:.2}%")
                    }
                    None => write!(f, ", {rate:.2}% were good; the bound is {threshold:.2}%"),
                }
            }
        }
    }
}

/// Where events are sent to. Sending never waits for who listens: what finds no room is counted and dropped. The newest
/// are kept as well, under a lock that is taken only when something changes or somebody asks.
#[derive(Clone, Debug)]
pub struct HealthEvents {
    sender: Option<mpsc::Sender<UpstreamEvent>>,
    lost: Arc<AtomicU64>,
    newest: Arc<Mutex<Newest>>,
}

/// The newest events. The last one has the number [`Newest::number`], those before it one less each.
#[derive(Debug, Default)]
struct Newest {
    number: u64,
    events: VecDeque<UpstreamEvent>,
}

impl HealthEvents {
    /// Events go to the receiver, which holds at most `capacity` (at least one) of them; the newest [`KEPT`] can be
    /// asked for.
    pub fn bounded(capacity: usize) -> (Self, mpsc::Receiver<UpstreamEvent>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender: Some(sender), lost: Arc::default(), newest: Arc::default() }, receiver)
    }

    /// Nobody listens, and nothing is kept.
    pub fn unheard() -> Self {
        Self { sender: None, lost: Arc::default(), newest: Arc::default() }
    }

    /// How many events found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The number of the latest event; they are numbered from 1.
    pub fn latest(&self) -> u64 {
        self.newest().number
    }

    /// The newest `most` of the events with a number above `after` that `wanted` takes, oldest first, with their numbers.
    pub fn since(
        &self,
        after: u64,
        most: usize,
        wanted: impl Fn(&UpstreamEvent) -> bool,
    ) -> Vec<(u64, UpstreamEvent)> {
        let newest = self.newest();
        let numbers = (0..=newest.number).rev();
        let numbered = numbers.zip(newest.events.iter().rev()).take_while(|(number, _)| *number > after);
        let mut found: Vec<_> = numbered
            .filter(|(_, event)| wanted(event))
            .take(most)
            .map(|(number, event)| (number, event.clone()))
            .collect();
        found.reverse();
        found
    }

    pub(crate) fn send(&self, event: UpstreamEvent) {
        let Some(sender) = &self.sender else { return };
        {
            let mut newest = self.newest();
            if newest.events.len() == KEPT {
                newest.events.pop_front();
            }
            newest.events.push_back(event.clone());
            newest.number += 1;
        }
        if sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is behind the lock, also after a panic: nothing there is left half done.
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "events/tests.rs"]
mod tests;
