//! Outlier detection: an endpoint whose attempts fail in a row, or more than those of the others, is ejected for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::compare::Counts;
use super::failure::Failure;
use super::rows::Rows;
use super::settings::{OutlierSettings, Rule};
use super::tally::Tally;
use crate::endpoint::Endpoint;

/// The mark of an ejection in shadow. No time in milliseconds reaches it.
const SHADOW: u64 = 1 << 63;

/// What outlier detection knows of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct EjectionState {
    /// [`Rows`] as one number.
    rows: AtomicU64,
    /// 0 while it is not ejected, with [`SHADOW`] where it only would be. Whoever changes it from or to 0 also changes
    /// [`Outliers::ejected`].
    until_ms: AtomicU64,
    /// Number of the latest ejection, and when that was over: what the next one's number follows from.
    ejections: AtomicU32,
    rested_since_ms: AtomicU64,
    tally: Arc<Tally>,
}

impl EjectionState {
    /// What is counted is shared, all else is copied.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { tally: Arc::clone(&self.tally), ..Self::default() };
        copy.catch_up(self);
        copy
    }

    /// What is counted is shared, all else is as at first.
    pub(crate) fn fresh(&self) -> Self {
        Self { tally: Arc::clone(&self.tally), ..Self::default() }
    }

    /// Only while nothing else uses it; [`Outliers::recount`] is due afterwards.
    pub(crate) fn catch_up(&self, before: &Self) {
        self.rows.store(before.rows.load(Ordering::Relaxed), Ordering::Relaxed);
        self.until_ms.store(before.until_ms.load(Ordering::Acquire), Ordering::Release);
        self.ejections.store(before.ejections.load(Ordering::Relaxed), Ordering::Relaxed);
        self.rested_since_ms.store(before.rested_since_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// When the ejection ends or ended; `None` where there is none, it was settled, or it is one in shadow.
    pub(crate) fn until_ms(&self) -> Option<u64> {
        self.mark().filter(|mark| mark & SHADOW == 0)
    }

    /// The ejection, also one in shadow, as it is kept.
    fn mark(&self) -> Option<u64> {
        Some(self.until_ms.load(Ordering::Acquire)).filter(|mark| *mark != 0)
    }

    /// Number of the latest ejection; 0 before the first.
    pub(crate) fn number(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Goes on from what is known from elsewhere. Only while nothing else uses it; [`Outliers::recount`] is due
    /// afterwards.
    pub(crate) fn go_on(&self, until_ms: Option<u64>, number: u32) {
        let mark = until_ms.map_or(0, |until_ms| until_ms.clamp(1, SHADOW - 1));
        self.until_ms.store(mark, Ordering::Release);
        self.ejections.store(number, Ordering::Relaxed);
    }

    /// How many failures of any kind there were in a row.
    pub(crate) fn failures(&self) -> u32 {
        let rows = Rows::from_bits(self.rows.load(Ordering::Relaxed));
        u32::from(rows.any.max(rows.local))
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn fail(&self, failure: Failure, settings: &OutlierSettings) -> Rows {
        let after = |bits| Some(Rows::from_bits(bits).after(failure, settings).to_bits());
        let before = self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        // The update never refuses, so that both are what stood there before.
        Rows::from_bits(before.unwrap_or_else(|bits| bits)).after(failure, settings)
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

/// One ejection that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) until_ms: u64,
    pub(crate) shadow: bool,
}

/// Outlier detection of one upstream. The cap holds at each moment and among any threads: a place under it
/// is taken before an endpoint is marked and given back after the mark is gone. In shadow all is the same, but that
/// the mark does not count for anybody else.
#[derive(Debug)]
pub(crate) struct Outliers {
    settings: OutlierSettings,
    compares: bool,
    most_ejected: AtomicU32,
    ejected: AtomicU32,
    /// How often each rule has ejected, by its place in [`Rule::ALL`].
    totals: [AtomicU64; Rule::COUNT],
}

impl Outliers {
    pub(crate) fn new<'e>(
        settings: OutlierSettings,
        endpoints: impl IntoIterator<Item = &'e Endpoint> + Clone,
    ) -> Self {
        let outliers = Self {
            settings,
            compares: settings.compares(),
            most_ejected: AtomicU32::new(0),
            ejected: AtomicU32::new(0),
            totals: Default::default(),
        };
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
        let ejected = endpoints.clone().into_iter().filter(|e| e.ejection().mark().is_some()).count();
        self.ejected.store(ejected as u32, Ordering::Release);
        self.count(endpoints);
    }

    /// Takes over how often there were ejections.
    pub(crate) fn catch_up(&self, before: &Self) {
        for (total, before) in self.totals.iter().zip(&before.totals) {
            total.store(before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// How often a rule has ejected, in shadow included.
    pub(crate) fn total(&self, rule: Rule) -> u64 {
        self.totals[rule as usize].load(Ordering::Relaxed)
    }

    /// The endpoint is there again: what failed in a row before says nothing.
    pub(crate) fn forget_rows(&self, endpoint: &Endpoint) {
        endpoint.ejection().rows.store(0, Ordering::Relaxed);
    }

    /// Costs one load while nothing fails (a store would take the cache line from the other workers), and an addition
    /// where endpoints are compared.
    #[inline]
    pub(crate) fn succeeded(&self, endpoint: &Endpoint) {
        let state = endpoint.ejection();
        if state.rows.load(Ordering::Relaxed) != 0 {
            state.rows.store(0, Ordering::Relaxed);
        }
        if self.compares {
            state.tally.succeeded();
        }
    }

    /// Counts a failure. The rule that ejects the endpoint for it, and how many failures there were in a row.
    pub(crate) fn failed(&self, endpoint: &Endpoint, failure: Failure, now_ms: u64) -> Option<(Rule, u32)> {
        let state = endpoint.ejection();
        if self.compares {
            state.tally.failed();
        }
        let most = self.most_ejected.load(Ordering::Relaxed);
        // What was begun before an ejection, or is sent there in a panic, says nothing new.
        let is_out = state.mark().is_some_and(|mark| mark & !SHADOW > now_ms);
        if most == 0 || is_out || !endpoint.takes_part() {
            return None;
        }
        state.fail(failure, &self.settings).outlier(&self.settings)
    }

    /// What was counted of an endpoint since the last call.
    pub(crate) fn take_counts(&self, endpoint: &Endpoint) -> Counts {
        endpoint.ejection().tally.take()
    }

    /// Ejects the endpoint, unless it is ejected already or too many are.
    pub(crate) fn eject(&self, endpoint: &Endpoint, rule: Rule, now_ms: u64, seed: u64) -> Option<Ejection> {
        let most = self.most_ejected.load(Ordering::Acquire);
        self.ejected
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |ejected| {
                (ejected < most).then_some(ejected + 1)
            })
            .ok()?;
        let state = endpoint.ejection();
        let number = state.next_number(now_ms, self.settings.base_ejection_ms);
        let until_ms = now_ms.saturating_add(self.settings.length_ms(number, seed)).min(SHADOW - 1);
        let mark = if self.settings.shadow { until_ms | SHADOW } else { until_ms };
        if state.until_ms.compare_exchange(0, mark, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.ejected.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        state.ejections.store(number, Ordering::Relaxed);
        state.rows.store(0, Ordering::Relaxed);
        self.totals[rule as usize].fetch_add(1, Ordering::Relaxed);
        Some(Ejection { number, until_ms })
    }

    /// Ends the ejection if its time is over. What ended, if this call ended it.
    pub(crate) fn settle(&self, endpoint: &Endpoint, now_ms: u64) -> Option<Ended> {
        let mark = endpoint.ejection().mark().filter(|mark| mark & !SHADOW <= now_ms)?;
        let ended = Ended { until_ms: mark & !SHADOW, shadow: mark & SHADOW != 0 };
        self.end(endpoint, mark, ended.until_ms).then_some(ended)
    }

    /// Ends the ejection before its time. Whether there was one, not in shadow, and this call ended it.
    pub(crate) fn release(&self, endpoint: &Endpoint, now_ms: u64) -> bool {
        let released = |mark| self.end(endpoint, mark, now_ms) && mark & SHADOW == 0;
        endpoint.ejection().mark().is_some_and(released)
    }

    /// Whether any endpoint is marked as ejected.
    pub(crate) fn any(&self) -> bool {
        self.ejected.load(Ordering::Acquire) != 0
    }

    fn end(&self, endpoint: &Endpoint, mark: u64, ended_ms: u64) -> bool {
        let state = endpoint.ejection();
        let ended = state.until_ms.compare_exchange(mark, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
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
