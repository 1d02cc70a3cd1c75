//! A window that slides, from the counts of two fixed ones.

use crate::rule::{Decision, EXPIRES_APART, Rule};

/// At most `limit` units in any `window`, near enough: the count of the running fixed window, and that of the one
/// before weighted by how much of it the sliding window still covers. It takes the past window for evenly used, so
/// a burst at its end counts for less than it was: at worst, just under `2 × limit` pass within one window's length.
///
/// A cost of zero always passes and counts nothing. A cost above the limit never passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    limit: u64,
    window_ns: u64,
}

/// A state: the mark of an expiry kept apart, 9 bits of the window's number, two counts of 27 bits.
const COUNT_BITS: u32 = 27;
const COUNT_MOST: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MASK: u64 = (1 << 9) - 1;

/// What a state says at a moment: the counts of the window before and of the running one, and how long the latter
/// still runs.
struct Counts {
    before: u64,
    running: u64,
    left_ns: u64,
}

impl SlidingWindow {
    /// At most this many units can be told apart in a window; larger limits are cut to it.
    pub const MOST: u64 = COUNT_MOST - 1;

    /// At most `limit` units within `window_us` microseconds. Zeros count as one.
    pub fn new(limit: u64, window_us: u64) -> Self {
        Self {
            limit: limit.clamp(1, Self::MOST),
            window_ns: window_us.max(1).saturating_mul(1000).min(1 << 61),
        }
    }

    /// How many units may pass within a window.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How long the window is, in microseconds.
    pub fn window_us(&self) -> u64 {
        self.window_ns / 1000
    }

    fn counts(&self, state: u64, now_ns: u64) -> Counts {
        let number = now_ns / self.window_ns;
        let (before, running) = match state & EXPIRES_APART {
            0 => (0, 0),
            _ => {
                let (before, running) = (state >> COUNT_BITS & COUNT_MOST, state & COUNT_MOST);
                let then = state >> (2 * COUNT_BITS) & NUMBER_MASK;
                match number.wrapping_sub(then) & NUMBER_MASK {
                    0 => (before, running),
                    1 => (running, 0),
                    _ => (0, 0),
                }
            }
        };
        Counts { before, running, left_ns: self.window_ns - now_ns % self.window_ns }
    }

    /// How long until a request of `cost` that is refused now passes, in nanoseconds.
    fn wait_ns(&self, counts: &Counts, cost: u64) -> u64 {
        let window = u128::from(self.window_ns);
        // How long before its end a window with `past` before it has room for `wanted`.
        let room = |past: u64, wanted: u64| {
            let free = u128::from(self.limit.saturating_sub(wanted)) * window;
            (free / u128::from(past.max(1))).min(window) as u64
        };
        if counts.running + cost <= self.limit {
            counts.left_ns.saturating_sub(room(counts.before, counts.running + cost))
        } else {
            counts.left_ns + (self.window_ns - room(counts.running, cost))
        }
    }
}

impl Rule for SlidingWindow {
    fn decide(&self, state: u64, now_ns: u64, cost: u64) -> (Decision, u64) {
        let mut counts = self.counts(state, now_ns);
        let window = u128::from(self.window_ns);
        let most = u128::from(self.limit) * window;
        let used = |counts: &Counts| {
            u128::from(counts.before) * u128::from(counts.left_ns) + u128::from(counts.running) * window
        };
        let allowed = cost == 0 || used(&counts) + u128::from(cost) * window <= most;
        let retry_after_us = match cost {
            _ if allowed => Some(0),
            _ if cost > self.limit => None,
            _ => Some(self.wait_ns(&counts, cost).div_ceil(1000)),
        };
        if allowed {
            counts.running += cost;
        }
        let decision = Decision {
            allowed,
            remaining: (most.saturating_sub(used(&counts)) / window) as u64,
            reset_after_us: match (counts.before, counts.running) {
                (0, 0) => 0,
                (_, 0) => counts.left_ns.div_ceil(1000),
                _ => (counts.left_ns + self.window_ns).div_ceil(1000),
            },
            retry_after_us,
        };
        if !allowed || cost == 0 {
            return (decision, state);
        }
        let number = (now_ns / self.window_ns) & NUMBER_MASK;
        let new = number << (2 * COUNT_BITS) | counts.before << COUNT_BITS | counts.running;
        (decision, new | EXPIRES_APART)
    }

    fn expires_ns(&self, _: u64, now_ns: u64) -> u64 {
        (now_ns / self.window_ns).saturating_add(2).saturating_mul(self.window_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::SlidingWindow;
    use crate::rule::Rule;
    use tollgate_runtime::Random;

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_window_before_fades() {
        let window = SlidingWindow::new(10, 1_000_000);
        let (all, state) = window.decide(0, 10 * S, 10);
        assert_eq!((all.allowed, all.remaining, all.reset_after_us), (true, 0, 2_000_000));
        let (refused, _) = window.decide(state, 10 * S + S / 2, 1);
        // Half a second to the next window, and a tenth of that until a tenth of the ten is forgotten.
        assert_eq!((refused.allowed, refused.retry_after_us), (false, Some(600_000)));
        assert_eq!(window.decide(state, 11 * S + S / 2, 1).0.remaining, 4);
        assert_eq!(window.decide(state, 12 * S, 0).0.remaining, 10);
        assert_eq!(window.decide(state, 12 * S, 11).0.retry_after_us, None);
    }

    #[test]
    fn a_steady_stream_gets_its_rate() {
        let window = SlidingWindow::new(100, 1_000_000);
        let (mut state, mut admitted) = (0, 0);
        for ms in 0..20_000u64 {
            let (decision, new) = window.decide(state, ms * 1_000_000, 1);
            state = new;
            admitted += u64::from(decision.allowed && ms >= 10_000);
        }
        assert!((990..=1010).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_retry_after_what_was_told_passes_and_one_before_does_not() {
        for seed in 0..300 {
            let mut random = Random::from_seed(seed);
            let mut below = |n: u64| random.next_u64() % n;
            let window = SlidingWindow::new(1 + below(60), 1000 + below(10_000_000));
            let (mut state, mut now) = (0, below(1 << 40));
            for step in 0..500 {
                now += below(window.window_us() * 1000 / 20);
                let cost = below(window.limit() / 4 + 3);
                let (decision, new) = window.decide(state, now, cost);
                match decision.retry_after_us {
                    _ if decision.allowed => {}
                    None => assert!(cost > window.limit(), "seed {seed}, step {step}"),
                    Some(after) => {
                        let at = |us: u64| window.decide(state, now + us * 1000, cost).0.allowed;
                        assert!(at(after), "seed {seed}, step {step}: {window:?}, after {after}");
                        assert!(!at(after - 1), "seed {seed}, step {step}: {window:?}, before {after}");
                    }
                }
                state = new;
            }
        }
    }
}
