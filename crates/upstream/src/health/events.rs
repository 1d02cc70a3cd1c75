//! Changes of health as events, for the log and the dashboard.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::{Failure, Health};
use crate::probes::ProbeFailure;

/// One change of an endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthEvent {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// What changed it.
    pub cause: Cause,
    /// When, in milliseconds since the process started.
    pub at_ms: u64,
}

impl fmt::Display for HealthEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.label(), self.to.label());
        write!(f, "endpoint {} of {}: {from} -> {to}: {}", self.endpoint, self.upstream, self.cause)
    }
}

/// What changed an endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Too many attempts in a row failed.
    Failures {
        /// How the last one failed.
        last: Failure,
        /// How many in a row it takes.
        consecutive: u32,
        /// How often it was ejected lately, this time included.
        ejections: u32,
        /// For how long it is ejected, in milliseconds.
        for_ms: u64,
    },
    /// The time of the ejection is over.
    EjectionOver,
    /// Probes pass.
    ProbePassed,
    /// Probes fail.
    ProbeFailed(ProbeFailure),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures { last, consecutive, ejections, for_ms } => {
                let seconds = *for_ms as f64 / 1000.0;
                write!(f, "{consecutive} failures in a row, the last one {last}; ")?;
                write!(f, "ejected for {seconds:.1}s (ejection {ejections})")
            }
            Self::EjectionOver => f.write_str("its ejection is over"),
            Self::ProbePassed => f.write_str("its probe passed"),
            Self::ProbeFailed(failure) => write!(f, "its probe failed: {failure}"),
        }
    }
}

/// Where events are sent to. Sending never waits: what finds no room is counted and dropped.
#[derive(Clone, Debug)]
pub struct HealthEvents {
    sender: Option<mpsc::Sender<HealthEvent>>,
    lost: Arc<AtomicU64>,
}

impl HealthEvents {
    /// Events go to the receiver, which holds at most `capacity` (at least one) of them.
    pub fn bounded(capacity: usize) -> (Self, mpsc::Receiver<HealthEvent>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender: Some(sender), lost: Arc::default() }, receiver)
    }

    /// Nobody listens.
    pub fn unheard() -> Self {
        Self { sender: None, lost: Arc::default() }
    }

    /// How many events found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn send(&self, event: HealthEvent) {
        if let Some(sender) = &self.sender
            && sender.try_send(event).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Failure, Health, HealthEvent, HealthEvents};

    fn event(at_ms: u64) -> HealthEvent {
        let cause = Cause::Failures {
            last: Failure::GatewayStatus(503),
            consecutive: 5,
            ejections: 2,
            for_ms: 20_500,
        };
        let to = Health::Ejected { until_ms: at_ms + 20_500 };
        HealthEvent {
            upstream: "api".into(),
            endpoint: "a:80".into(),
            from: Health::Usable,
            to,
            cause,
            at_ms,
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (events, mut receiver) = HealthEvents::bounded(2);
        (0..5).for_each(|at_ms| events.send(event(at_ms)));
        assert_eq!(events.lost(), 3);
        assert_eq!(receiver.try_recv().map(|e| e.at_ms), Ok(0));
        drop(receiver);
        events.send(event(9));
        assert_eq!(events.lost(), 4);
        HealthEvents::unheard().send(event(0));
    }

    #[test]
    fn an_event_reads_as_a_sentence() {
        let expected = "endpoint a:80 of api: usable -> ejected: 5 failures in a row, the last one answered 503; \
                        ejected for 20.5s (ejection 2)";
        assert_eq!(event(0).to_string(), expected);
    }
}
