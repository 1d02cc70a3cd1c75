//! Distributions of durations, in a form that can be subtracted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_telemetry::histogram::{Sum, bounds_of};

/// How long something took, as a histogram since the start of the process. The difference of two answers is the time
/// between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// All durations added up, in microseconds.
    pub sum_us: u64,
    /// What can be read off the histogram; null while it is empty.
    pub quantiles: Option<Quantiles>,
    /// The histogram, from short to long, without the empty buckets.
    pub buckets: Vec<Bucket>,
}

/// Durations that a share was not longer than, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Half.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
}

/// Durations of about the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// The shortest, in microseconds.
    pub from_us: u64,
    /// All are shorter than this; null for no bound.
    pub to_us: Option<u64>,
    /// How many.
    pub count: u64,
}

impl Latency {
    /// The distribution of a histogram.
    pub(crate) fn of(sum: &Sum) -> Self {
        let sparse = sum.sparse();
        let buckets = sparse.counts.iter().map(|(bucket, count)| {
            let (from_us, to_us) = bounds_of(*bucket);
            Bucket { from_us, to_us, count: *count }
        });
        Self::from_buckets(sparse.sum_us, buckets.collect())
    }

    /// What was added since `earlier`, an answer of the same process. All of it, if that is of another one.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut buckets = self.buckets.clone();
        for bucket in &mut buckets {
            let same = |other: &&Bucket| other.from_us == bucket.from_us && other.to_us == bucket.to_us;
            let before = earlier.buckets.iter().find(same).map_or(0, |other| other.count);
            match bucket.count.checked_sub(before) {
                Some(more) => bucket.count = more,
                None => return self.clone(),
            }
        }
        buckets.retain(|bucket| bucket.count > 0);
        Self::from_buckets(self.sum_us.saturating_sub(earlier.sum_us), buckets)
    }

    /// Adds another distribution.
    pub fn add(&mut self, other: &Self) {
        for bucket in &other.buckets {
            match self.buckets.binary_search_by_key(&bucket.from_us, |own| own.from_us) {
                Ok(at) => self.buckets[at].count += bucket.count,
                Err(at) => self.buckets.insert(at, *bucket),
            }
        }
        *self = Self::from_buckets(self.sum_us + other.sum_us, std::mem::take(&mut self.buckets));
    }

    /// The duration that the share `of_all` (0 to 1) was not longer than, in microseconds; between a bucket's bounds
    /// as if its durations were spread evenly. `None` while there is none.
    pub fn quantile(&self, of_all: f64) -> Option<f64> {
        let rank = of_all.clamp(0.0, 1.0) * self.count as f64;
        let mut before = 0.0;
        for bucket in &self.buckets {
            let count = bucket.count as f64;
            if before + count >= rank {
                let from = bucket.from_us as f64;
                let Some(to_us) = bucket.to_us else { return Some(from) };
                let share = if count > 0.0 { (rank - before).max(0.0) / count } else { 0.0 };
                return Some(from + (to_us as f64 - from) * share);
            }
            before += count;
        }
        self.buckets.last().map(|bucket| bucket.to_us.unwrap_or(bucket.from_us) as f64)
    }

    fn from_buckets(sum_us: u64, buckets: Vec<Bucket>) -> Self {
        let count = buckets.iter().map(|bucket| bucket.count).sum();
        let mut latency = Self { count, sum_us, quantiles: None, buckets };
        let quantile = |share| latency.quantile(share);
        latency.quantiles = (|| {
            Some(Quantiles {
                p50_us: quantile(0.5)?,
                p90_us: quantile(0.9)?,
                p99_us: quantile(0.99)?,
                p999_us: quantile(0.999)?,
            })
        })();
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;
    use tollgate_telemetry::Histogram;
    use tollgate_telemetry::histogram::Sum;

    fn latency(histogram: &Histogram) -> Latency {
        let mut sum = Sum::default();
        histogram.add_to(&mut sum);
        Latency::of(&sum)
    }

    #[test]
    fn differences_hold_what_came_between_and_sums_what_is_in_both() {
        let histogram = Histogram::default();
        for duration in [10, 100, 1_000] {
            histogram.record(duration);
        }
        let earlier = latency(&histogram);
        for duration in [100, 100, 1_000_000, u64::MAX / 4] {
            histogram.record(duration);
        }
        let later = latency(&histogram);
        let between = later.since(&earlier);
        assert_eq!((earlier.count, later.count, between.count), (3, 7, 4));
        assert_eq!(between.buckets.last().unwrap().to_us, None);
        let mut sum = between.clone();
        sum.add(&earlier);
        assert_eq!(sum, later);
        // A process that was started anew has counted less.
        assert_eq!(earlier.since(&later), earlier);
        assert_eq!(later.since(&later), Latency::default());
    }

    #[test]
    fn quantiles_are_in_the_right_bucket() {
        let histogram = Histogram::default();
        for _ in 0..98 {
            histogram.record(1_000);
        }
        histogram.record(50_000);
        histogram.record(50_000);
        let latency = latency(&histogram);
        let within = |share: f64, from: f64, to: f64| {
            let quantile = latency.quantile(share).unwrap();
            assert!((from..=to).contains(&quantile), "{share}: {quantile}");
        };
        within(0.0, 990.0, 1_010.0);
        within(0.5, 990.0, 1_010.0);
        within(0.99, 49_500.0, 50_500.0);
        within(1.0, 49_500.0, 50_500.0);
        assert_eq!(Latency::default().quantile(0.5), None);
    }
}
