//! The breaker against a naive one.

use tokio::sync::mpsc;

use super::window::Window;
use super::{Breaker, BreakerSettings, Circuit, Counts, Leave, Outcome, SlowSettings, Trial, Turn};
use crate::health::{HealthEvents, UpstreamEvent};
use crate::random::Random;

fn breaker(settings: BreakerSettings) -> (Breaker, mpsc::Receiver<UpstreamEvent>) {
    let (events, receiver) = HealthEvents::bounded(1000);
    (Breaker::new(settings, "api".into(), events), receiver)
}

fn turns(receiver: &mut mpsc::Receiver<UpstreamEvent>) -> Vec<(u64, Turn)> {
    let event = |event| match event {
        UpstreamEvent::Circuit(event) => (event.at_ms, event.turn),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| receiver.try_recv().ok()).map(event).collect()
}

fn trial(breaker: &Breaker, now_ms: u64) -> Trial {
    match breaker.allow(now_ms) {
        Leave::Trial(trial) => trial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_opens_tries_again_longer_each_time_and_closes() {
    let settings =
        BreakerSettings { min_requests: 4, trials: 2, max_open_ms: 70_000, ..BreakerSettings::default() };
    let (breaker, mut events) = breaker(settings);
    (0..2).for_each(|_| breaker.report(Outcome::Success, 0, 100));
    (0..2).for_each(|_| breaker.report(Outcome::Failure, 0, 200));
    assert!(matches!(breaker.allow(200), Leave::Open { retry_after_ms: 30_000 }));
    assert!(matches!(breaker.allow(30_199), Leave::Open { retry_after_ms: 1 }));
    for (at_ms, for_ms) in [(30_200, 60_000), (90_200, 70_000), (160_200, 70_000)] {
        let (first, _second) = (trial(&breaker, at_ms), trial(&breaker, at_ms));
        assert!(matches!(breaker.allow(at_ms), Leave::Open { .. }), "two at once");
        first.report(Outcome::Failure, 0, at_ms);
        assert!(matches!(breaker.allow(at_ms + for_ms - 1), Leave::Open { retry_after_ms: 1 }));
    }
    let (first, second) = (trial(&breaker, 230_200), trial(&breaker, 230_200));
    drop(first);
    second.report(Outcome::Success, 0, 230_300);
    trial(&breaker, 230_300).report(Outcome::Success, 0, 230_400);
    assert!(matches!(breaker.allow(230_400), Leave::Go));
    let counts = Counts { total: 4, failed: 2, slow: 0 };
    assert_eq!(breaker.status(230_400).counts, Counts::default());
    let turns = turns(&mut events);
    assert_eq!(turns[0], (200, Turn::Tripped { counts, for_ms: 30_000 }));
    assert_eq!(
        turns[1..3],
        [(30_200, Turn::TriesAgain), (30_200, Turn::TrialFailed { openings: 2, for_ms: 60_000 })]
    );
    assert_eq!(turns[turns.len() - 1], (230_400, Turn::Recovered { trials: 2 }));
}

#[test]
fn slow_responses_open_it_too() {
    let slow = Some(SlowSettings { over_ms: 2000, basis_points: 5000 });
    let (breaker, _events) = breaker(BreakerSettings { slow, ..BreakerSettings::default() });
    (0..10).for_each(|_| breaker.report(Outcome::Success, 2_000_000, 0));
    (0..9).for_each(|_| breaker.report(Outcome::Success, 2_000_001, 0));
    assert!(matches!(breaker.allow(0), Leave::Go));
    breaker.report(Outcome::Success, 3_000_000, 0);
    assert!(matches!(breaker.allow(0), Leave::Open { .. }));
    trial(&breaker, 30_000).report(Outcome::Success, 3_000_000, 33_000);
    assert_eq!(breaker.status(33_000).circuit, Circuit::Open);
}

#[test]
fn in_shadow_all_pass_and_it_is_counted_who_would_not_have() {
    let (breaker, mut events) = breaker(BreakerSettings { shadow: true, ..BreakerSettings::default() });
    (0..20).for_each(|_| breaker.report(Outcome::Failure, 0, 0));
    assert!((0..5).all(|_| matches!(breaker.allow(1), Leave::Go)));
    assert_eq!((breaker.status(1).refused, breaker.status(1).circuit), (5, Circuit::Open));
    let event = events.try_recv().unwrap().to_string();
    assert_eq!(
        event,
        "circuit of api (in shadow): closed -> open: of the last 20 exchanges 20 failed and 0 were slow; open for 30.0s"
    );
}

/// All that was told, looked through each time.
struct Naive {
    settings: BreakerSettings,
    told: Vec<(u64, bool, bool)>,
    state: State,
    openings: u32,
}

enum State {
    Closed,
    Open(u64),
    Trying { trying: Vec<u64>, succeeded: u32 },
}

impl Naive {
    fn counts(&self, now_ms: u64) -> Counts {
        let part_ms = self.settings.window_ms.div_ceil(10);
        let first = (now_ms / part_ms).saturating_sub(9);
        let inside = self.told.iter().filter(|(at_ms, ..)| at_ms / part_ms >= first);
        inside.fold(Counts::default(), |counts, (_, failed, slow)| Counts {
            total: counts.total + 1,
            failed: counts.failed + u64::from(*failed),
            slow: counts.slow + u64::from(*slow),
        })
    }

    fn open(&mut self, now_ms: u64) {
        let for_ms = (self.settings.open_ms << self.openings).min(self.settings.max_open_ms);
        self.openings += 1;
        self.state = State::Open(now_ms + for_ms);
    }

    fn report(&mut self, failed: bool, slow: bool, now_ms: u64) {
        self.told.push((now_ms, failed, slow));
        let counts = self.counts(now_ms);
        let share = |part: u64| part * 10_000;
        let too_slow = self
            .settings
            .slow
            .is_some_and(|slow| share(counts.slow) >= counts.total * u64::from(slow.basis_points));
        if matches!(self.state, State::Closed)
            && (failed || slow)
            && counts.total >= u64::from(self.settings.min_requests)
            && (share(counts.failed) >= counts.total * u64::from(self.settings.error_basis_points)
                || too_slow)
        {
            self.openings = 0;
            self.open(now_ms);
        }
    }

    /// `None`: it may go. A number: for how long not. As a trial: 0.
    fn allow(&mut self, now_ms: u64, name: u64) -> Option<u64> {
        if let State::Open(until_ms) = self.state {
            if now_ms < until_ms {
                return Some(until_ms - now_ms);
            }
            self.state = State::Trying { trying: Vec::new(), succeeded: 0 };
        }
        match &mut self.state {
            State::Trying { trying, succeeded } => {
                if trying.len() as u32 + *succeeded >= self.settings.trials {
                    return Some(1000);
                }
                trying.push(name);
                Some(0)
            }
            _ => None,
        }
    }

    fn tried(&mut self, name: u64, went_well: Option<bool>, now_ms: u64) {
        let State::Trying { trying, succeeded } = &mut self.state else { return };
        let before = trying.len();
        trying.retain(|trial| *trial != name);
        if trying.len() == before {
            return;
        }
        match went_well {
            None => {}
            Some(false) => self.open(now_ms),
            Some(true) => {
                *succeeded += 1;
                if *succeeded >= self.settings.trials {
                    self.told.clear();
                    self.state = State::Closed;
                }
            }
        }
    }
}

fn random_settings(random: &mut Random) -> BreakerSettings {
    let slow = SlowSettings { over_ms: 10, basis_points: 1000 + random.below(9000) as u32 };
    BreakerSettings {
        error_basis_points: 1000 + random.below(9000) as u32,
        slow: (random.below(2) == 0).then_some(slow),
        min_requests: 1 + random.below(30) as u32,
        window_ms: 100 + random.below(5000),
        open_ms: 50 + random.below(2000),
        max_open_ms: 3000,
        trials: 1 + random.below(4) as u32,
        shadow: false,
    }
}

#[test]
fn it_does_what_a_naive_one_does() {
    let mut opened = 0;
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let settings = random_settings(&mut random);
        let (breaker, mut events) = breaker(settings);
        let mut naive = Naive { settings, told: Vec::new(), state: State::Closed, openings: 0 };
        let (mut now_ms, mut trials, sick) = (0, Vec::new(), random.below(3));
        for step in 0..300 {
            now_ms += random.below(1 + settings.window_ms / 10);
            let failed = random.below(4) <= sick && random.below(2) == 0;
            let latency_us = random.below(12_000);
            let outcome = if failed { Outcome::Failure } else { Outcome::Success };
            let slow = settings.slow.is_some() && latency_us > 10_000;
            match breaker.allow(now_ms) {
                Leave::Go => {
                    assert_eq!(naive.allow(now_ms, step), None, "seed {seed} step {step}");
                    breaker.report(outcome, latency_us, now_ms);
                    naive.report(failed, slow, now_ms);
                }
                Leave::Trial(trial) => {
                    assert_eq!(naive.allow(now_ms, step), Some(0), "seed {seed} step {step}");
                    trials.push((step, trial));
                }
                Leave::Open { retry_after_ms } => {
                    assert_eq!(naive.allow(now_ms, step), Some(retry_after_ms), "seed {seed} step {step}");
                }
            }
            if !trials.is_empty() && random.below(2) == 0 {
                let (name, trial) = trials.swap_remove(random.below(trials.len() as u64) as usize);
                if random.below(4) == 0 {
                    drop(trial);
                    naive.tried(name, None, now_ms);
                } else {
                    trial.report(outcome, latency_us, now_ms);
                    naive.tried(name, Some(!failed && !slow), now_ms);
                }
            }
            assert_eq!(breaker.status(now_ms).counts, naive.counts(now_ms), "seed {seed} step {step}");
        }
        opened += turns(&mut events).len();
    }
    assert!(opened > 4000, "{opened}");
}

#[test]
fn threads_lose_no_count_where_the_window_moves_on() {
    for round in 0..200u64 {
        let window = Window::new(10);
        // Each part is begun anew by all threads at once, over what is long ago.
        for now_ms in [0, 5, 40, 44, 1000 + round] {
            std::thread::scope(|scope| {
                (0..4).for_each(|_| {
                    drop(scope.spawn(|| (0..50).for_each(|_| window.bad(true, false, now_ms))))
                });
            });
        }
        let counts = window.counts(1000 + round);
        assert_eq!(counts, Counts { total: 200, failed: 200, slow: 0 }, "round {round}");
        window.clear();
        assert_eq!(window.counts(1000 + round), Counts::default());
    }
}
