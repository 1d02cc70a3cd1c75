//! One worker's counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tollgate_decision::Reason;

use crate::endpoints::EndpointBook;
use crate::flows::FlowSeries;
use crate::handshakes::HandshakeSeries;
use crate::histogram::Histogram;
use crate::outcomes::{Outcome, Outcomes};
use crate::pulse::Pulse;
use crate::sessions::SessionSeries;

/// A counter with one writer: counting is a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the counter. Only the worker that owns the shard may call this.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Sets a value that is no count. Only the worker that owns it may call this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The counter's value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted for a route. It takes memory once the route has its first request, so that 100,000 routes
/// of which few are used stay cheap: then about 5 KiB for each worker, at most 30.
#[derive(Debug, Default)]
pub struct RouteSeries {
    traffic: OnceLock<Box<RouteTraffic>>,
}

/// What is counted for a route that has traffic.
#[derive(Debug, Default)]
pub struct RouteTraffic {
    /// Exchanges by method, status and failure.
    pub outcomes: Outcomes,
    /// Their durations.
    pub durations: Histogram,
    /// Bytes of request bodies received.
    pub received_bytes: Counter,
    /// Bytes of response bodies sent.
    pub sent_bytes: Counter,
}

impl RouteSeries {
    /// Counts one exchange, with the bytes of its bodies.
    pub fn record(&self, outcome: Outcome, duration_us: u64, received_bytes: u64, sent_bytes: u64) {
        let traffic = self.traffic.get_or_init(Box::default);
        traffic.outcomes.record(outcome, duration_us);
        traffic.durations.record(duration_us);
        traffic.received_bytes.add(received_bytes);
        traffic.sent_bytes.add(sent_bytes);
    }

    /// What was counted; `None` before the first exchange.
    pub fn traffic(&self) -> Option<&RouteTraffic> {
        self.traffic.get().map(|traffic| &**traffic)
    }

    /// The durations, once there are any.
    pub fn duration(&self) -> Option<&Histogram> {
        self.traffic().map(|traffic| &traffic.durations)
    }

    /// Exchanges by status class, 1xx to 5xx; those without a status, or one beyond, are at index 0.
    pub fn classes(&self) -> [u64; 6] {
        let mut classes = [0; 6];
        for (outcome, durations) in self.traffic().iter().flat_map(|traffic| traffic.outcomes.iter()) {
            let class = usize::from(outcome.status / 100);
            classes[if class <= 5 { class } else { 0 }] += durations.count();
        }
        classes
    }
}

/// What is counted for an upstream.
#[derive(Debug, Default)]
pub struct UpstreamSeries {
    /// Attempts by method, status and failure, with their durations.
    pub outcomes: Outcomes,
    /// Time from the beginning of an attempt to the first byte of its response.
    pub first_byte: Histogram,
    /// What is counted for its endpoints.
    pub endpoints: EndpointBook,
    /// Bytes sent on connections that are carried as they are.
    pub sent_bytes: Counter,
    /// Bytes received on them.
    pub received_bytes: Counter,
    /// Attempts beyond the first of their exchange.
    pub retries: Counter,
    /// Retries that the budget refused.
    pub retries_refused: Counter,
    /// Attempts made beside one that was slow.
    pub hedges: Counter,
    /// Those of them that answered first.
    pub hedges_won: Counter,
    /// Connections opened.
    pub connections_opened: Counter,
    /// Connections that could not be opened.
    pub connects_failed: Counter,
    /// Attempts that took an idle connection.
    pub connections_reused: Counter,
    /// Of those, attempts whose connection had ended unseen. They are made again and count as none.
    pub connections_stale: Counter,
    /// What is counted of datagrams; made with the first.
    pub flows: OnceLock<Box<FlowSeries>>,
    /// What is counted of sessions; made with the first.
    pub sessions: OnceLock<Box<SessionSeries>>,
}

/// What is counted for a listener.
#[derive(Debug, Default)]
pub struct ListenerSeries {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections ended.
    pub closed: Counter,
    /// Exchanges begun on its connections.
    pub begun: Counter,
    /// Exchanges ended.
    pub ended: Counter,
    /// What is counted of datagrams; made when it takes them.
    pub flows: OnceLock<Box<FlowSeries>>,
    /// What is counted of TLS handshakes; made with the first.
    pub handshakes: OnceLock<Box<HandshakeSeries>>,
    /// Bytes received on connections that are carried as they are.
    pub received_bytes: Counter,
    /// Bytes sent on them.
    pub sent_bytes: Counter,
}

