use tollgate_decision::Reason;
use tollgate_policy::{Consumer, Mode};

use super::*;
use crate::sample::{Sample, response};

fn limit(count: u64, delay_us: u64) -> RateLimit {
    let rate =
        |count| Rate { limit: Limit::Gcra(Gcra::new(count, 60_000_000, count)), quota: count, window_s: 60 };
    let groups = vec![("small".into(), rate(count + 1)), ("gold".into(), rate(count * 10))];
    let settings = Settings {
        name: "per-caller".into(),
        by: KeySource::Consumer,
        rates: Amounts::new(rate(count), groups, |rate| rate.quota)
            .with_consumers([("bob".into(), rate(count + 2))].into()),
        cost: Cost::default(),
        style: Style::Draft,
        delay_us,
    };
    let counters =
        Counters { table: Arc::new(Table::new(100)), hash: Arc::new(KeyHash::from_secret([1, 2])) };
    RateLimit::new(settings, Counter::Here(counters))
}

fn asks(policy: &RateLimit, gate: &mut Gate, now_us: u64, mode: Mode<'_>) -> Verdict {
    let sample = Sample::new("GET /", "");
    let mut asked = sample.asked();
    asked.moment.now_us = now_us;
    asked.mode = mode;
    policy.decide(&asked, gate, None)
}

#[test]
fn what_is_over_the_rate_is_refused_and_told_when_to_come_again() {
    let (policy, mut gate) = (limit(2, 0), Gate::default());
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Continue(Some(1))));
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Continue(Some(0))));
    let Verdict::Refuse(refused) = asks(&policy, &mut gate, 0, Mode::Serve) else { panic!() };
    assert_eq!((refused.reason, refused.retry_after_s), (Reason::RateLimited, Some(30)));
    let told = response(&gate);
    assert!(told.contains("RateLimit-Policy: \"per-caller\";q=2;w=60\r\n"), "{told}");
    assert!(told.contains("RateLimit: \"per-caller\";r=0;t=60\r\n"), "{told}");
    assert!(matches!(asks(&policy, &mut gate, 30_000_000, Mode::Serve), Verdict::Continue(Some(0))));
}

#[test]
fn an_explanation_uses_nothing_up() {
    let (policy, mut gate) = (limit(1, 0), Gate::default());
    for _ in 0..3 {
        assert!(matches!(asks(&policy, &mut gate, 0, Mode::Explain(None)), Verdict::Continue(Some(0))));
    }
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Continue(_)));
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Explain(None)), Verdict::Refuse(_)));
}

#[test]
fn of_several_groups_the_largest_rate_counts() {
    let (policy, mut gate) = (limit(1, 0), Gate::default());
    let groups = ["small".into(), "gold".into()].into();
    let consumer = Consumer { name: "alice".into(), groups, ..Consumer::default() };
    gate.caller.consumer = Some(Arc::new(consumer));
    for left in (0..10).rev() {
        let Verdict::Continue(told) = asks(&policy, &mut gate, 0, Mode::Serve) else { panic!() };
        assert_eq!(told, Some(left));
    }
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Refuse(_)));
}

#[test]
fn what_a_consumer_has_of_its_own_counts_before_what_its_groups_have() {
    let (policy, mut gate) = (limit(1, 0), Gate::default());
    let consumer = Consumer { name: "bob".into(), groups: ["gold".into()].into(), ..Consumer::default() };
    gate.caller.consumer = Some(Arc::new(consumer));
    for left in (0..3).rev() {
        let Verdict::Continue(told) = asks(&policy, &mut gate, 0, Mode::Serve) else { panic!() };
        assert_eq!(told, Some(left));
    }
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Refuse(_)));
}

#[test]
fn with_a_delay_requests_take_turns_and_only_those_that_would_wait_longer_are_refused() {
    // One a second, and two may wait.
    let (policy, mut gate) = (limit(60, 2_000_000), Gate::default());
    for _ in 0..60 {
        assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Continue(_)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    for seconds in [1000, 2000] {
        let Verdict::Wait(wait) = asks(&policy, &mut gate, 0, Mode::Serve) else { panic!() };
        assert!(wait.is_effect);
        assert_eq!(wait.what, format!("its turn for {seconds} ms"));
    }
    assert!(matches!(asks(&policy, &mut gate, 0, Mode::Serve), Verdict::Refuse(_)));
}
