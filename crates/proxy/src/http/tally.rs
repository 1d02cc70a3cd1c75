//! Counting exchanges and attempts while they run; [`super::account`] counts them at their end.

use std::cell::RefCell;
use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_telemetry::endpoints::EndpointSeries;
use tollgate_telemetry::outcomes::Outcome;
use tollgate_upstream::Upstream;

use crate::exchange::Exchange;
use crate::worker::{Published, Worker};

/// The series of the endpoints that a worker has met on one snapshot, by the indexes of upstream and
/// endpoint, so that only the first attempt at an endpoint has to look for its series.
#[derive(Debug, Default)]
pub struct EndpointTallies {
    met: RefCell<Vec<Vec<Option<Arc<EndpointSeries>>>>>,
}

impl EndpointTallies {
    /// Counts something for an endpoint.
    pub(crate) fn with(&self, published: &Published, at: (u32, u32), count: impl FnOnce(&EndpointSeries)) {
        let (upstream, endpoint) = (at.0 as usize, at.1 as usize);
        let mut met = self.met.borrow_mut();
        if let Some(Some(series)) = met.get(upstream).and_then(|endpoints| endpoints.get(endpoint)) {
            return count(series);
        }
        let Some(compiled) = published.snapshot.upstreams.get(upstream) else { return };
        if met.len() <= upstream {
            met.resize_with(published.snapshot.upstreams.len(), Vec::new);
        }
        let endpoints = &mut met[upstream];
        if endpoints.len() <= endpoint {
            endpoints.resize(endpoint + 1, None);
        }
        if let Some(series) = open(published, compiled, upstream, endpoint) {
            count(&series);
            endpoints[endpoint] = Some(series);
        }
    }
}

#[cold]
fn open(
    published: &Published,
    compiled: &Upstream,
    upstream: usize,
    endpoint: usize,
) -> Option<Arc<EndpointSeries>> {
    let id = compiled.endpoint(u32::try_from(endpoint).ok()?)?.id().number();
    let current = compiled.endpoints().map(|(_, endpoint)| endpoint.id().number());
    Some(published.shard.upstreams.get(upstream)?.endpoints.open(id, compiled.slots(), current))
}

/// The first byte of the response to the attempt under way has come.
pub fn first_byte(worker: &Worker, exchange: &Exchange) {
    if worker.counts
        && let Some((published, at)) = place(exchange)
    {
        published.shard.upstreams[at.0 as usize].first_byte.record(waited(exchange));
    }
}

/// The attempt under way has ended for this reason.
pub fn attempt_ended(worker: &Worker, exchange: &Exchange, reason: Reason) {
    if worker.counts
        && let Some((published, at)) = place(exchange)
    {
        let took = worker.clock.now_us().saturating_sub(exchange.times.attempt_us);
        let outcome = Outcome::new(exchange.facts.method, exchange.response.status, reason);
        published.shard.upstreams[at.0 as usize].outcomes.record(outcome, took);
        let answered = exchange.attempt.as_ref().is_some_and(|attempt| attempt.answered);
        let waited = answered.then(|| waited(exchange));
        published.endpoints.with(published, at, |series| series.ended(reason, waited));
    }
}

/// From the beginning of the attempt under way to the first byte of its response, in microseconds.
fn waited(exchange: &Exchange) -> u64 {
    let times = &exchange.times;
    (times.started_us + times.first_byte_us).saturating_sub(times.attempt_us)
}

/// The attempt under way had been given an idle connection that had ended unseen.
pub fn attempt_was_stale(exchange: &Exchange) {
    if let Some((published, at)) = place(exchange) {
        published.shard.upstreams[at.0 as usize].connections_stale.add(1);
    }
}

/// What the exchange was decided on, and the upstream and endpoint of its attempt.
fn place(exchange: &Exchange) -> Option<(&Published, (u32, u32))> {
    let attempt = exchange.attempt.as_ref()?;
    Some((exchange.published.as_deref()?, (exchange.record.upstream_now()?, attempt.endpoint)))
}
