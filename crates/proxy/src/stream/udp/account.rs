//! Telling of a flow that has ended, and of those that were refused.

use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_telemetry::access::{self, Bytes, Captured, RequestLine, Timings};

use super::flow::{Decision, Flow};
use crate::exchange::ByteCounts;
use crate::http::forwarded::make_id;
use crate::listening::Listening;
use crate::recorder::{Asker, Entry, Names};
use crate::worker::Worker;

/// The attempt under way has ended.
pub(super) fn attempt_ended(worker: &Worker, decision: &mut Decision, reason: Reason) {
    let end_us = worker.clock.now_us().saturating_sub(decision.times.started_us);
    decision.record.attempt_ended(reason, end_us);
    let place = &decision.place;
    if let Some(id) = place.id.filter(|_| worker.counts) {
        let current = place.upstream.endpoints().map(|(_, endpoint)| endpoint.id().number());
        let waited = decision.record.latest().filter(|attempt| attempt.first_byte_us > 0);
        let waited = waited.map(|attempt| attempt.first_byte_us.saturating_sub(attempt.start_us));
        let count = place.upstream.slots();
        place.series.endpoints.open(id.number(), count, current).ended(reason, waited);
    }
}

/// The first reply to the attempt under way has come.
pub(super) fn answered(worker: &Worker, decision: &mut Decision) {
    let since = |us: u64| worker.clock.now_us().saturating_sub(us).max(1);
    let first_byte_us = since(decision.times.started_us);
    if decision.times.first_reply_us == 0 {
        decision.times.first_reply_us = first_byte_us;
    }
    if worker.counts {
        decision.place.series.first_byte.record(since(decision.times.attempt_us));
    }
    decision.place.upstream.report_success(decision.place.endpoint);
    if let Some(attempt) = decision.record.latest() {
        attempt.first_byte_us = first_byte_us;
    }
}

/// A flow has ended: counts it, records it if it is worth that, and tells the access logs of it.
pub(super) fn ended(worker: &Worker, listening: &Listening, mut flow: Box<Flow>, reason: Reason) {
    if flow.socket.is_some() {
        attempt_ended(worker, &mut flow.decision, reason);
    }
    flow.decision.record.reason = Some(reason);
    if !reason.is_failure() {
        flow.decision.record.detail = None;
    }
    if worker.counts {
        worker.published.borrow().shard.reason(reason).add(1);
        listening.series.flows.get_or_init(Box::default).ended.add(1);
        flow.decision.place.series.flows.get_or_init(Box::default).ended.add(1);
    }
    let times = flow.decision.times;
    let timings = Timings {
        queue_us: 0,
        connect_us: 0,
        first_byte_us: times.first_reply_us,
        total_us: worker.clock.now_us().saturating_sub(times.started_us),
    };
    // A flow lasts as long as its client likes; slow is only the way to its first reply.
    let seed = flow.decision.record.seed;
    let recorded = worker.keeper.as_ref().filter(|_| flow.decision.evidence.is_on());
    let recorded = recorded.and_then(|keeper| {
        let duration_us = if reason.is_failure() { 0 } else { times.first_reply_us };
        Some((keeper, keeper.recorder().class(reason, duration_us, seed)?))
    });
    let logged = worker.log.borrow().is_wanted();
    if recorded.is_none() && !logged {
        return;
    }
    let request_id = make_id(worker);
    if logged {
        log(worker, listening, &flow, reason, timings, &request_id);
    }
    if let Some((keeper, class)) = recorded {
        keeper.keep(class, entry(worker, listening, &flow, timings, &request_id));
    }
}

fn log(
    worker: &Worker,
    listening: &Listening,
    flow: &Flow,
    reason: Reason,
    timings: Timings,
    request_id: &[u8],
) {
    let decision = &flow.decision;
    let (captured, listener) = (Captured::default(), listening.settings());
    let mut log = worker.log.borrow_mut();
    let time = log.moment(worker.clock.wall());
    log.write(&access::Entry {
        time,
        request_id,
        client: flow.key.client.ip().to_canonical(),
        request: RequestLine {
            carried: "udp",
            consumer: "",
            method: b"",
            path: b"",
            host: b"",
            version: "",
            captured: &captured,
        },
        flow: Some(access::FlowLine {
            listener: &listener.name,
            port: flow.key.client.port(),
            datagrams_sent: flow.counts.sent.0,
            datagrams_received: flow.counts.received.0,
        }),
        status: 0,
        reason,
        route: "",
        upstream: decision.place.upstream.name(),
        endpoint: decision.names.last().map_or("", |name| name),
        attempts: decision.record.attempts,
        bytes: Bytes { sent: flow.counts.sent.1, received: flow.counts.received.1 },
        timings,
        trace: None,
        seed: decision.record.seed,
    });
}

#[cold]
fn entry(worker: &Worker, listening: &Listening, flow: &Flow, timings: Timings, request_id: &[u8]) -> Entry {
    let decision = &flow.decision;
    let client = flow.key.client.ip().to_canonical();
    Entry {
        request_id: request_id.into(),
        began: worker.clock.wall().saturating_sub(Duration::from_micros(timings.total_us)),
        started_us: decision.times.started_us,
        client: Asker::at(client),
        names: Names {
            listener: listening.settings().name.clone(),
            fallback: None,
            route: None,
            server: None,
            upstream: Some(Arc::clone(decision.place.upstream.name())),
            endpoints: decision.names.clone(),
            policies: Vec::new(),
        },
        snapshot: decision.snapshot.clone(),
        snapshot_number: decision.snapshot_number,
        head: None,
        trace: None,
        record: decision.record.clone(),
        picks: decision.evidence.picks().into(),
        loads: decision.evidence.loads_read().into(),
        status: 0,
        bytes: ByteCounts { received: flow.counts.received.1, sent: flow.counts.sent.1 },
        timings,
    }
}
