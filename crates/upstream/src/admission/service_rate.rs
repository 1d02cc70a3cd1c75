//! How quickly places become free while somebody waits for them.

/// Departures and the time that they took, older ones counting less and less. Of no opinion until it has seen a few.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceRate {
    departures: f64,
    busy_us: f64,
    /// Since when the queue has not been empty, or the last departure since then.
    since_us: Option<u64>,
}

/// Fewer departures than this say nothing.
const ENOUGH: f64 = 8.0;
/// After this much busy time what was seen before counts half.
const HALVED_AFTER_US: f64 = 1_000_000.0;

impl ServiceRate {
    /// Somebody waits from now on, where nobody did.
    pub(crate) fn begins(&mut self, now_us: u64) {
        self.since_us = Some(now_us);
    }

    /// Somebody got a place.
    pub(crate) fn departed(&mut self, now_us: u64) {
        let since_us = self.since_us.replace(now_us).unwrap_or(now_us);
        self.busy_us += now_us.saturating_sub(since_us) as f64;
        self.departures += 1.0;
        if self.busy_us > HALVED_AFTER_US && self.departures > 2.0 * ENOUGH {
            self.busy_us /= 2.0;
            self.departures /= 2.0;
        }
    }

    /// Nobody waits any more.
    pub(crate) fn ends(&mut self) {
        self.since_us = None;
    }

    /// How long until this many more have got a place, in microseconds; `None` while not known. A stall counts as it goes on.
    pub(crate) fn time_for(&self, places: u32, now_us: u64) -> Option<u64> {
        if self.departures < ENOUGH {
            return None;
        }
        let stalled_us = self.since_us.map_or(0, |since_us| now_us.saturating_sub(since_us));
        let each_us = (self.busy_us + stalled_us as f64) / self.departures;
        Some((each_us * f64::from(places)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceRate;

    fn at_rate(interval_us: u64, departures: u64) -> ServiceRate {
        let mut rate = ServiceRate::default();
        rate.begins(0);
        (1..=departures).for_each(|n| rate.departed(n * interval_us));
        rate
    }

    #[test]
    fn a_steady_rate_is_found_and_few_departures_say_nothing() {
        assert_eq!(at_rate(1000, 7).time_for(1, 7000), None);
        for interval_us in [10, 1000, 300_000] {
            let estimate = at_rate(interval_us, 50).time_for(10, 50 * interval_us).unwrap();
            assert!(estimate.abs_diff(10 * interval_us) <= interval_us / 10, "{interval_us}: {estimate}");
        }
    }

    #[test]
    fn time_in_which_nobody_waited_does_not_count_and_a_stall_does() {
        let mut rate = at_rate(1000, 20);
        rate.ends();
        assert_eq!(rate.time_for(5, 50_000_000), Some(5000));
        rate.begins(60_000_000);
        assert_eq!(rate.time_for(5, 60_000_000), Some(5000));
        assert!(rate.time_for(5, 62_000_000).unwrap() > 500_000);
    }

    #[test]
    fn a_new_rate_is_learned_within_seconds() {
        let mut rate = at_rate(1000, 10_000);
        (1..=200).for_each(|n| rate.departed(10_000_000 + n * 20_000));
        let each_us = rate.time_for(1, 14_000_000).unwrap();
        assert!((15_000..=20_000).contains(&each_us), "{each_us}");
    }
}
