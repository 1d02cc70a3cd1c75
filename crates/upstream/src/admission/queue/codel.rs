//! Controlled delay (RFC 8289) for one line of waiting exchanges.

/// When exchanges are refused because those of their line wait for too long: not while waits only peak, which a queue is there
/// for, but once each wait has been above the target for a whole interval. Then one is refused, the next
/// `interval / sqrt(n)` later, and so on ever sooner until a wait is below the target (RFC 8289 section 5.3). An exchange
/// stands for a packet, its wait in the queue for the packet's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CoDel {
    /// When the first refusal is due; 0 while waits are below the target.
    first_above_us: u64,
    /// When the next one is due, while refusing.
    next_us: u64,
    /// Refusals since refusing began, and how many there were when it began.
    count: u32,
    count_before: u32,
    refusing: bool,
}

/// Target and interval, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Law {
    pub(crate) target_us: u64,
    pub(crate) interval_us: u64,
}

impl Law {
    fn next(self, from_us: u64, count: u32) -> u64 {
        from_us.saturating_add((self.interval_us as f64 / f64::from(count.max(1)).sqrt()) as u64)
    }
}

impl CoDel {
    /// Whether the exchange that is about to leave the line is refused. `last` tells that nobody waits behind it: the last
    /// one is never refused, since there is no queue left to shorten.
    pub(crate) fn refuses(&mut self, law: Law, waited_us: u64, last: bool, now_us: u64) -> bool {
        let above = self.is_above(law, waited_us, last, now_us);
        if !above {
            self.refusing = false;
            return false;
        }
        if self.refusing {
            if now_us < self.next_us {
                return false;
            }
            self.count += 1;
            self.next_us = law.next(self.next_us, self.count);
            return true;
        }
        self.refusing = true;
        // Where it stopped only a moment ago, it goes on at about the rate that it had come to.
        let since = self.count.saturating_sub(self.count_before);
        let recent = now_us.saturating_sub(self.next_us) < 16 * law.interval_us;
        self.count = if since > 1 && recent { since } else { 1 };
        self.count_before = self.count;
        self.next_us = law.next(now_us, self.count);
        true
    }

    fn is_above(&mut self, law: Law, waited_us: u64, last: bool, now_us: u64) -> bool {
        if waited_us < law.target_us || last {
            self.first_above_us = 0;
            return false;
        }
        if self.first_above_us == 0 {
            self.first_above_us = now_us.saturating_add(law.interval_us).max(1);
            return false;
        }
        now_us >= self.first_above_us
    }
}

#[cfg(test)]
mod tests {
    use super::{CoDel, Law};

    const LAW: Law = Law { target_us: 5_000, interval_us: 100_000 };

    /// The times of refusals when one leaves each millisecond, having waited `waited_us(now)`.
    fn refusals(waited_us: impl Fn(u64) -> u64, until_us: u64) -> Vec<u64> {
        let mut codel = CoDel::default();
        let leaving = (1_000..until_us).step_by(1_000);
        leaving.filter(|&now_us| codel.refuses(LAW, waited_us(now_us), false, now_us)).collect()
    }

    #[test]
    fn short_peaks_refuse_nobody() {
        let peaks = |now_us: u64| if now_us % 120_000 < 90_000 { 50_000 } else { 1_000 };
        assert_eq!(refusals(peaks, 5_000_000), []);
    }

    #[test]
    fn a_standing_queue_is_refused_from_ever_more_often() {
        let times = refusals(|_| 50_000, 2_000_000);
        assert_eq!(times[0], 101_000);
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps[0], 100_000);
        // The gap after the n-th refusal is interval / sqrt(n), to the millisecond of the next one that leaves.
        for (n, gap) in (1u32..).zip(&gaps) {
            let ideal = 100_000.0 / f64::from(n).sqrt();
            assert!((*gap as f64 - ideal).abs() <= 2_000.0, "gap {n}: {gap}, not {ideal}");
        }
    }

    #[test]
    fn the_last_one_is_never_refused() {
        let mut codel = CoDel::default();
        assert!((0..10_000u64).all(|n| !codel.refuses(LAW, 1_000_000, true, n * 1_000)));
    }

    #[test]
    fn it_goes_on_where_it_stopped_a_moment_ago() {
        let dip = |now_us: u64| if (1_500_000..1_510_000).contains(&now_us) { 0 } else { 50_000 };
        let times = refusals(dip, 2_000_000);
        let after: Vec<u64> = times.iter().copied().filter(|time| *time > 1_510_000).collect();
        assert!(after[1] - after[0] < 40_000, "{after:?}");
    }
}
