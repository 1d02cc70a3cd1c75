//! What an upstream does about overload at this moment. One that nobody asks anything of does nothing.

use tollgate_decision::Reason;
use tollgate_upstream::{Admission, Breaker, Circuit, Upstream};

/// In words, one a line; empty where there is nothing to tell.
pub(super) fn told_now(upstream: &Upstream, now_ms: u64) -> Vec<String> {
    let circuit = upstream.breaker().and_then(|breaker| circuit(breaker, now_ms));
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

fn circuit(breaker: &Breaker, now_ms: u64) -> Option<String> {
    let status = breaker.status(now_ms);
    let shadow = if status.shadow { " (in shadow)" } else { "" };
    let counts = status.counts;
    Some(match (status.circuit, status.open_for_ms) {
        (Circuit::Closed, _) if counts.failed == 0 => return None,
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
    })
}

fn places(admission: &Admission) -> Option<String> {
    let status = admission.status();
    let waiting: u32 = status.waiting.iter().sum();
    let taken =
        status.cap.filter(|_| status.taken > 0).map(|cap| format!("{} of {cap} places taken", status.taken));
    match (taken, waiting) {
        (None, 0) => None,
        (None, waiting) => Some(format!("{waiting} requests wait for a place")),
        (Some(taken), 0) => Some(taken),
        (Some(taken), waiting) => Some(format!("{taken}, {waiting} requests wait")),
    }
}

#[cfg(test)]
mod tests {
    use tollgate_decision::Reason;
    use tollgate_upstream::{
        BALANCERS, BreakerSettings, Endpoint, Entry, HealthEvents, Outcome, Ticket, Upstream,
        UpstreamSettings, View,
    };

    use super::{refusal_now, told_now};

    #[test]
    fn an_open_circuit_and_taken_places_are_told_and_refuse() {
        let breaker = Some(BreakerSettings { min_requests: 2, ..BreakerSettings::default() });
        let mut settings = UpstreamSettings { breaker, ..UpstreamSettings::default() };
        settings.admission.upstream = Some(1);
        let endpoint = Endpoint::new("e", "127.0.0.1:80".parse().unwrap(), 1);
        let balancer = BALANCERS[0].standard();
        let upstream = Upstream::new("api", vec![endpoint], balancer, settings, HealthEvents::unheard());
        assert_eq!((told_now(&upstream, 0), refusal_now(&upstream, 0)), (vec![], None));
        let Some(Entry::Admitted(_permit)) = upstream.enter(&View::default(), 0, Ticket::default) else {
            panic!()
        };
        assert_eq!(told_now(&upstream, 0), ["1 of 1 places taken"]);
        assert_eq!(refusal_now(&upstream, 0), Some(Reason::UpstreamFull));
        let breaker = upstream.breaker().unwrap();
        (0..2).for_each(|_| breaker.report(Outcome::Failure, 0, 1000));
        assert_eq!(told_now(&upstream, 1000), ["circuit open for another 30.0s", "1 of 1 places taken"]);
        assert_eq!(refusal_now(&upstream, 1000), Some(Reason::CircuitOpen));
        assert_eq!(
            told_now(&upstream, 40_000)[0],
            "circuit half open: 5 requests at a time try the upstream"
        );
    }
}
