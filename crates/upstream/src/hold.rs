//! Requests that are held since there is no endpoint for them: how many there may be, and of how many bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How much may be held for one upstream, over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoldLimits {
    /// Requests.
    pub requests: u32,
    /// Bytes of them: heads, and what has come of their bodies.
    pub bytes: u64,
}

/// What is held for one upstream. Clones are the same: a bound holds over reloads.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    requests: AtomicU32,
    bytes: AtomicU64,
}

impl Holds {
    /// Holds one more request of so many bytes, if the limits allow it.
    pub fn try_hold(&self, bytes: u64, limits: HoldLimits) -> Option<Held> {
        let sums = &self.0;
        let one_more = |held: u32| (held < limits.requests).then_some(held + 1);
        sums.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        // From here on dropping it gives everything back.
        let mut held = Held { sums: Arc::clone(sums), bytes: 0 };
        let so_many_more = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= limits.bytes);
        sums.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, so_many_more).ok()?;
        held.bytes = bytes;
        Some(held)
    }

    /// How many requests are held.
    pub fn requests(&self) -> u32 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

/// One request that is held until this is dropped.
#[derive(Debug)]
#[must_use = "the request counts as held only as long as this is kept"]
pub struct Held {
    sums: Arc<Sums>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sums.requests.fetch_sub(1, Ordering::Relaxed);
        self.sums.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{HoldLimits, Holds};
    use crate::random::Random;

    #[test]
    fn neither_limit_is_ever_passed_and_everything_is_given_back() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let limits = HoldLimits { requests: random.below(6) as u32, bytes: random.below(2000) };
            let (holds, mut held) = (Holds::default(), Vec::new());
            for step in 0..200 {
                if random.below(3) == 0 && !held.is_empty() {
                    let _ = held.swap_remove(random.below(held.len() as u64) as usize);
                }
                let bytes = random.below(600);
                let sum: u64 = held.iter().map(|(_, bytes)| bytes).sum();
                let room = (held.len() as u32) < limits.requests && sum + bytes <= limits.bytes;
                let one = holds.try_hold(bytes, limits);
                assert_eq!(one.is_some(), room, "seed {seed} step {step}");
                held.extend(one.map(|one| (one, bytes)));
                assert_eq!(holds.requests() as usize, held.len(), "seed {seed} step {step}");
            }
        }
    }
}
