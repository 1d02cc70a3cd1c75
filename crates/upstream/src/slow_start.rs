//! Slow start: an endpoint that is new or was away gets its share little by little.

/// How endpoints get their share that are new, or back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long it takes until they have all of it, in milliseconds. At least 1.
    pub window_ms: u64,
    /// How fast at the beginning: the share grows with time to the power of 1 / this. 1.0 for a straight line; more
    /// is faster at first.
    pub aggression: f64,
    /// The share to begin with, in percent.
    pub min_percent: u32,
}

/// Steps that a whole window is made in.
const STEPS: u64 = 50;
/// The shortest step, in milliseconds: views are not rebuilt more often for this.
const SHORTEST_STEP_MS: u64 = 100;

impl SlowStart {
    /// How much of its share an endpoint has, above 0 and at most 1, that began at `since_ms`.
    pub fn warmth(&self, since_ms: u64, now_ms: u64) -> f64 {
        let age = now_ms.saturating_sub(since_ms);
        if age >= self.window_ms {
            return 1.0;
        }
        let time = age as f64 / self.window_ms as f64;
        let grown = time.powf(1.0 / self.aggression.max(0.01));
        // An endpoint without any share would never warm up.
        grown.clamp(f64::from(self.min_percent).max(0.1) / 100.0, 1.0)
    }

    /// When shares are to be looked at again. All endpoints are at the same moments, so that many that are new make
    /// no more work than one.
    pub fn next_step_ms(&self, now_ms: u64) -> u64 {
        let step = (self.window_ms / STEPS).max(SHORTEST_STEP_MS);
        (now_ms / step).saturating_add(1).saturating_mul(step)
    }
}

#[cfg(test)]
mod tests {
    use super::SlowStart;
    use crate::random::Random;

    #[test]
    fn warmth_rises_from_the_least_to_all() {
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let slow = SlowStart {
                window_ms: 1 + random.below(100_000),
                aggression: 0.1 + random.below(50) as f64 / 10.0,
                min_percent: random.below(101) as u32,
            };
            let since = random.below(1 << 40);
            let (mut now, mut before) = (since, 0.0);
            while now < since + slow.window_ms {
                let warmth = slow.warmth(since, now);
                assert!(warmth > 0.0 && warmth >= before && warmth <= 1.0, "seed {seed}: {slow:?}");
                assert!(warmth * 100.0 + 1e-9 >= f64::from(slow.min_percent), "seed {seed}: {slow:?}");
                let next = slow.next_step_ms(now);
                assert!(next > now && next - now <= (slow.window_ms / 50).max(100), "seed {seed}");
                (now, before) = (next, warmth);
            }
            assert!((slow.warmth(since, now) - 1.0).abs() < f64::EPSILON, "seed {seed}");
        }
    }

    #[test]
    fn a_straight_line_and_a_steeper_one() {
        let slow = SlowStart { window_ms: 1000, aggression: 1.0, min_percent: 10 };
        let at = |slow: &SlowStart, ms| (slow.warmth(0, ms) * 1000.0).round() as u64;
        assert_eq!([0, 50, 100, 250, 999, 1000].map(|ms| at(&slow, ms)), [100, 100, 100, 250, 999, 1000]);
        let steep = SlowStart { aggression: 2.0, ..slow };
        assert_eq!([0, 10, 250].map(|ms| at(&steep, ms)), [100, 100, 500]);
        assert_eq!(slow.warmth(500, 400), 0.1, "a clock that lags behind");
    }
}
