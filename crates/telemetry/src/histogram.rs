//! Log-linear histograms of durations, right to 1 %.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::shard::Counter;

/// Each doubling is cut into this many buckets of the same width, so a bucket is at most a 64th of its
/// durations wide, and its middle at most a 128th (0.8 %) away from any of them.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
/// Durations from 2^36 µs (19 hours) on share the last bucket.
const LAST_BITS: u32 = 36;
/// One chunk for what is below 64 µs, then one for each doubling.
const CHUNKS: usize = (LAST_BITS - STEP_BITS + 1) as usize;
const BUCKETS: usize = CHUNKS * STEPS;

type Chunk = [Counter; STEPS];

/// A histogram of durations in microseconds. One writer, many readers.
///
/// Empty it takes 0.5 KiB; each doubling in which there was a duration adds 0.5 KiB. Durations between
/// 100 µs and 100 ms lie in 11 doublings (6 KiB), and no histogram takes more than 16 KiB.
#[derive(Debug)]
pub struct Histogram {
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
    sum_us: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], sum_us: Counter::new() }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration_us: u64) {
        let bucket = bucket_of(duration_us);
        let chunk = self.chunks[bucket / STEPS].get_or_init(new_chunk);
        chunk[bucket % STEPS].add(1);
        self.sum_us.add(duration_us);
    }

    /// Adds this histogram to a sum.
    pub fn add_to(&self, sum: &mut Sum) {
        for (index, chunk) in self.chunks.iter().enumerate() {
            let Some(chunk) = chunk.get() else { continue };
            for (total, bucket) in sum.buckets[index * STEPS..].iter_mut().zip(&**chunk) {
                *total += bucket.get();
            }
        }
        sum.sum_us += self.sum_us.get();
    }
}

#[cold]
fn new_chunk() -> Box<Chunk> {
    Box::new([const { Counter::new() }; STEPS])
}

/// Several histograms added up: 16 KiB.
#[derive(Clone, Debug)]
pub struct Sum {
    buckets: Box<[u64]>,
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), sum_us: 0 }
    }
}

impl Sum {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration in microseconds that the share `q` (0 to 1) of the durations does not exceed, right to
    /// 1 % up to 19 hours; `None` if there are none.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        quantile(q, self.count(), self.buckets.iter().copied().enumerate())
    }

    /// Adds what was exported elsewhere. Buckets that are not known here are left out.
    pub fn add(&mut self, exported: &Sparse) {
        for (bucket, count) in &exported.counts {
            if let Some(total) = self.buckets.get_mut(usize::from(*bucket)) {
                *total = total.saturating_add(*count);
            }
        }
        self.sum_us = self.sum_us.saturating_add(exported.sum_us);
    }

    /// The buckets that hold something.
    pub fn sparse(&self) -> Sparse {
        let held = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        Sparse { sum_us: self.sum_us, counts: held.map(|(bucket, count)| (bucket as u16, *count)).collect() }
    }
}

/// A histogram's buckets that hold something: what a client keeps or is sent. Two of them, taken one after
/// the other, tell by subtraction what happened between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparse {
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
    /// Bucket and count, by rising bucket.
    pub counts: Vec<(u16, u64)>,
}

impl Sparse {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The duration in microseconds that the share `q` (0 to 1) of the durations does not exceed, right to
    /// 1 % up to 19 hours; `None` if there are none.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        quantile(q, self.count(), self.counts.iter().map(|(bucket, count)| (usize::from(*bucket), *count)))
    }

    /// What was counted since `earlier`. A bucket that holds less than before was begun anew: it counts
    /// as empty.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut before = earlier.counts.iter().peekable();
        let mut counts = Vec::with_capacity(self.counts.len());
        for (bucket, count) in &self.counts {
            while before.next_if(|(b, _)| b < bucket).is_some() {}
            let known = before.next_if(|(b, _)| b == bucket).map_or(0, |(_, count)| *count);
            if *count > known {
                counts.push((*bucket, count - known));
            }
        }
        Self { sum_us: self.sum_us.saturating_sub(earlier.sum_us), counts }
    }
}

fn quantile(q: f64, count: u64, buckets: impl Iterator<Item = (usize, u64)>) -> Option<u64> {
    let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
    let mut below = 0_u64;
    for (bucket, held) in buckets {
        below = below.saturating_add(held);
        if below >= rank {
            return Some(middle_of(bucket));
        }
    }
    None
}

fn bucket_of(duration_us: u64) -> usize {
    let duration = duration_us.min((1 << LAST_BITS) - 1);
    // The bits above the six that make the step; 0 for what is below 64, where each value has its bucket.
    let above = (u64::BITS - duration.leading_zeros()).saturating_sub(STEP_BITS);
    let shift = above.saturating_sub(1);
    above as usize * STEPS + ((duration >> shift) as usize & (STEPS - 1))
}

/// From which duration on, and below which one, a bucket counts, in microseconds; the last one has no end.
pub fn bounds_of(bucket: u16) -> (u64, Option<u64>) {
    let start = |bucket: usize| {
        let (chunk, step) = (bucket / STEPS, (bucket % STEPS) as u64);
        if chunk == 0 { step } else { (STEPS as u64 + step) << (chunk - 1) }
    };
    let bucket = usize::from(bucket).min(BUCKETS - 1);
    (start(bucket), (bucket + 1 < BUCKETS).then(|| start(bucket + 1)))
}

fn middle_of(bucket: usize) -> u64 {
    let (chunk, step) = ((bucket / STEPS).min(CHUNKS - 1), (bucket % STEPS) as u64);
    if chunk == 0 {
        return step;
    }
    let width = 1_u64 << (chunk - 1);
    (STEPS as u64 + step) * width + (width - 1) / 2
}

#[cfg(test)]
#[path = "histogram/tests.rs"]
mod tests;
