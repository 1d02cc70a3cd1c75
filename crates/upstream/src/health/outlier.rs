//! Outlier detection: an endpoint whose attempts fail in a row is ejected for a while.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::endpoint::Endpoint;
use crate::random::Random;

/// When and for how long endpoints are ejected. The defaults are Envoy's but for two: 10 s instead of 30 s,
/// since an endpoint that only restarted should not be missed for long (one that stays sick is out longer
/// each time), and half of the endpoints instead of a tenth, since a tenth of a small upstream is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierSettings {
    /// Failures in a row that eject; 0 switches outlier detection off.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts, in milliseconds. The n-th lasts n times as long; n falls by one
    /// for each such time in good health. Up to a tenth is added at random, so that endpoints come back one
    /// by one.
    pub base_ejection_ms: u64,
    /// How long an ejection lasts at most, in milliseconds, before the random part.
    pub max_ejection_ms: u64,
    /// How many of the endpoints with weight may be ejected at once, in percent. At least one may be, if
    /// there are two or more; never all. 0 means none.
    pub max_ejected_percent: u32,
}

impl Default for OutlierSettings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection_ms: 10_000,
            max_ejection_ms: 300_000,
            max_ejected_percent: 50,
        }
    }
}

impl OutlierSettings {
    /// How many of `endpoints` (those with weight) may be ejected at once.
    fn most_ejected(&self, endpoints: usize) -> u32 {
        if endpoints < 2 || self.max_ejected_percent == 0 {
            return 0;
        }
        let share = endpoints.saturating_mul(self.max_ejected_percent as usize) / 100;
        share.clamp(1, endpoints - 1) as u32
    }

    fn length_ms(&self, ejections: u32, seed: u64) -> u64 {
        let length_ms =
            self.base_ejection_ms.saturating_mul(u64::from(ejections)).min(self.max_ejection_ms).max(1);
        length_ms.saturating_add(Random::new(seed).below(length_ms / 10 + 1))
    }
}

/// What outlier detection knows of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct EjectionState {
    failures: AtomicU32,
    /// 0 while it is not ejected. Whoever changes it from or to 0 also changes [`Outliers::ejected`].
    until_ms: AtomicU64,
    /// Number of the latest ejection, and when that was over: what the next one's number follows from.
    ejections: AtomicU32,
    rested_since_ms: AtomicU64,
}