/// The counters of one worker for one snapshot. A series lives on in the shards of later snapshots as
/// long as these have its route, upstream or listener.
#[derive(Debug)]
pub struct Shard {
    /// By route index; the last one counts requests without a route.
    pub routes: Box<[Arc<RouteSeries>]>,
    /// By upstream index.
    pub upstreams: Box<[Arc<UpstreamSeries>]>,
    /// By listener index.
    pub listeners: Box<[Arc<ListenerSeries>]>,
    /// The worker's signs of life.
    pub pulse: Arc<Pulse>,
    reasons: Arc<[Counter]>,
}

/// For each route, upstream and listener of a snapshot: its index in the snapshot before, if it was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Succession {
    /// By route index.
    pub routes: Vec<Option<u32>>,
    /// By upstream index.
    pub upstreams: Vec<Option<u32>>,
    /// By listener index.
    pub listeners: Vec<Option<u32>>,
}

impl Shard {
    /// Counters at 0 for so many routes, upstreams and listeners.
    pub fn new(routes: usize, upstreams: usize, listeners: usize) -> Self {
        fn many<T: Default>(count: usize) -> Box<[Arc<T>]> {
            (0..count).map(|_| Arc::default()).collect()
        }
        Self {
            routes: many(routes + 1),
            upstreams: many(upstreams),
            listeners: many(listeners),
            pulse: Arc::default(),
            reasons: Reason::ALL.iter().map(|_| Counter::new()).collect(),
        }
    }

    /// The shard of the same worker for the next snapshot: what was there before counts on.
    pub fn successor(&self, succession: &Succession) -> Self {
        fn taken_over<T: Default>(before: &[Arc<T>], from: &[Option<u32>]) -> Vec<Arc<T>> {
            let series = |index: &Option<u32>| index.and_then(|i| before.get(i as usize)).cloned();
            from.iter().map(|index| series(index).unwrap_or_default()).collect()
        }
        let mut routes = taken_over(&self.routes, &succession.routes);
        routes.push(self.route(None).clone());
        Self {
            routes: routes.into(),
            upstreams: taken_over(&self.upstreams, &succession.upstreams).into(),
            listeners: taken_over(&self.listeners, &succession.listeners).into(),
            pulse: self.pulse.clone(),
            reasons: self.reasons.clone(),
        }
    }

    /// The series of a route, or of the requests without one.
    pub fn route(&self, index: Option<u32>) -> &Arc<RouteSeries> {
        let last = self.routes.len() - 1;
        &self.routes[index.map_or(last, |i| (i as usize).min(last))]
    }

    /// The counter of a reason.
    pub fn reason(&self, reason: Reason) -> &Counter {
        &self.reasons[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Reason, Shard, Succession};
    use tollgate_message::Method;

    #[test]
    fn what_stays_counts_on_and_what_is_new_begins_at_nothing() {
        let before = Shard::new(3, 1, 1);
        let outcome = |status| Outcome::new(Method::Get, status, Reason::Forwarded);
        before.route(Some(2)).record(outcome(200), 10, 0, 0);
        before.route(None).record(outcome(404), 10, 0, 0);
        before.reason(Reason::NoRoute).add(1);
        before.listeners[0].accepted.add(7);
        let succession =
            Succession { routes: vec![Some(2), None], upstreams: vec![], listeners: vec![None, Some(0)] };
        let after = before.successor(&succession);
        assert_eq!((after.routes[0].classes()[2], after.routes[1].classes()[2]), (1, 0));
        assert_eq!(after.route(None).classes()[4], 1);
        assert_eq!(after.reason(Reason::NoRoute).get(), 1);
        assert_eq!((after.listeners[0].accepted.get(), after.listeners[1].accepted.get()), (0, 7));
        // An exchange that began before ends on the old shard, and counts as well.
        before.route(Some(2)).record(outcome(200), 10, 0, 0);
        assert_eq!(after.routes[0].classes()[2], 2);
    }
}
