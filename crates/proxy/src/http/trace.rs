//! An exchange's spans: where they begin, what the origin hears of them, where they end.

use tollgate_decision::Reason;
use tollgate_http1::encode::{self, Removed};
use tollgate_message::{Field, Fields, Known, Method};
use tollgate_telemetry::trace::span::{
    AttemptSpan, ExchangeSpan, Identity, RetryEvent, write_attempt, write_exchange,
};
use tollgate_telemetry::trace::{SpanId, TraceParent, state};

use crate::exchange::Exchange;
use crate::tracer::{ATTEMPTS_MAX, Attempted, Context, Trace};
use crate::worker::Worker;
use tollgate_http1::edits::Edits;

/// A head is complete: continues its trace or begins one. Without tracing, the trace that the client names is
/// read where somebody wants to know it, and left alone otherwise.
pub fn begin(exchange: &mut Exchange, fields: &Fields<'_>) {
    let tracer = exchange.published.as_ref().and_then(|p| p.tracer.as_ref());
    let told = exchange.notes.wanted || exchange.evidence.is_on();
    if tracer.is_none() && !(told && fields.has(Known::Traceparent)) {
        return;
    }
    let parent = TraceParent::of(fields.all(Known::Traceparent));
    let context = match (tracer, parent) {
        (Some(tracer), parent) => tracer.begin(parent),
        (None, Some(parent)) => Context::passing(parent),
        (None, None) => return,
    };
    let trace = exchange.trace.get_or_insert_default();
    trace.context = Some(context);
    if context.own && parent.is_some() {
        state::join(fields.all(Known::Tracestate), &mut trace.state);
    }
}

/// The route is known. If it is not traced, the client's trace is only known, and passes as it is.
pub fn routed(exchange: &mut Exchange, traced: bool, fields: &Fields<'_>) {
    if let Some(trace) = exchange.trace.as_mut().filter(|_| !traced) {
        trace.context = TraceParent::of(fields.all(Known::Traceparent)).map(Context::passing);
    }
}

/// Marks the fields of the client's trace, which are written anew.
pub fn mark(trace: Option<&Trace>, index: usize, field: &Field, removed: &mut Removed) {
    let replaced = matches!(field.known, Known::Traceparent | Known::Tracestate);
    if replaced && own(trace).is_some() {
        removed.insert(index);
    }
}

/// Appends the fields of the trace for the origin. The span id in them is that of an attempt, which is not made
/// yet; its place is noted.
pub fn write(out: &mut Vec<u8>, trace: Option<&mut Trace>, edits: &Edits) {
    let Some(trace) = trace else { return };
    let Some(Context { trace_id, span_id, sampled, .. }) = own(Some(trace)) else { return };
    // A route's changes have the last word on these fields too.
    if edits.replaces(Known::Traceparent.name()) {
        return;
    }
    out.extend_from_slice(b"traceparent: ");
    trace.span_id_at = Some(TraceParent { trace_id, span_id, sampled }.write(out));
    out.extend_from_slice(b"\r\n");
    if !trace.state.is_empty() && !edits.replaces(Known::Tracestate.name()) {
        encode::line(out, b"tracestate", &trace.state);
    }
}

fn own(trace: Option<&Trace>) -> Option<Context> {
    trace.and_then(|trace| trace.context).filter(|context| context.own)
}

/// An attempt begins: the request that is about to be sent names its span.
pub fn attempt_begins(worker: &Worker, exchange: &mut Exchange, endpoint: u32) {
    let (Some(trace), Some(published)) = (&mut exchange.trace, &exchange.published) else { return };
    let (Some(context), Some(tracer)) = (own(Some(trace)), &published.tracer) else { return };
    let span_id = tracer.new_span();
    let request = &mut exchange.request;
    if let Some(at) = trace.span_id_at.filter(|_| request.replayable && request.sent == 0)
        && let Some(place) = request.bytes.get_mut(at..at + 16)
    {
        place.copy_from_slice(&span_id.hex());
    }
    if context.sampled && trace.attempts.len() < ATTEMPTS_MAX {
        let began_us = worker.clock.now_us();
        let (reused, status, failure) = (false, 0, None);
        trace.attempts.push(Attempted { span_id, endpoint, began_us, ended_us: 0, reused, status, failure });
    }
}

