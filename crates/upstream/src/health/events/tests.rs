use super::{Cause, EjectionCause, Failure, Health, HealthEvent, HealthEvents, KEPT, UpstreamEvent, Why};
use crate::health::{Comparison, Counts, Rule};

fn event(at_ms: u64) -> HealthEvent {
    let why = Why::Row { rule: Rule::Consecutive5xx, failures: 5, last: Failure::Status(503) };
    ejected(at_ms, why, false)
}

fn ejected(at_ms: u64, why: Why, shadow: bool) -> HealthEvent {
    let cause = Cause::Ejected(EjectionCause { why, ejections: 2, for_ms: 20_500, shadow });
    let to = if shadow { Health::Usable } else { Health::Ejected { until_ms: at_ms + 20_500 } };
    HealthEvent {
        upstream: "api".into(),
        endpoint: format!("e{}:80", at_ms % 2).into(),
        from: Health::Usable,
        to,
        cause,
        at_ms,
    }
}

fn at_ms(event: &UpstreamEvent) -> u64 {
    match event {
        UpstreamEvent::Health(event) => event.at_ms,
        UpstreamEvent::Circuit(event) => event.at_ms,
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    let (events, mut receiver) = HealthEvents::bounded(2);
    (0..5).for_each(|at_ms| events.send(event(at_ms).into()));
    assert_eq!(events.lost(), 3);
    assert_eq!(receiver.try_recv(), Ok(event(0).into()));
    drop(receiver);
    events.send(event(9).into());
    assert_eq!(events.lost(), 4);
    HealthEvents::unheard().send(event(0).into());
}

#[test]
fn the_newest_are_kept_and_can_be_asked_for() {
    let (events, _receiver) = HealthEvents::bounded(1);
    assert_eq!((events.latest(), events.since(0, 9, |_| true)), (0, vec![]));
    (1..=3 * KEPT as u64).for_each(|at_ms| events.send(event(at_ms).into()));
    let numbers = |after, most| -> Vec<u64> {
        let found = events.since(after, most, |_| true);
        found.iter().inspect(|(number, event)| assert_eq!(*number, at_ms(event))).map(|(n, _)| *n).collect()
    };
    assert_eq!(events.latest(), 3000);
    assert_eq!(numbers(0, usize::MAX), (2001..=3000).collect::<Vec<_>>());
    assert_eq!(numbers(2500, 3), [2998, 2999, 3000]);
    assert_eq!(numbers(2999, 9), [3000]);
    assert_eq!(numbers(3000, 9), [0; 0]);
    assert_eq!(numbers(u64::MAX, 9), [0; 0]);
    let odd = events.since(2990, 2, |event| at_ms(event) % 2 == 1);
    assert_eq!(odd.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2997, 2999]);
}

#[test]
fn an_event_reads_as_a_sentence() {
    let expected = "endpoint e0:80 of api: usable -> ejected: consecutive_5xx: 5 failures in a row, the last one \
                    answered 503; ejected for 20.5s (ejection 2)";
    assert_eq!(event(0).to_string(), expected);
    let counts = Counts { attempts: 200, failed: 120 };
    let comparison =
        Comparison { rule: Rule::SuccessRate, counts, rate: 4000, mean: Some(8812), threshold: 5031 };
    let expected = "endpoint e1:80 of api: success_rate: 120 of 200 attempts failed, 40.00% were good; the mean is \
                    88.12%, the bound 50.31%; would be ejected (in shadow) for 20.5s (ejection 2)";
    assert_eq!(ejected(1, Why::Interval(comparison), true).to_string(), expected);
    let comparison = Comparison { rule: Rule::FailurePercentage, mean: None, ..comparison };
    assert!(
        ejected(1, Why::Interval(comparison), false)
            .to_string()
            .contains("good; the bound is 50.31%; ejected")
    );
}
