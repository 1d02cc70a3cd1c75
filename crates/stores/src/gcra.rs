//! The generic cell rate algorithm: a leaky bucket that remembers one time per key.

use crate::rule::{Decision, EXPIRES_APART, Rule};

/// So many per period, evenly spread, of which a burst may come at once.
///
/// The state of a key is its theoretical arrival time (TAT, in nanoseconds): when the key would be as good as new.
/// Each unit of cost moves it on by the emission interval; a request passes while the TAT stays within
/// `burst` intervals from now. So over any time `t` at most `burst + t / interval` units pass.
///
/// A cost of zero always passes and moves nothing. A cost above the burst never passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    interval_ns: u64,
    burst: u64,
}

/// Far enough for any limit (146 years), and sums of two still fit.
const MOST_NS: u64 = 1 << 62;

impl Gcra {
    /// `count` units per `period_us` microseconds, of which `burst` may come at once. Zeros count as one: a limit
    /// that admits nothing is no rate. More than a thousand million per second is not told apart.
    pub fn new(count: u64, period_us: u64, burst: u64) -> Self {
        let period_ns = u128::from(period_us.max(1)) * 1000;
        let interval = (period_ns / u128::from(count.max(1))).clamp(1, u128::from(MOST_NS));
        Self { interval_ns: interval as u64, burst: burst.max(1) }
    }

    /// The same rate with another burst.
    pub fn with_burst(self, burst: u64) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// How far apart units are in the long run, in nanoseconds.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// How many units may come at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    fn capacity_ns(&self) -> u64 {
        self.interval_ns.saturating_mul(self.burst).min(MOST_NS)
    }
}

impl Rule for Gcra {
    fn decide(&self, state: u64, now_ns: u64, cost: u64) -> (Decision, u64) {
        let (capacity, interval) = (self.capacity_ns(), self.interval_ns);
        // What another algorithm left under this key says nothing here.
        let tat = if state & EXPIRES_APART == 0 { state } else { 0 };
        // A limit that was made smaller inherits no more debt than it can have.
        let debt = tat.saturating_sub(now_ns).min(capacity);
        let after = cost.checked_mul(interval).and_then(|cost| debt.checked_add(cost));
        let allowed = after.is_some_and(|after| after <= capacity);
        let debt_after = if allowed { after.unwrap_or(debt) } else { debt };
        let retry_after_us = match after {
            _ if allowed => Some(0),
            Some(after) if cost <= self.burst => Some((after - capacity).div_ceil(1000)),
            _ => None,
        };
        let decision = Decision {
            allowed,
            remaining: (capacity - debt_after) / interval,
            reset_after_us: debt_after.div_ceil(1000),
            retry_after_us,
        };
        let used = allowed && cost > 0;
        (decision, if used { now_ns.saturating_add(debt_after) & !EXPIRES_APART } else { state })
    }

    fn expires_ns(&self, state: u64, _: u64) -> u64 {
        state
    }
}

#[cfg(test)]
mod tests {
    use super::Gcra;
    use crate::rule::Rule;
    use tollgate_runtime::Random;

    #[test]
    fn a_burst_then_the_rate() {
        let gcra = Gcra::new(100, 1_000_000, 20);
        let (mut state, mut admitted) = (0, 0);
        for ms in 0..10_000u64 {
            let (decision, new) = gcra.decide(state, ms * 1_000_000 + 5, 1);
            admitted += u64::from(decision.allowed);
            state = new;
        }
        // 10 s at 100/s and a burst of 20, less the part of an interval that has not come round.
        assert!((1019..=1020).contains(&admitted), "{admitted}");
    }

    #[test]
    fn nothing_is_free_and_everything_is_never() {
        let gcra = Gcra::new(10, 1_000_000, 5);
        let (free, state) = gcra.decide(0, 7, 0);
        assert!(free.allowed && free.remaining == 5 && state == 0);
        let (all, state) = gcra.decide(0, 7, 5);
        assert!(all.allowed && all.remaining == 0 && all.reset_after_us == 500_000);
        assert!(gcra.decide(state, 7, 0).0.allowed);
        let (never, same) = gcra.decide(0, 7, 6);
        assert_eq!((never.allowed, never.retry_after_us, never.remaining, same), (false, None, 5, 0));
        assert_eq!(gcra.decide(state, 7, u64::MAX).0.retry_after_us, None);
    }

    #[test]
    fn a_retry_after_what_was_told_passes_and_one_before_does_not() {
        for seed in 0..300 {
            let mut random = Random::from_seed(seed);
            let mut below = |n: u64| random.next_u64() % n;
            let gcra = Gcra::new(1 + below(1000), 1 + below(100_000_000), 1 + below(50));
            let (mut state, mut now) = (0, below(1 << 40));
            let mut used = 0u128;
            let start = now;
            for _ in 0..500 {
                now += below(gcra.interval_ns() * 2);
                let cost = below(gcra.burst() + 2);
                let (decision, new) = gcra.decide(state, now, cost);
                match decision.retry_after_us {
                    _ if decision.allowed => used += u128::from(cost),
                    None => assert!(cost > gcra.burst(), "seed {seed}"),
                    Some(after) => {
                        assert!(gcra.decide(state, now + after * 1000, cost).0.allowed, "seed {seed}");
                        assert!(!gcra.decide(state, now + (after - 1) * 1000, cost).0.allowed, "seed {seed}");
                        assert_eq!(new, state, "seed {seed}");
                    }
                }
                state = new;
            }
            let most = u128::from(gcra.burst()) + u128::from((now - start) / gcra.interval_ns());
            assert!(used <= most, "seed {seed}: {used} of {most}");
        }
    }
}