/// The attempt under way has ended.
pub fn attempt_ends(worker: &Worker, exchange: &mut Exchange, failure: Option<Reason>) {
    let (Some(trace), Some(attempt)) = (&mut exchange.trace, &exchange.attempt) else { return };
    if let Some(last) = trace.attempts.last_mut().filter(|last| last.ended_us == 0) {
        last.ended_us = worker.clock.now_us();
        last.reused = attempt.reused;
        last.status = exchange.response.status;
        last.failure = failure;
    }
}

/// The exchange has ended: its spans are written, if it is sampled.
pub fn end(worker: &Worker, exchange: &Exchange, peer: std::net::IpAddr) {
    let (Some(trace), Some(published)) = (&exchange.trace, &exchange.published) else { return };
    let (Some(context), Some(tracer)) = (own(Some(trace)), &published.tracer) else { return };
    if !context.sampled {
        return;
    }
    tracer.record(|out| {
        let record = Record { worker, exchange, trace, context };
        record.exchange(out, peer);
        record.attempts(out);
        1 + trace.attempts.len() as u32
    });
    // After another document has come nobody turns the clock for this one's spans.
    if !std::rc::Rc::ptr_eq(published, &worker.published.borrow()) {
        tracer.flush();
    }
}

/// The spans of an exchange that has ended.
struct Record<'a> {
    worker: &'a Worker,
    exchange: &'a Exchange,
    trace: &'a Trace,
    context: Context,
}

impl Record<'_> {
    fn exchange(&self, out: &mut Vec<u8>, peer: std::net::IpAddr) {
        let exchange = self.exchange;
        let [request_id, _, path, host] = exchange.notes.parts();
        let now = self.worker.clock.now_us();
        let span = ExchangeSpan {
            identity: self.identity(
                self.context.span_id,
                self.context.parent,
                exchange.times.started_us,
                now,
            ),
            method: self.method(),
            usual_method: exchange.facts.method != Method::Other,
            path,
            host,
            version: exchange.facts.version.label(),
            client: exchange.notes.client.unwrap_or(peer),
            request_id,
            route: exchange.route().map_or("", |route| route.name.as_str()),
            upstream: exchange.upstream().map_or("", |upstream| upstream.name()),
            status: exchange.response.status,
            reason: exchange.record.reason.unwrap_or(Reason::Forwarded),
        };
        let retries = self.trace.attempts.windows(2).filter_map(|two| {
            Some(RetryEvent { time_ns: self.wall_ns(two[1].began_us), reason: two[0].failure? })
        });
        write_exchange(out, &span, retries);
    }

    fn attempts(&self, out: &mut Vec<u8>) {
        let exchange = self.exchange;
        let Some(published) = &exchange.published else { return };
        for (attempted, number) in self.trace.attempts.iter().zip(0..) {
            let index = exchange.record.upstream_of(number as usize);
            let Some(upstream) = index.and_then(|index| published.snapshot.upstreams.get(index as usize))
            else {
                return;
            };
            let parent = Some(self.context.span_id);
            let ended_us =
                if attempted.ended_us == 0 { self.worker.clock.now_us() } else { attempted.ended_us };
            let span = AttemptSpan {
                identity: self.identity(attempted.span_id, parent, attempted.began_us, ended_us),
                method: self.method(),
                usual_method: exchange.facts.method != Method::Other,
                endpoint: upstream.endpoint(attempted.endpoint).map_or("", |endpoint| endpoint.name()),
                upstream: upstream.name(),
                resend_count: number,
                reused: attempted.reused,
                status: attempted.status,
                failure: attempted.failure,
            };
            write_attempt(out, &span);
        }
    }

    /// The method as it was spelled; of a request that nobody understood only what is known of it.
    fn method(&self) -> &[u8] {
        match self.exchange.notes.parts() {
            [_, [], ..] => self.exchange.facts.method.label().as_bytes(),
            [_, method, ..] => method,
        }
    }

    fn identity(
        &self,
        span_id: SpanId,
        parent: Option<SpanId>,
        began_us: u64,
        ended_us: u64,
    ) -> Identity<'_> {
        Identity {
            trace_id: self.context.trace_id,
            span_id,
            parent,
            state: &self.trace.state,
            start_ns: self.wall_ns(began_us),
            end_ns: self.wall_ns(ended_us),
        }
    }

    /// When that was, in nanoseconds since 1970.
    fn wall_ns(&self, us: u64) -> u64 {
        let clock = &self.worker.clock;
        let ago = clock.now_us().saturating_sub(us);
        (clock.wall().as_nanos() as u64).saturating_sub(ago * 1000)
    }
}
