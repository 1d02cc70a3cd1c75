//! Trials of made-up traffic: how often nothing is taken for something, and whether something is found.

use tollgate_runtime::Random;
use tollgate_telemetry::Histogram;
use tollgate_telemetry::histogram::Sum;

use super::{Figures, FiguresByRoute, UNROUTED, between, worse};

const ROUTES: usize = 3;
/// Seconds before the change, and looks after it.
const BEFORE: usize = 5;
const LOOKS: u32 = 20;

/// A route's traffic: how much, how much of it fails, how slow it is.
#[derive(Clone, Copy)]
struct Nature {
    per_second: f64,
    failing: f64,
    median_us: f64,
    /// The deviation of the logarithm: 0.3 is a steady service, 1.5 one with a long tail.
    spread: f64,
}

struct Simulation {
    random: Random,
    natures: Vec<Nature>,
    so_far: Vec<(Histogram, u64, u64)>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let mut between = |low: f64, high: f64| (low.ln() + share(&mut random) * (high / low).ln()).exp();
        let natures = (0..ROUTES)
            .map(|_| Nature {
                per_second: between(0.5, 40.0),
                failing: between(0.0002, 0.3),
                median_us: between(200.0, 500_000.0),
                spread: between(0.2, 1.6),
            })
            .collect();
        let so_far = (0..ROUTES).map(|_| Default::default()).collect();
        Self { random, natures, so_far }
    }

    fn second(&mut self) {
        for (nature, (histogram, exchanges, failed)) in self.natures.iter().zip(&mut self.so_far) {
            let random = &mut self.random;
            // Between none and twice as many: loads swing.
            let count = (nature.per_second * 2.0 * share(random) + share(random)) as u64;
            for _ in 0..count {
                *failed += u64::from(share(random) < nature.failing);
                let normal = (share(random) + share(random) + share(random) - 1.5) * 2.0;
                histogram.record((nature.median_us * (normal * nature.spread).exp()) as u64);
            }
            *exchanges += count;
        }
    }

    fn figures(&self) -> FiguresByRoute {
        let of = |(number, (histogram, exchanges, failed)): (usize, &(Histogram, u64, u64))| {
            let mut sum = Sum::default();
            // Summing up is what takes the time, and nobody asks how long refusals took.
            if number > 0 {
                histogram.add_to(&mut sum);
            }
            let figures =
                Figures { exchanges: *exchanges, failed: *failed, refused: 0, durations: sum.sparse() };
            // One of them is the requests that no route takes.
            let name = if number == 0 { UNROUTED.to_owned() } else { format!("route-{number}") };
            (name, figures)
        };
        self.so_far.iter().enumerate().map(of).collect()
    }

    /// What is found after how many looks, if something is.
    fn trial(&mut self, change: impl Fn(&mut Nature)) -> Option<(u32, String)> {
        (0..BEFORE).for_each(|_| self.second());
        let before = self.figures();
        self.natures.iter_mut().for_each(change);
        (1..=LOOKS).find_map(|look| {
            self.second();
            worse(&before, &between(&before, &self.figures()), look).map(|found| (look, found))
        })
    }
}

fn share(random: &mut Random) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[test]
fn nothing_is_hardly_ever_taken_for_something() {
    let alarms: Vec<_> =
        (0..2_000).filter_map(|seed| Some((seed, Simulation::new(seed).trial(|_| ())?))).collect();
    // The seeds are fixed, so this is no matter of luck.
    assert!(alarms.len() < 2, "seed, look and what was found: {alarms:#?}");
}

#[test]
fn five_times_the_failures_are_found() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(seed);
        for nature in &mut simulation.natures {
            nature.per_second = nature.per_second.max(80.0);
            nature.failing = nature.failing.clamp(0.02, 0.18);
        }
        // With less of a past, twelve failures may have been chance: it does not convict.
        (0..15).for_each(|_| simulation.second());
        let found = simulation.trial(|nature| nature.failing *= 5.0);

        assert!(
            found.as_ref().is_some_and(|(_, found)| found.contains("failures of route")),
            "seed {seed}: {found:?}"
        );
    }
}

#[test]
fn three_times_the_latency_is_found() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(seed);
        for nature in &mut simulation.natures {
            nature.per_second = nature.per_second.max(80.0);
            nature.median_us = nature.median_us.max(20_000.0);
            nature.spread = nature.spread.min(0.8);
        }
        let found = simulation.trial(|nature| nature.median_us *= 3.0);
        assert!(found.as_ref().is_some_and(|(_, found)| found.contains("before")), "seed {seed}: {found:?}");
    }
}
