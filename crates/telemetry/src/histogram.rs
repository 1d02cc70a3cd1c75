//! Log-linear histograms of durations.

use crate::shard::Counter;

/// Buckets per doubling.
const STEPS: usize = 4;
/// The first doubling: everything below 2^6 µs shares the linear start.
const FIRST_BITS: u32 = 6;
/// Durations from 2^27 µs (134 s) on share the last bucket.
const LAST_BITS: u32 = 27;
const BUCKETS: usize = ((LAST_BITS - FIRST_BITS) as usize) * STEPS + 2;

/// A histogram of durations in microseconds, a quarter of a doubling a bucket. One writer, many readers.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_us: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { Counter::new() }; BUCKETS], sum_us: Counter::new() }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration_us: u64) {
        self.buckets[bucket_of(duration_us)].add(1);
        self.sum_us.add(duration_us);
    }

    /// Adds this histogram to a sum.
    pub fn add_to(&self, sum: &mut Sum) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        sum.sum_us += self.sum_us.get();
    }
}

/// Several histograms added up.
#[derive(Clone, Debug)]
pub struct Sum {
    buckets: [u64; BUCKETS],
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_us: 0 }
    }
}

impl Sum {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// For each doubling: its upper bound in microseconds, and how many durations were below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (FIRST_BITS..=LAST_BITS).map(|bits| {
            let end = 1 + ((bits - FIRST_BITS) as usize) * STEPS;
            (1 << bits, self.buckets[..end].iter().sum())
        })
    }
}

fn bucket_of(duration_us: u64) -> usize {
    let bits = u64::BITS - duration_us.leading_zeros();
    if bits <= FIRST_BITS {
        return 0;
    }
    if bits > LAST_BITS {
        return BUCKETS - 1;
    }
    let quarter = (duration_us >> (bits - 3)) as usize & (STEPS - 1);
    1 + (bits - 1 - FIRST_BITS) as usize * STEPS + quarter
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, Sum, bucket_of};
    use proptest::prelude::*;

    #[test]
    fn cumulative_counts_end_at_the_number_of_durations_below_the_last_bound() {
        let histogram = Histogram::default();
        for duration in [0, 63, 64, 127, 128, 1_000, 1_000_000, u64::MAX / 4] {
            histogram.record(duration);
        }
        let mut sum = Sum::default();
        histogram.add_to(&mut sum);
        assert_eq!(sum.count(), 8);
        let bounds: Vec<_> = sum.cumulative().collect();
        assert_eq!(bounds[0], (64, 2));
        assert_eq!(bounds[1], (128, 4));
        assert_eq!(bounds.last().map(|b| b.1), Some(7));
    }

    proptest! {
        #[test]
        fn buckets_grow_with_durations_and_respect_bounds(a in any::<u64>(), bits in 6u32..27) {
            prop_assert!(bucket_of(a) < BUCKETS);
            prop_assert!(bucket_of(a) <= bucket_of(a.saturating_add(1)));
            let bound = 1u64 << bits;
            let end = 1 + (bits - 6) as usize * 4;
            prop_assert!(bucket_of(bound - 1) < end && bucket_of(bound) >= end);
        }
    }
}
