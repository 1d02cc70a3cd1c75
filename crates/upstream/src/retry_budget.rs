//! The retry budget: retries may not multiply the load on an upstream that is already failing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many retries may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudgetSettings {
    /// Retries that are always allowed, so that a quiet upstream can be retried at all.
    pub min: u32,
    /// Share of the live requests that may be retries, in percent.
    pub percent: u32,
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self { min: 3, percent: 20 }
    }
}

/// Counts the active retries of one upstream over all workers. The count never passes the larger of
/// `min` and `percent` of the live requests at the time of asking.
#[derive(Debug)]
pub struct RetryBudget {
    settings: RetryBudgetSettings,
    active: Arc<AtomicU32>,
}

impl RetryBudget {
    /// A budget with no retry active.
    pub fn new(settings: RetryBudgetSettings) -> Self {
        Self { settings, active: Arc::new(AtomicU32::new(0)) }
    }

    /// Begins a retry, or refuses it. `live` tells how many requests are in flight; it is asked only when
    /// the minimum is used up.
    pub fn try_begin(&self, live: impl FnOnce() -> u64) -> Option<ActiveRetry> {
        let mut limit = self.settings.min;
        if self.active() >= limit {
            limit = limit.max(self.share_of(live()));
        }
        let began = self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |active| {
            (active < limit).then_some(active + 1)
        });
        began.ok().map(|_| ActiveRetry(Arc::clone(&self.active)))
    }

    /// How many retries are active.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    fn share_of(&self, live: u64) -> u32 {
        let share = live.saturating_mul(u64::from(self.settings.percent)) / 100;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// One retry that counts against the budget until this is dropped.
#[derive(Debug)]
#[must_use = "the retry counts only as long as this is kept"]
pub struct ActiveRetry(Arc<AtomicU32>);

impl Drop for ActiveRetry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{RetryBudget, RetryBudgetSettings};
    use crate::random::Random;

    #[test]
    fn the_minimum_needs_no_count_of_live_requests() {
        let budget = RetryBudget::new(RetryBudgetSettings::default());
        let held: Vec<_> = (0..3).map(|_| budget.try_begin(|| panic!("asked")).unwrap()).collect();
        assert!(budget.try_begin(|| 15).is_none());
        assert!(budget.try_begin(|| 20).is_some());
        drop(held);
        assert_eq!(budget.active(), 0);
    }

    #[test]
    fn nothing_is_allowed_by_an_empty_budget() {
        let budget = RetryBudget::new(RetryBudgetSettings { min: 0, percent: 0 });
        assert!(budget.try_begin(|| u64::MAX).is_none());
    }

    #[test]
    fn active_retries_never_pass_the_limit() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let settings =
                RetryBudgetSettings { min: random.below(6) as u32, percent: random.below(120) as u32 };
            let budget = RetryBudget::new(settings);
            let mut held = Vec::new();
            for step in 0..200 {
                if random.below(3) == 0 && !held.is_empty() {
                    let _ = held.swap_remove(random.below(held.len() as u64) as usize);
                }
                let live = random.below(100);
                let limit = u64::from(settings.min).max(live * u64::from(settings.percent) / 100);
                let room = (held.len() as u64) < limit;
                let began = budget.try_begin(|| live);
                assert_eq!(began.is_some(), room, "seed {seed} step {step}");
                held.extend(began);
                assert_eq!(budget.active() as usize, held.len(), "seed {seed} step {step}");
            }
        }
    }

    #[test]
    fn threads_together_keep_the_limit() {
        let budget = RetryBudget::new(RetryBudgetSettings { min: 5, percent: 0 });
        let held: usize = std::thread::scope(|scope| {
            let run = || (0..1000).filter_map(|_| budget.try_begin(|| 0)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            let kept: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            kept.iter().map(Vec::len).sum()
        });
        assert_eq!(held, 5);
        assert_eq!(budget.active(), 0);
    }
}
