//! Latencies over time: a histogram for each tenth of a second.

use crate::histogram::{Counts, Histogram};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The length of a slice.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// Collects latencies by when their exchange ended.
pub(crate) struct Recording {
    began: Instant,
    present: Histogram,
    timeline: Timeline,
}

impl Recording {
    /// Begins with the first slice now.
    pub(crate) fn begin(now: Instant) -> Self {
        let began_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let began_us = u64::try_from(began_us).unwrap_or(u64::MAX);
        let timeline = Timeline { began_us, slices: Vec::new() };
        Self { began: now, present: Histogram::new(), timeline }
    }

    /// Counts an exchange that ended `now`.
    pub(crate) fn record(&mut self, now: Instant, latency: Duration) {
        self.advance(now);
        self.present.record(latency);
    }

    /// The slices that are over.
    pub(crate) fn finished(&mut self, now: Instant) -> Timeline {
        self.advance(now);
        self.timeline.clone()
    }

    fn advance(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_nanos();
        let index = usize::try_from(since / SLICE.as_nanos()).unwrap_or(usize::MAX);
        while self.timeline.slices.len() < index {
            self.timeline.slices.push(self.present.counts());
            if self.present.total() > 0 {
                self.present = Histogram::new();
            }
        }
    }
}

/// What was recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// When the first slice began, in microseconds since the Unix epoch.
    pub(crate) began_us: u64,
    /// The latencies of each slice.
    pub(crate) slices: Vec<Counts>,
}

impl Timeline {
    /// The slices from the one that the moment `from_us` (since the Unix epoch) falls into, `length` long,
    /// as one histogram; none where they were not all recorded.
    pub(crate) fn span(&self, from_us: u64, length: Duration) -> Option<Histogram> {
        let slice_us = SLICE.as_micros() as u64;
        let first = usize::try_from(from_us.checked_sub(self.began_us)? / slice_us).ok()?;
        let count = (length.as_micros() / SLICE.as_micros()) as usize;
        let mut sum = Histogram::new();
        self.slices.get(first..first.checked_add(count)?)?.iter().for_each(|slice| sum.add(slice));
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{Recording, SLICE};
    use std::time::{Duration, Instant};

    #[test]
    fn exchanges_are_found_where_they_ended() {
        let start = Instant::now();
        let mut recording = Recording::begin(start);
        recording.record(start + SLICE / 2, Duration::from_millis(1));
        recording.record(start + SLICE * 3, Duration::from_millis(7));
        let timeline = recording.finished(start + SLICE * 5);
        assert_eq!(timeline.slices.len(), 5);
        let slice_us = SLICE.as_micros() as u64;
        let span =
            |first: u64, slices: u32| timeline.span(timeline.began_us + first * slice_us, SLICE * slices);
        assert_eq!(span(0, 1).map(|sum| sum.total()), Some(1));
        assert_eq!(span(1, 2).map(|sum| sum.total()), Some(0));
        let all = span(0, 5).expect("was recorded");
        assert_eq!((all.total(), all.quantile(1.0)), (2, Duration::from_millis(7)));
        assert!(span(1, 5).is_none() && timeline.span(timeline.began_us - 1, SLICE).is_none());
    }
}
