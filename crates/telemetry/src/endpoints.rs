//! What a worker counts for each endpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tollgate_decision::Reason;

use crate::shard::Counter;

/// The counters of one endpoint and worker.
#[derive(Debug, Default)]
pub struct EndpointSeries {
    /// Attempts whose response was forwarded whole, upgrades among them.
    pub succeeded: Counter,
    /// Attempts whose response began.
    pub answered: Counter,
    /// The sum of the times from the beginnings of those attempts to the first bytes of their responses.
    pub first_byte_us: Counter,
    /// By reason; made at the first failure.
    failed: OnceLock<Box<[Counter]>>,
}

impl EndpointSeries {
    /// Counts an attempt that has ended for this reason. `waited_us` is how long it took to the first byte
    /// of its response, if there was one.
    pub fn ended(&self, reason: Reason, waited_us: Option<u64>) {
        if let Some(waited_us) = waited_us {
            self.answered.add(1);
            self.first_byte_us.add(waited_us);
        }
        if reason.is_failure() {
            let many = || Reason::ALL.iter().map(|_| Counter::new()).collect();
            self.failed.get_or_init(many)[reason as usize].add(1);
        } else {
            self.succeeded.add(1);
        }
    }

    /// Attempts that failed, with why.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        let counters = self.failed.get().map_or(&[][..], |failed| failed);
        Reason::ALL
            .iter()
            .zip(counters)
            .map(|(reason, counter)| (*reason, counter.get()))
            .filter(|(_, n)| *n > 0)
    }
}

/// The series of an upstream's endpoints, by the endpoints' identity: it belongs to the upstream's series, is
/// taken over with them at a reload, and so counts on wherever an endpoint stands in the new document.
///
/// Locked where a worker meets an endpoint for the first time on a snapshot, and by readers.
#[derive(Debug, Default)]
pub struct EndpointBook {
    series: Mutex<BTreeMap<u64, Arc<EndpointSeries>>>,
}

impl EndpointBook {
    /// The series of an endpoint, made if it is new. `current` are the endpoints that the upstream knows now,
    /// `count` of them: once there are twice as many series, those of others are forgotten.
    pub fn open(
        &self,
        endpoint: u64,
        count: usize,
        current: impl Iterator<Item = u64>,
    ) -> Arc<EndpointSeries> {
        let mut series = self.series();
        if series.len() > 2 * count {
            let mut kept: BTreeMap<u64, _> =
                current.filter_map(|id| series.get(&id).map(|found| (id, found.clone()))).collect();
            std::mem::swap(&mut *series, &mut kept);
        }
        series.entry(endpoint).or_default().clone()
    }

    /// The series of an endpoint, if an attempt was made at it.
    pub fn get(&self, endpoint: u64) -> Option<Arc<EndpointSeries>> {
        self.series().get(&endpoint).cloned()
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<EndpointSeries>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The totals of an endpoint over all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointTotals {
    /// Attempts by how they ended.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Attempts whose response began.
    pub answered: u64,
    /// The sum of the times to the first bytes of those responses, in microseconds.
    pub first_byte_us: u64,
}

impl EndpointTotals {
    /// Adds what one worker counted.
    pub fn add(&mut self, series: &EndpointSeries) {
        let succeeded = (Reason::Forwarded, series.succeeded.get());
        for (reason, count) in std::iter::once(succeeded).chain(series.failures()) {
            *self.attempts.entry(reason.code()).or_default() += count;
        }
        self.answered += series.answered.get();
        self.first_byte_us += series.first_byte_us.get();
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointBook, EndpointTotals};
    use std::sync::Arc;
    use tollgate_decision::Reason;

    #[test]
    fn a_series_stays_with_its_endpoint() {
        let book = EndpointBook::default();
        let series = book.open(7, 2, [7, 8].into_iter());
        series.ended(Reason::Forwarded, Some(10));
        series.ended(Reason::Upgraded, Some(20));
        series.ended(Reason::ConnectFailed, None);
        assert!(Arc::ptr_eq(&book.open(7, 2, [9, 7].into_iter()), &series));
        let mut totals = EndpointTotals::default();
        totals.add(&series);
        totals.add(&series);
        assert_eq!(totals.attempts, [("connect_failed", 2), ("forwarded", 4)].into());
        assert_eq!((totals.answered, totals.first_byte_us), (4, 60));
    }

    #[test]
    fn endpoints_that_come_and_go_do_not_add_up() {
        let book = EndpointBook::default();
        let kept = book.open(0, 2, [0, 1].into_iter());
        for endpoint in 1..1_000 {
            book.open(endpoint, 2, [0, endpoint].into_iter());
            assert!(book.series().len() <= 6);
        }
        assert!(book.get(0).is_some_and(|found| Arc::ptr_eq(&found, &kept)));
        assert!(book.get(1).is_none());
    }
}
