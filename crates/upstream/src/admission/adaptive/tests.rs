//! The cap against modelled servers.

use super::{AdaptiveSettings, Gradient};
use crate::random::Random;

/// A server that works on `lanes` exchanges at once, each for `service_us`; more of them wait.
#[derive(Clone, Copy)]
struct Server {
    lanes: u32,
    service_us: u64,
}

impl Server {
    fn latency_us(self, in_flight: u32, random: &mut Random) -> u64 {
        let queued = self.service_us * u64::from(in_flight.max(self.lanes)) / u64::from(self.lanes);
        // A tenth more or less.
        queued * (90 + random.below(21)) / 100
    }
}

/// Keeps as many exchanges at the server as the cap allows, or `demand`, for so long. Returns the caps seen in the last half.
fn run(gradient: &mut Gradient, server: Server, demand: u32, now_us: &mut u64, for_us: u64) -> Vec<u32> {
    let mut random = Random::new(*now_us + 1);
    let (end_us, half_us) = (*now_us + for_us, *now_us + for_us / 2);
    let mut caps = Vec::new();
    while *now_us < end_us {
        let in_flight = gradient.cap().min(demand);
        let latency_us = server.latency_us(in_flight, &mut random);
        *now_us += latency_us / u64::from(in_flight) + 1;
        gradient.observe(latency_us, in_flight, *now_us);
        if *now_us > half_us && gradient.measuring_since_us.is_none() {
            caps.push(gradient.cap());
        }
    }
    caps
}

fn mean(caps: &[u32]) -> f64 {
    caps.iter().map(|cap| f64::from(*cap)).sum::<f64>() / caps.len() as f64
}

const MINUTE_US: u64 = 60_000_000;

#[test]
fn it_finds_the_knee() {
    for seed in 0..20 {
        for lanes in [10, 40, 200] {
            let mut gradient = Gradient::new(AdaptiveSettings::default(), seed, 0);
            let server = Server { lanes, service_us: 10_000 };
            let cap = mean(&run(&mut gradient, server, u32::MAX, &mut 0, MINUTE_US));
            // The tolerance, and the square root with which it probes: at 10 lanes that is half as much again.
            let knee = f64::from(lanes);
            assert!(
                cap >= knee && cap <= 1.25 * knee + 3.0 * knee.sqrt(),
                "seed {seed}, {lanes} lanes: {cap}"
            );
        }
    }
}

#[test]
fn it_follows_a_server_that_becomes_another() {
    for seed in 0..20 {
        let mut gradient = Gradient::new(AdaptiveSettings::default(), seed, 0);
        let mut now_us = 0;
        let strong = Server { lanes: 100, service_us: 10_000 };
        let before = mean(&run(&mut gradient, strong, u32::MAX, &mut now_us, MINUTE_US));
        let weak = Server { lanes: 20, ..strong };
        let during = mean(&run(&mut gradient, weak, u32::MAX, &mut now_us, MINUTE_US));
        let after = mean(&run(&mut gradient, strong, u32::MAX, &mut now_us, MINUTE_US));
        assert!(during < 45.0, "seed {seed}: {before} {during} {after}");
        assert!(after > 90.0 && before > 90.0, "seed {seed}: {before} {during} {after}");
        // One that became slower in itself is not taken for an overload once its least latency is measured again.
        let slow = Server { lanes: 100, service_us: 40_000 };
        let slowed = mean(&run(&mut gradient, slow, u32::MAX, &mut now_us, 4 * MINUTE_US));
        assert!(slowed > 90.0, "seed {seed}: {slowed}");
    }
}

#[test]
fn a_cap_that_is_not_used_does_not_grow() {
    let mut gradient = Gradient::new(AdaptiveSettings::default(), 7, 0);
    let server = Server { lanes: 1000, service_us: 10_000 };
    let caps = run(&mut gradient, server, 10, &mut 0, 3 * MINUTE_US);
    assert!(caps.iter().all(|cap| *cap < 40), "{:?}", caps.iter().max());
}

#[test]
fn it_stays_between_its_bounds_whatever_it_is_told() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let min = 1 + random.below(10) as u32;
        let settings =
            AdaptiveSettings { min, max: min + random.below(50) as u32, ..AdaptiveSettings::default() };
        let mut gradient = Gradient::new(settings, seed, 0);
        let mut now_us = 0;
        for _ in 0..2000 {
            now_us += random.below(100_000);
            let latency_us = random.next() >> random.below(64);
            gradient.observe(latency_us, random.below(100) as u32, now_us);
            assert!((settings.min..=settings.max).contains(&gradient.cap()), "seed {seed}");
        }
    }
}
