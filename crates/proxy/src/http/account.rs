//! Telling about an exchange that has ended.

use tollgate_decision::Reason;
use tollgate_runtime::date;
use tollgate_telemetry::access::{self, Entry, RequestLine};

use super::trace;
use crate::exchange::Exchange;
use crate::worker::Worker;

/// Counts the exchange and writes its line to the access log.
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
    trace::end(worker, exchange, peer);
    if !worker.logs() {
        return;
    }
    let [request_id, method, path, host] = exchange.notes.parts();
    let last = exchange.record.kept_attempts().last().map(|a| a.endpoint);
    let upstream = exchange.upstream();
    let endpoint = upstream.zip(last).and_then(|(u, e)| u.endpoint(e));
    worker.log(|out| {
        let time = date::rfc3339(worker.clock.wall());
        access::write_json(
            out,
            &Entry {
                time: &time,
                request_id,
                client: exchange.notes.client.unwrap_or(peer),
                request: RequestLine { method, path, host, version: exchange.facts.version.label() },
                status,
                reason,
                route: exchange.route().map_or("", |r| r.name.as_str()),
                upstream: upstream.map_or("", |u| u.name()),
                endpoint: endpoint.map_or("", |e| e.name()),
                attempts: exchange.record.attempts,
                bytes_sent: exchange.bytes.sent,
                bytes_received: exchange.bytes.received,
                timings,
                trace: exchange.trace_context().map(|c| (c.trace_id, c.span_id)),
            },
        );
    });
}
