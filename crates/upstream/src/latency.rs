//! How long an endpoint takes to answer: an average that rises at once and falls slowly.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a failed attempt counts as at least, in microseconds: a refusal in no time must not look like speed.
const FAILED_US: u64 = 1_000_000;
/// How often an update is tried against others at the same moment. One that is lost costs a sample.
const TRIES: u32 = 3;

/// The time in which a latency estimate falls to 1/e (37 %) of itself while nothing is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decay(NonZeroU64);

impl Decay {
    /// From microseconds; 0 counts as 1.
    pub fn from_us(us: u64) -> Self {
        Self(NonZeroU64::new(us).unwrap_or(NonZeroU64::MIN))
    }

    /// How much is left of an estimate after this time, from 1 to 0.
    fn left_after(self, elapsed_ms: u32) -> f64 {
        (-(f64::from(elapsed_ms) * 1000.0) / self.0.get() as f64).exp()
    }
}

/// An endpoint's latency estimate, in one word that all workers write: the estimate in microseconds below, and
/// above it when it was made, in milliseconds since the process started. 0 for none.
///
/// Peak-sensitive as Finagle's: a sample above the estimate becomes the estimate, one below it draws it down by
/// its share of the decay time that has passed since. Without samples it falls towards 0, so that an
/// endpoint that was slow is tried again some time.
#[derive(Debug, Default)]
pub(crate) struct Latency(AtomicU64);

impl Latency {
    /// The estimate at this time in microseconds, at least 1; 0 where nothing was ever heard.
    pub(crate) fn estimate_us(&self, now_us: u64, decay: Decay) -> u32 {
        estimate(self.0.load(Ordering::Relaxed), stamp(now_us), decay)
    }

    /// Takes an attempt's latency into account.
    pub(crate) fn observe(&self, latency_us: u64, now_us: u64, decay: Decay) {
        let sample = latency_us.clamp(1, u64::from(u32::MAX)) as u32;
        self.update(now_us, |word, now| match estimate(word, now, decay) {
            0 => sample,
            held if sample >= held => sample,
            // What is left of the old one, and the rest from the sample.
            _ => {
                let left = decay.left_after(elapsed(word, now));
                let before = word as u32;
                let mean = f64::from(before) * left + f64::from(sample) * (1.0 - left);
                (mean as u32).clamp(sample, before.max(sample))
            }
        });
    }

    /// Takes a failed attempt into account, which took this long: at least a second, at least twice the estimate.
    pub(crate) fn observe_failure(&self, took_us: u64, now_us: u64, decay: Decay) {
        let twice = u64::from(self.estimate_us(now_us, decay)) * 2;
        // Never beyond a minute by itself, or a row of failures would bar an endpoint for the rest of the day.
        let counted = took_us.max(FAILED_US).max(twice.min(60 * FAILED_US));
        self.observe(counted, now_us, decay);
    }

    fn update(&self, now_us: u64, next: impl Fn(u64, u32) -> u32) {
        let now = stamp(now_us);
        let mut word = self.0.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            let fresh = u64::from(now) << 32 | u64::from(next(word, now));
            match self.0.compare_exchange_weak(word, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }
}

/// Milliseconds, which come round after 49 days.
fn stamp(now_us: u64) -> u32 {
    (now_us / 1000) as u32
}

/// Clocks of workers differ by a moment: what seems to be of the future is of now.
fn elapsed(word: u64, now: u32) -> u32 {
    let elapsed = now.wrapping_sub((word >> 32) as u32);
    if elapsed > u32::MAX - 60_000 { 0 } else { elapsed }
}

fn estimate(word: u64, now: u32, decay: Decay) -> u32 {
    match word as u32 {
        0 => 0,
        // Most are read in the millisecond in which they were written, or a few later.
        held => match elapsed(word, now) {
            0 => held,
            ms => ((f64::from(held) * decay.left_after(ms)) as u32).max(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Decay, Latency};
    use crate::random::Random;

    const SECOND: u64 = 1_000_000;

    fn decay() -> Decay {
        Decay::from_us(10 * SECOND)
    }

    #[test]
    fn it_rises_at_once_and_falls_with_time() {
        let latency = Latency::default();
        assert_eq!(latency.estimate_us(5 * SECOND, decay()), 0);
        latency.observe(1_000, 0, decay());
        latency.observe(90_000, 0, decay());
        assert_eq!(latency.estimate_us(0, decay()), 90_000);
        let later = latency.estimate_us(10 * SECOND, decay());
        assert!((33_000..33_200).contains(&later), "{later}");
        assert_eq!(latency.estimate_us(10_000 * SECOND, decay()), 1, "known still, and as good as nothing");
        // One quick answer a moment later does not wash a peak away; many over time do.
        latency.observe(1_000, SECOND / 10, decay());
        assert!(latency.estimate_us(SECOND / 10, decay()) > 85_000);
        (1..=600).for_each(|at| latency.observe(1_000, at * SECOND / 10, decay()));
        let settled = latency.estimate_us(60 * SECOND, decay());
        assert!((1_000..1_500).contains(&settled), "{settled}");
    }

    #[test]
    fn a_failure_counts_as_slow_whatever_it_took() {
        let latency = Latency::default();
        latency.observe(300, 0, decay());
        latency.observe_failure(50, 0, decay());
        assert_eq!(latency.estimate_us(0, decay()), 1_000_000);
        latency.observe_failure(50, 0, decay());
        assert_eq!(latency.estimate_us(0, decay()), 2_000_000);
        (0..50).for_each(|_| latency.observe_failure(u64::MAX, 0, decay()));
        assert_eq!(latency.estimate_us(0, decay()), u32::MAX);
        let other = Latency::default();
        (0..50).for_each(|_| other.observe_failure(0, 0, decay()));
        assert_eq!(other.estimate_us(0, decay()), 60_000_000);
    }

    #[test]
    fn it_never_leaves_the_range_of_what_was_heard() {
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let (latency, decay) = (Latency::default(), Decay::from_us(random.below(20 * SECOND)));
            let (mut now, mut most) = (random.next() >> (random.below(40) + 14), 0);
            for _ in 0..50 {
                // Sometimes a worker's clock is a little behind.
                let at = if random.below(5) == 0 { now.saturating_sub(3_000) } else { now };
                let bits = 1 + random.below(31);
                let sample = random.below(1 << bits);
                latency.observe(sample, at, decay);
                most = most.max(sample.max(1));
                let estimate = u64::from(latency.estimate_us(at, decay));
                assert!((1..=most).contains(&estimate), "seed {seed}: {estimate} of at most {most}");
                assert!(estimate >= sample.max(1), "seed {seed}: peaks count at once");
                now += random.below(5 * SECOND);
            }
        }
    }
}