impl EjectionState {
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        copy.catch_up(self);
        copy
    }

    /// Only while nothing else uses it; [`Outliers::recount`] is due afterwards.
    pub(crate) fn catch_up(&self, before: &Self) {
        self.failures.store(before.failures.load(Ordering::Relaxed), Ordering::Relaxed);
        self.until_ms.store(before.until_ms.load(Ordering::Acquire), Ordering::Release);
        self.ejections.store(before.ejections.load(Ordering::Relaxed), Ordering::Relaxed);
        self.rested_since_ms.store(before.rested_since_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// When the ejection ends or ended; `None` where there is none or it was settled.
    pub(crate) fn until_ms(&self) -> Option<u64> {
        Some(self.until_ms.load(Ordering::Acquire)).filter(|until_ms| *until_ms != 0)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Costs one load while nothing fails: a store would take the cache line from the other workers.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// The number that an ejection now would have.
    fn next_number(&self, now_ms: u64, base_ms: u64) -> u32 {
        let rested_ms = now_ms.saturating_sub(self.rested_since_ms.load(Ordering::Relaxed));
        let forgiven = u32::try_from(rested_ms / base_ms.max(1)).unwrap_or(u32::MAX);
        self.ejections.load(Ordering::Relaxed).saturating_sub(forgiven).saturating_add(1)
    }
}

/// One ejection that just began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ejection {
    pub(crate) number: u32,
    pub(crate) until_ms: u64,
}

/// Outlier detection of one upstream. The cap holds at each moment and among any threads: a place under it
/// is taken before an endpoint is marked and given back after the mark is gone.
#[derive(Debug)]
pub(crate) struct Outliers {
    settings: OutlierSettings,
    most_ejected: AtomicU32,
    ejected: AtomicU32,
}

impl Outliers {
    pub(crate) fn new<'e>(
        settings: OutlierSettings,
        endpoints: impl IntoIterator<Item = &'e Endpoint> + Clone,
    ) -> Self {
        let outliers = Self { settings, most_ejected: AtomicU32::new(0), ejected: AtomicU32::new(0) };
        outliers.recount(endpoints);
        outliers
    }

    /// Counts the endpoints that take part anew, since the cap on ejections follows from their number.
    pub(crate) fn count<'e>(&self, endpoints: impl IntoIterator<Item = &'e Endpoint>) {
        let taking_part = endpoints.into_iter().filter(|e| e.takes_part()).count();
        self.most_ejected.store(self.settings.most_ejected(taking_part), Ordering::Release);
    }

    /// Counts anew how many are ejected, and how many may be. Only while nothing else uses the endpoints.
    pub(crate) fn recount<'e>(&self, endpoints: impl IntoIterator<Item = &'e Endpoint> + Clone) {
        let ejected = endpoints.clone().into_iter().filter(|e| e.ejection().until_ms().is_some()).count();
        self.ejected.store(ejected as u32, Ordering::Release);
        self.count(endpoints);
    }

    /// Counts a failure. Whether there were enough of them to eject the endpoint.
    pub(crate) fn failed(&self, endpoint: &Endpoint, now_ms: u64) -> bool {
        let state = endpoint.ejection();
        let most = self.most_ejected.load(Ordering::Relaxed);
        let off = most == 0 || self.settings.consecutive_failures == 0 || !endpoint.takes_part();
        // What was begun before an ejection, or is sent there in a panic, says nothing new.
        if off || state.until_ms().is_some_and(|until_ms| until_ms > now_ms) {
            return false;
        }
        let before = state.failures.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1) >= self.settings.consecutive_failures
    }

    /// Ejects the endpoint, unless it is ejected already or too many are.
    pub(crate) fn eject(&self, endpoint: &Endpoint, now_ms: u64, seed: u64) -> Option<Ejection> {
        let most = self.most_ejected.load(Ordering::Acquire);
        self.ejected
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |ejected| {
                (ejected < most).then_some(ejected + 1)
            })
            .ok()?;
        let state = endpoint.ejection();
        let number = state.next_number(now_ms, self.settings.base_ejection_ms);
        let until_ms = now_ms.saturating_add(self.settings.length_ms(number, seed));
        if state.until_ms.compare_exchange(0, until_ms, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.ejected.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        state.ejections.store(number, Ordering::Relaxed);
        state.failures.store(0, Ordering::Relaxed);
        Some(Ejection { number, until_ms })
    }

    /// Ends the ejection if its time is over. Returns when it was over, if this call ended it.
    pub(crate) fn settle(&self, endpoint: &Endpoint, now_ms: u64) -> Option<u64> {
        let until_ms = endpoint.ejection().until_ms().filter(|until_ms| *until_ms <= now_ms)?;
        self.end(endpoint, until_ms, until_ms).then_some(until_ms)
    }

    /// Ends the ejection before its time. Whether there was one and this call ended it.
    pub(crate) fn release(&self, endpoint: &Endpoint, now_ms: u64) -> bool {
        endpoint.ejection().until_ms().is_some_and(|until_ms| self.end(endpoint, until_ms, now_ms))
    }

    /// Whether any endpoint is marked as ejected.
    pub(crate) fn any(&self) -> bool {
        self.ejected.load(Ordering::Acquire) != 0
    }

    fn end(&self, endpoint: &Endpoint, until_ms: u64, ended_ms: u64) -> bool {
        let state = endpoint.ejection();
        let ended = state.until_ms.compare_exchange(until_ms, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if ended {
            state.rested_since_ms.store(ended_ms, Ordering::Relaxed);
            self.ejected.fetch_sub(1, Ordering::AcqRel);
        }
        ended
    }
}

#[cfg(test)]
#[path = "outlier/tests.rs"]
mod tests;
