//! Telling about a connection that has ended.

use tollgate_decision::Reason;
use tollgate_telemetry::access::{Bytes, Entry, RequestLine};

use super::tcp::Caller;
use crate::exchange::Exchange;
use crate::recorder;
use crate::worker::Worker;

/// Counts the connection, records it if it is worth that, and tells the access logs of it.
pub fn account(caller: &Caller, exchange: &mut Exchange, reason: Reason) {
    let worker = caller.worker();
    if exchange.attempt.is_some() {
        attempt_ended(worker, exchange, reason);
        report_end(exchange, reason);
    }
    exchange.record.reason = Some(reason);
    recorder::consider(worker, exchange, caller.peer_address(), &caller.listener);
    if let Some(published) = exchange.published.as_ref().filter(|_| worker.counts) {
        published.shard.reason(reason).add(1);
    }
    tell(caller, exchange, reason);
}

/// The attempt under way has ended for this reason.
pub fn attempt_ended(worker: &Worker, exchange: &mut Exchange, reason: Reason) {
    let end_us = exchange.since_start(worker.clock.now_us());
    exchange.record.attempt_ended(reason, end_us);
    let (Some(published), Some(attempt), Some(upstream)) =
        (&exchange.published, &exchange.attempt, exchange.record.upstream)
    else {
        return;
    };
    if worker.counts {
        // From when it could be spoken to: the time before is the client's as well.
        let began = attempt.answered.then_some(exchange.times.first_byte_us);
        let began =
            began.map(|us| (exchange.times.started_us + us).saturating_sub(exchange.times.attempt_us));
        published
            .endpoints
            .with(published, (upstream, attempt.endpoint), |series| series.ended(reason, began));
    }
}

/// An endpoint that was not at fault is well, also where it had nothing to say.
fn report_end(exchange: &Exchange, reason: Reason) {
    let quiet = exchange.attempt.as_ref().filter(|attempt| !attempt.answered);
    if let (Some(upstream), Some(attempt), false) =
        (exchange.upstream(), quiet, reason.side() == tollgate_decision::Side::Upstream)
    {
        upstream.report_success(attempt.endpoint);
    }
}

fn tell(caller: &Caller, exchange: &Exchange, reason: Reason) {
    if !exchange.notes.wanted {
        return;
    }
    let worker = caller.worker();
    let [request_id, _, _, host] = exchange.notes.parts();
    let upstream = exchange.upstream();
    let last = exchange.record.kept_attempts().last().map(|attempt| attempt.endpoint);
    let endpoint = upstream.zip(last).and_then(|(upstream, last)| upstream.endpoint(last));
    let mut log = worker.log.borrow_mut();
    let time = log.moment(worker.clock.wall());
    let captured = &exchange.notes.captured;
    log.write(&Entry {
        flow: None,
        time,
        request_id,
        client: caller.client.ip(),
        request: RequestLine {
            carried: "tcp",
            consumer: "",
            method: b"",
            path: b"",
            host,
            version: "",
            captured,
        },
        status: 0,
        reason,
        route: "",
        upstream: upstream.map_or("", |upstream| upstream.name()),
        endpoint: endpoint.map_or("", |endpoint| endpoint.name()),
        attempts: exchange.record.attempts,
        bytes: Bytes { sent: exchange.bytes.sent, received: exchange.bytes.received },
        timings: exchange.timings(worker.clock.now_us()),
        trace: None,
        seed: exchange.record.seed,
    });
}
