//! Telling about an exchange that has ended.

use tollgate_decision::Reason;
use tollgate_telemetry::outcomes::Outcome;

use super::client::Client;
use super::{log, trace};
use crate::exchange::Exchange;
use crate::recorder;

/// Counts the exchange, records it if it is worth that, and tells the access logs of it.
pub fn account(client: &Client, exchange: &Exchange) {
    let (worker, peer) = (client.worker(), client.peer);
    let Some(published) = &exchange.published else { return };
    let now_us = worker.clock.now_us();
    let reason = exchange.record.reason.unwrap_or(Reason::Forwarded);
    let timings = exchange.timings(now_us);
    recorder::consider(worker, exchange, peer, &client.listener);
    let status = exchange.response.status;
    if worker.counts {
        let shard = &published.shard;
        shard.reason(reason).add(1);
        client.listener.exchange_ended();
        let (outcome, bytes) = (Outcome::new(exchange.facts.method, status, reason), &exchange.bytes);
        shard.route(exchange.record.route).record(outcome, timings.total_us, bytes.received, bytes.sent);
    }
    trace::end(worker, exchange, peer);
    log::tell(worker, exchange, peer, reason, timings);
}
