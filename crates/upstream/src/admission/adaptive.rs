//! Finding an upstream's cap from the latency of its responses. No clock, no threads: time and randomness come in.

use crate::random::Random;

/// How the cap is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// The lowest cap, which is also the one while the least latency is measured.
    pub min: u32,
    /// The highest cap.
    pub max: u32,
    /// From one measurement of the least latency to the next, in milliseconds; up to a tenth is added at random, so that
    /// instances do not measure at the same time.
    pub measure_every_ms: u64,
    /// By how much latency may be above the least one without being taken for a queue at the upstream, in percent.
    pub tolerance_percent: u32,
}

impl Default for AdaptiveSettings {
    fn default() -> Self {
        Self { min: 3, max: 1000, measure_every_ms: 60_000, tolerance_percent: 25 }
    }
}

/// The cap follows the gradient between the least latency, measured now and then while the cap is at its lowest, and that
/// of the last window: `cap = cap × gradient + √cap`, with `gradient = least × (1 + tolerance) / latency`, between a half and
/// two. So it grows by its square root while the upstream answers as quickly as it can, and shrinks as soon as
/// requests wait there. Medians, so that a slow response among many changes nothing. (Envoy's adaptive concurrency works
/// alike; unlike there, the cap does not grow while less than half of it is used, which would say nothing about it.)
#[derive(Clone, Debug)]
pub struct Gradient {
    settings: AdaptiveSettings,
    random: Random,
    cap: f64,
    /// The least latency, in microseconds; 0 before the first measurement.
    least_us: u32,
    /// Since when the least latency is being measured.
    measuring_since_us: Option<u64>,
    measure_at_us: u64,
    samples: Vec<u32>,
    seen: usize,
    window_since_us: u64,
    peak: u32,
}

/// How long a window takes, and how many responses it takes.
const WINDOW_US: u64 = 100_000;
const ENOUGH: usize = 20;
/// Samples of a window that are kept, the latest ones.
const KEPT: usize = 256;
/// How many responses a measurement takes; or how long, if there is any.
const MEASURED: usize = 50;
const MEASURED_FOR_US: u64 = 2_000_000;

impl Gradient {
    /// Begins with a measurement.
    pub fn new(settings: AdaptiveSettings, seed: u64, now_us: u64) -> Self {
        Self {
            settings,
            random: Random::new(seed),
            cap: f64::from(settings.min),
            least_us: 0,
            measuring_since_us: Some(now_us),
            measure_at_us: now_us,
            samples: Vec::with_capacity(KEPT),
            seen: 0,
            window_since_us: now_us,
            peak: 0,
        }
    }

    /// The cap now.
    pub fn cap(&self) -> u32 {
        match self.measuring_since_us {
            Some(_) => self.settings.min,
            None => (self.cap as u32).clamp(self.settings.min, self.settings.max),
        }
    }

    /// The least latency that was measured, in microseconds; `None` before the first measurement.
    pub fn least_us(&self) -> Option<u32> {
        Some(self.least_us).filter(|least| *least > 0)
    }

    /// What it was made with.
    pub fn settings(&self) -> AdaptiveSettings {
        self.settings
    }

    /// A response came after `latency_us`, with so many exchanges at the upstream, itself among them.
    /// The cap may be another one afterwards.
    pub fn observe(&mut self, latency_us: u64, in_flight: u32, now_us: u64) {
        if let Some(since_us) = self.measuring_since_us {
            // What was begun before has waited behind more than the lowest cap lets through.
            if now_us.saturating_sub(latency_us) < since_us {
                return;
            }
            self.note(latency_us, in_flight);
            if self.seen >= MEASURED || now_us.saturating_sub(since_us) >= MEASURED_FOR_US {
                self.measured(now_us);
            }
            return;
        }
        self.note(latency_us, in_flight);
        if self.seen >= ENOUGH && now_us.saturating_sub(self.window_since_us) >= WINDOW_US {
            self.follow();
            self.begin_window(now_us);
        }
        if now_us >= self.measure_at_us {
            self.measuring_since_us = Some(now_us);
            self.begin_window(now_us);
        }
    }

    fn note(&mut self, latency_us: u64, in_flight: u32) {
        let latency_us = u32::try_from(latency_us.max(1)).unwrap_or(u32::MAX);
        match self.samples.len() {
            KEPT => self.samples[self.seen % KEPT] = latency_us,
            _ => self.samples.push(latency_us),
        }
        self.seen += 1;
        self.peak = self.peak.max(in_flight);
    }

    fn measured(&mut self, now_us: u64) {
        let first = self.least_us == 0;
        self.least_us = self.median_us();
        if first {
            self.cap = f64::from(self.settings.min);
        }
        self.measuring_since_us = None;
        let every_us = self.settings.measure_every_ms.saturating_mul(1000);
        let jitter_us = self.random.below(every_us / 10 + 1);
        self.measure_at_us = now_us.saturating_add(every_us).saturating_add(jitter_us);
        self.begin_window(now_us);
    }

    fn follow(&mut self) {
        let allowed_us =
            f64::from(self.least_us) * (1.0 + f64::from(self.settings.tolerance_percent) / 100.0);
        let gradient = (allowed_us / f64::from(self.median_us())).clamp(0.5, 2.0);
        let shrunk = self.cap * gradient;
        let next = shrunk + shrunk.sqrt();
        if next <= self.cap || f64::from(self.peak) * 2.0 >= self.cap {
            self.cap = next.clamp(f64::from(self.settings.min), f64::from(self.settings.max));
        }
    }

    fn median_us(&mut self) -> u32 {
        let middle = self.samples.len() / 2;
        match self.samples.is_empty() {
            true => self.least_us.max(1),
            false => *self.samples.select_nth_unstable(middle).1,
        }
    }

    fn begin_window(&mut self, now_us: u64) {
        self.samples.clear();
        (self.seen, self.peak, self.window_since_us) = (0, 0, now_us);
    }
}

#[cfg(test)]
#[path = "adaptive/tests.rs"]
mod tests;
