//! Durations by how something ended: method, status, reason. What the OpenTelemetry families are made from.

use std::sync::OnceLock;

use tollgate_decision::Reason;
use tollgate_message::Method;

use crate::shard::Counter;

/// Upper bounds of the classic buckets, in microseconds: those that OpenTelemetry recommends for HTTP, and
/// three below them, where a proxy's durations lie.
pub const BOUNDS_US: [u64; 17] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// How many different outcomes a route or upstream keeps apart for each worker. Origins choose statuses,
/// so something has to bound them.
const OUTCOMES_MAX: usize = 64;

/// How an exchange or attempt ended, as far as metrics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The request's method.
    pub method: Method,
    /// The response's status; 0 where there was none.
    pub status: u16,
    /// Why it failed; `None` where it did not.
    pub failure: Option<Reason>,
}

impl Outcome {
    /// The outcome of an exchange or attempt that ended for this reason.
    pub fn new(method: Method, status: u16, reason: Reason) -> Self {
        Self { method, status, failure: Some(reason).filter(|r| r.is_failure()) }
    }

    /// All outcomes beyond those that are kept apart. Its status is none that any response has.
    const REST: Self = Self { method: Method::Other, status: u16::MAX, failure: None };

    /// The method's name, or `_OTHER` as OpenTelemetry calls all that are not well known.
    pub fn method_label(&self) -> &'static str {
        match self.method {
            Method::Other => "_OTHER",
            method => method.label(),
        }
    }

    /// The status in digits; nothing where there was none.
    pub fn status_label(&self) -> String {
        match self.status {
            0 => String::new(),
            u16::MAX => "_OTHER".to_owned(),
            status => status.to_string(),
        }
    }
}

/// Durations in the classic buckets.
#[derive(Debug, Default)]
struct Classic {
    buckets: [Counter; BOUNDS_US.len() + 1],
    sum_us: Counter,
}

/// Durations of some exchanges in the classic buckets, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicSum {
    /// How many fell into each bucket; the last is for what is longer than all bounds.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl ClassicSum {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A list of the outcomes that occurred, each with its durations. One writer, many readers.
///
/// Entries are made at their first exchange (200 bytes) and never go, at most 64; what occurs beyond is
/// counted as one further outcome, `_OTHER`. So it takes at most 13 KiB. The outcome that came first, which
/// is nearly always the most common, is found at the first look.
#[derive(Debug, Default)]
pub struct Outcomes {
    first: OnceLock<Box<Entry>>,
}

#[derive(Debug)]
struct Entry {
    outcome: Outcome,
    durations: Classic,
    next: OnceLock<Box<Entry>>,
}

impl Outcomes {
    /// Counts one exchange or attempt.
    pub fn record(&self, outcome: Outcome, duration_us: u64) {
        let mut place = &self.first;
        for _ in 0..OUTCOMES_MAX {
            let entry = place.get_or_init(|| Entry::new(outcome));
            if entry.outcome == outcome {
                return entry.durations.record(duration_us);
            }
            place = &entry.next;
        }
        place.get_or_init(|| Entry::new(Outcome::REST)).durations.record(duration_us);
    }

    /// The outcomes that occurred, each once, in the order of their first occurrence.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, ClassicSum)> + '_ {
        let entries = std::iter::successors(self.first.get(), |entry| entry.next.get());
        entries.map(|entry| (entry.outcome, entry.durations.sum()))
    }
}

impl Entry {
    #[cold]
    fn new(outcome: Outcome) -> Box<Self> {
        Box::new(Self { outcome, durations: Classic::default(), next: OnceLock::new() })
    }
}

impl Classic {
    fn record(&self, duration_us: u64) {
        self.buckets[bucket_of(duration_us)].add(1);
        self.sum_us.add(duration_us);
    }

    fn sum(&self) -> ClassicSum {
        let mut buckets = [0; BOUNDS_US.len() + 1];
        buckets.iter_mut().zip(&self.buckets).for_each(|(sum, counter)| *sum = counter.get());
        ClassicSum { buckets, sum_us: self.sum_us.get() }
    }
}

