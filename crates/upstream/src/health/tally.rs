//! What is counted of an endpoint by all workers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::compare::Counts;

/// A failed attempt counts in both halves.
const FAILED: u64 = 1 << 32 | 1;

/// Counts of one endpoint, shared with its successors. On cache lines of their own (processors fetch two at once), as
/// they are written for each exchange where rules compare endpoints.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    /// Attempts of this interval in the lower half, failed ones in the upper: one addition an exchange. An interval has
    /// at most an hour, so that it would take a million attempts a second at one endpoint to fill a half.
    interval: AtomicU64,
    probes_failed: AtomicU64,
}

impl Tally {
    #[inline]
    pub(super) fn succeeded(&self) {
        self.interval.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.interval.fetch_add(FAILED, Ordering::Relaxed);
    }

    /// What was counted since the last call.
    pub(super) fn take(&self) -> Counts {
        let counts = self.interval.swap(0, Ordering::Relaxed);
        Counts { attempts: counts as u32, failed: (counts >> 32) as u32 }
    }

    pub(crate) fn probe_failed(&self) {
        self.probes_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn probes_failed(&self) -> u64 {
        self.probes_failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Tally};

    #[test]
    fn all_threads_count_and_each_attempt_is_taken_once() {
        let tally = Tally::default();
        let taken: Vec<Counts> = std::thread::scope(|scope| {
            let count =
                || (0..3000).for_each(|i| if i % 3 == 0 { tally.failed() } else { tally.succeeded() });
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            let mut taken: Vec<Counts> = (0..100).map(|_| tally.take()).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            taken.push(tally.take());
            taken
        });
        let sum = |of: fn(&Counts) -> u32| taken.iter().map(of).sum::<u32>();
        assert_eq!((sum(|c| c.attempts), sum(|c| c.failed)), (12_000, 4_000));
        assert_eq!(tally.take(), Counts::default());
    }
}
