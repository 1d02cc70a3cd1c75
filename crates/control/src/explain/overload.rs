//! What an upstream does about overload at this moment.

use tollgate_decision::Reason;
use tollgate_upstream::{Admission, Breaker, Circuit, Upstream};

/// In words, one a line; empty where it limits nothing.
pub(super) fn told_now(upstream: &Upstream, now_ms: u64) -> Vec<String> {
    let circuit = upstream.breaker().map(|breaker| circuit(breaker, now_ms));
    circuit.into_iter().chain(upstream.admission().and_then(places)).collect()
}

/// Why a request that came now would get nowhere, if that is so. One that would wait is not refused.
pub(super) fn refusal_now(upstream: &Upstream, now_ms: u64) -> Option<Reason> {
    let status = upstream.breaker().map(|breaker| breaker.status(now_ms));
    if status.is_some_and(|s| s.circuit == Circuit::Open && s.open_for_ms > 0 && !s.shadow) {
        return Some(Reason::CircuitOpen);
    }
    let places = upstream.admission()?.status();
    let full = places.cap.is_some_and(|cap| places.taken >= cap);
    (full && upstream.settings().admission.queue.is_none()).then_some(Reason::UpstreamFull)
}

fn circuit(breaker: &Breaker, now_ms: u64) -> String {
    let status = breaker.status(now_ms);
    let shadow = if status.shadow { " (in shadow)" } else { "" };
    let counts = status.counts;
    match (status.circuit, status.open_for_ms) {
        (Circuit::Closed, _) => {
            let (failed, total) = (counts.failed, counts.total);
            format!("circuit{shadow} closed: {failed} of the last {total} requests failed")
        }
        (Circuit::Open, left_ms @ 1..) => {
            format!("circuit{shadow} open for another {:.1}s", left_ms as f64 / 1000.0)
        }
        (Circuit::Open | Circuit::HalfOpen, _) => {
            let trials = breaker.settings().trials;
            format!("circuit{shadow} half open: {trials} requests at a time try the upstream")
        }
    }
}

fn places(admission: &Admission) -> Option<String> {
    let status = admission.status();
    let waiting: u32 = status.waiting.iter().sum();
    let taken = status.cap.map(|cap| format!("{} of {cap} places taken", status.taken));
    match (taken, waiting) {
        (None, 0) => None,
        (None, waiting) => Some(format!("{waiting} requests wait for a place")),
        (Some(taken), 0) => Some(taken),
        (Some(taken), waiting) => Some(format!("{taken}, {waiting} requests wait")),
    }
}