/// Adds outcomes up, those that are the same into one.
pub fn add(sums: &mut Vec<(Outcome, ClassicSum)>, outcomes: &Outcomes) {
    for (outcome, durations) in outcomes.iter() {
        let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == outcome) else {
            sums.push((outcome, durations));
            continue;
        };
        sum.buckets.iter_mut().zip(durations.buckets).for_each(|(total, count)| *total += count);
        sum.sum_us += durations.sum_us;
    }
}

/// The first bucket whose bound is not below the duration. At most three bounds lie in one doubling.
fn bucket_of(duration_us: u64) -> usize {
    let bits = (u64::BITS - duration_us.leading_zeros()) as usize;
    let mut bucket = usize::from(FIRST_BUCKET[bits.min(FIRST_BUCKET.len() - 1)]);
    while bucket < BOUNDS_US.len() && duration_us > BOUNDS_US[bucket] {
        bucket += 1;
    }
    bucket
}

/// For durations of so many bits, the first bucket whose bound the least of them does not exceed.
const FIRST_BUCKET: [u8; 26] = {
    let mut table = [0; 26];
    let mut bits = 1;
    while bits < table.len() {
        while (table[bits] as usize) < BOUNDS_US.len() && BOUNDS_US[table[bits] as usize] < 1 << (bits - 1) {
            table[bits] += 1;
        }
        bits += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{BOUNDS_US, ClassicSum, Outcome, Outcomes, add, bucket_of};
    use proptest::prelude::*;
    use tollgate_decision::Reason;
    use tollgate_message::Method;

    fn outcome(status: u16) -> Outcome {
        Outcome::new(Method::Get, status, Reason::Forwarded)
    }

    #[test]
    fn outcomes_are_kept_apart_up_to_a_limit() {
        let outcomes = Outcomes::default();
        for round in 0..2 {
            for status in 0..200 {
                outcomes.record(outcome(200 + status), 1_000 * (round + 1));
            }
        }
        let all: Vec<_> = outcomes.iter().collect();
        assert_eq!(all.len(), 65);
        assert!(all[..64].iter().all(|(_, sum)| sum.count() == 2 && sum.sum_us == 3_000));
        let (rest, sum) = &all[64];
        assert_eq!(
            (rest.status_label().as_str(), rest.method_label(), sum.count()),
            ("_OTHER", "_OTHER", 272)
        );
    }

    #[test]
    fn a_failure_is_told_apart_from_a_response_of_the_same_status() {
        let outcomes = [Outcomes::default(), Outcomes::default()];
        outcomes[0].record(outcome(502), 1);
        outcomes[1].record(Outcome::new(Method::Get, 502, Reason::ConnectFailed), 1);
        outcomes[1].record(outcome(502), 20_000_000);
        let mut sums = Vec::new();
        outcomes.iter().for_each(|o| add(&mut sums, o));
        assert_eq!(sums.len(), 2);
        let mut both = ClassicSum { sum_us: 20_000_001, ..ClassicSum::default() };
        (both.buckets[0], both.buckets[17]) = (1, 1);
        assert_eq!(sums[0], (outcome(502), both));
        assert_eq!(sums[1].0.failure, Some(Reason::ConnectFailed));
    }

    #[test]
    fn bounds_belong_to_their_bucket() {
        for (bucket, bound) in BOUNDS_US.iter().enumerate() {
            assert_eq!((bucket_of(*bound), bucket_of(bound + 1)), (bucket, bucket + 1));
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BOUNDS_US.len()));
    }

    proptest! {
        #[test]
        fn the_bucket_is_the_first_that_fits(bits in 0u32..64, low in any::<u64>()) {
            let duration = (1_u64 << bits) | (low & ((1 << bits) - 1));
            prop_assert_eq!(bucket_of(duration), BOUNDS_US.partition_point(|bound| *bound < duration));
        }
    }
}
