//! Telling about an exchange that has ended.

use tollgate_decision::Reason;

use super::log;
use crate::exchange::Exchange;
use crate::worker::Worker;

/// Counts the exchange and tells the access logs of it.
pub fn account(worker: &Worker, exchange: &Exchange, peer: std::net::IpAddr) {
    let Some(published) = &exchange.published else { return };
    let now_us = worker.clock.now_us();
    let reason = exchange.record.reason.unwrap_or(Reason::Forwarded);
    let timings = exchange.timings(now_us);
    let status = exchange.response.status;
    if worker.counts {
        published.shard.reason(reason).add(1);
        published.shard.route(exchange.record.route).record(status, timings.total_us);
    }
    log::tell(worker, exchange, peer, reason, timings);
}
