//! Quantiles of the last minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::histogram::Sparse;

/// How old what is compared with is at least, in milliseconds. It is at most twice as old where somebody
/// asks often enough, else as old as the question before.
const WINDOW_MS: u64 = 30_000;

/// Remembers two earlier states of named histograms, so that quantiles can be told of the last 30 to 60
/// seconds. Quantiles since the start of the process would hardly move after a day.
///
/// Works when it is asked and not otherwise; any number may ask, however often. Takes about 1.5 KiB for
/// each name with traffic, twice.
#[derive(Debug, Default)]
pub struct Recent {
    states: Mutex<States>,
}

#[derive(Debug, Default)]
struct States {
    older: HashMap<String, Sparse>,
    newer: HashMap<String, Sparse>,
    newer_at_ms: Option<u64>,
}

impl Recent {
    /// For each name and what was counted for it so far, what was counted in the window.
    pub fn since_before(&self, now_ms: u64, counted: &[(&str, Sparse)]) -> Vec<Sparse> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Sparse::default();
        let before = |name: &str| states.older.get(name).unwrap_or(&nothing);
        let window = counted.iter().map(|(name, sum)| sum.since(before(name))).collect();
        if states.newer_at_ms.is_none_or(|at| now_ms.saturating_sub(at) >= WINDOW_MS) {
            let now = counted.iter().map(|(name, sum)| ((*name).to_owned(), sum.clone())).collect();
            states.older = std::mem::replace(&mut states.newer, now);
            states.newer_at_ms = Some(now_ms);
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;
    use crate::histogram::{Histogram, Sum};

    #[test]
    fn old_traffic_leaves_the_quantiles() {
        let (recent, histogram) = (Recent::default(), Histogram::default());
        let median_at = |now_ms| {
            let mut sum = Sum::default();
            histogram.add_to(&mut sum);
            recent.since_before(now_ms, &[("a", sum.sparse())])[0].quantile(0.5)
        };
        (0..100).for_each(|_| histogram.record(10));
        for seconds in [0, 15, 30] {
            assert_eq!(median_at(seconds * 1_000), Some(10), "since the start at {seconds} s");
        }
        for seconds in [45, 60] {
            assert_eq!(median_at(seconds * 1_000), None, "nothing since 0 s at {seconds} s");
        }
        (0..3).for_each(|_| histogram.record(40));
        assert_eq!(median_at(75_000), Some(40), "since 30 s before");
        assert_eq!(median_at(90_000), Some(40));
        assert_eq!(median_at(90_001), Some(40), "asking often changes nothing");
        assert_eq!(median_at(120_000), Some(40), "since 60 s before");
        assert_eq!(median_at(150_000), None, "nothing happened since 90 s");
    }

    #[test]
    fn a_histogram_that_began_anew_is_no_harm() {
        let recent = Recent::default();
        let sum_of = |durations: &[u64]| {
            let (histogram, mut sum) = (Histogram::default(), Sum::default());
            durations.iter().for_each(|d| histogram.record(*d));
            histogram.add_to(&mut sum);
            sum.sparse()
        };
        for (now_ms, durations) in [(0, &[1, 1, 1][..]), (30_000, &[1, 1, 1]), (60_000, &[1, 5])] {
            recent.since_before(now_ms, &[("a", sum_of(durations))]);
        }
        let counted = recent.since_before(61_000, &[("a", sum_of(&[1, 5, 5]))]);
        assert_eq!((counted[0].count(), counted[0].quantile(0.5)), (2, Some(5)));
    }
}
