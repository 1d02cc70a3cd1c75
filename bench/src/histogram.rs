//! Latencies as counts in log-linear buckets: fixed memory, a relative error below one percent.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Each power of two is cut into this many equal buckets (as a power of two itself).
const BITS: u32 = 7;
const SLICES: u64 = 1 << BITS;
/// Values from 2^40 ns (18 minutes) on all count as the last bucket.
const OCTAVES: u32 = 40 - BITS;

/// A histogram of durations in nanoseconds.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Histogram {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; ((OCTAVES + 1) as usize) << BITS], total: 0, largest: 0 }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket_of(nanos).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.largest = self.largest.max(nanos);
    }

    /// How many durations were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The duration that the share `quantile` (0 to 1) of all stays at or below: the upper edge of its
    /// bucket, but never above the largest value seen. Zero when nothing was counted.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.total as f64 * quantile).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_edge(bucket).min(self.largest));
            }
        }
        Duration::ZERO
    }

    /// What was counted, for another histogram.
    pub(crate) fn counts(&self) -> Counts {
        let filled = (0..).zip(&self.counts).filter(|(_, count)| **count > 0);
        Counts { buckets: filled.map(|(bucket, count)| (bucket, *count)).collect(), largest: self.largest }
    }

    /// Counts what another histogram counted.
    pub(crate) fn add(&mut self, counts: &Counts) {
        for (bucket, count) in &counts.buckets {
            let last = self.counts.len() - 1;
            self.counts[(*bucket as usize).min(last)] += count;
            self.total += count;
        }
        self.largest = self.largest.max(counts.largest);
    }
}

/// The buckets of a histogram that are not empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Number of the bucket, and how many durations fell into it.
    buckets: Vec<(u32, u64)>,
    /// The longest duration, in nanoseconds.
    largest: u64,
}

/// Values below `SLICES` have a bucket each; above, the leading bits choose the octave and the next
/// `BITS` bits the slice in it.
fn bucket_of(nanos: u64) -> usize {
    if nanos < SLICES {
        return nanos as usize;
    }
    let octave = nanos.ilog2() - BITS;
    let slice = (nanos >> octave) & (SLICES - 1);
    ((u64::from(octave + 1) << BITS) + slice) as usize
}

/// The largest value that falls into `bucket`.
fn upper_edge(bucket: usize) -> u64 {
    let (octave, slice) = (bucket as u64 >> BITS, bucket as u64 & (SLICES - 1));
    match octave.checked_sub(1) {
        None => slice,
        Some(shift) => ((SLICES + slice + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket_of, upper_edge};
    use std::time::Duration;

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        let mut first = 0;
        for bucket in 0..4000 {
            let last = upper_edge(bucket);
            assert_eq!(bucket_of(first), bucket, "first value {first}");
            assert_eq!(bucket_of(last), bucket, "last value {last}");
            first = last + 1;
        }
    }

    #[test]
    fn a_bucket_is_at_most_one_percent_wide() {
        for bucket in 256..4000 {
            let (low, high) = (upper_edge(bucket - 1) + 1, upper_edge(bucket));
            assert!((high - low) as f64 / low as f64 <= 0.01, "bucket {bucket}: {low} to {high}");
        }
    }

    #[test]
    fn quantiles_of_a_ramp_are_where_they_belong() {
        let mut histogram = Histogram::new();
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.total(), 10_000);
        for (quantile, expected) in [(0.5, 5_000.0), (0.99, 9_900.0), (0.999, 9_990.0), (1.0, 10_000.0)] {
            let got = histogram.quantile(quantile).as_secs_f64() * 1e6;
            assert!((got / expected - 1.0).abs() < 0.01, "quantile {quantile}: {got} for {expected}");
        }
    }

    #[test]
    fn extremes_are_counted_and_an_empty_histogram_answers_zero() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(1_000_000));
        assert_eq!(histogram.total(), 2);
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        assert!(histogram.quantile(1.0) > Duration::from_secs(1_000));
    }
}
