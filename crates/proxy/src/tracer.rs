//! Tracing as one worker does it: identifiers, the spans of an exchange while it runs, and the block of
//! spans that are finished.

use std::cell::RefCell;
use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_runtime::Random;
use tollgate_telemetry::access::TraceIds;
use tollgate_telemetry::trace::{SpanBlock, SpanId, TraceId, TraceParent, Tracing};

/// A block is handed over when it has this many bytes, or at the next tick.
const BLOCK_BYTES: usize = 32 * 1024;
/// A block is handed over when it has this many spans, so that the exporter can keep to its batches.
const BLOCK_SPANS: u32 = 32;
/// Attempts of an exchange that have spans. More are possible, and then only counted.
pub const ATTEMPTS_MAX: usize = 16;

/// What one worker needs to trace; with the snapshot's settings.
#[derive(Debug)]
pub struct Tracer {
    tracing: Arc<Tracing>,
    /// Makes this worker's identifiers others than those of workers whose generator is in the same state.
    key: u64,
    random: RefCell<Random>,
    block: RefCell<SpanBlock>,
}

impl Tracer {
    /// A tracer with identifiers of its own.
    pub fn new(tracing: Arc<Tracing>) -> Self {
        let mut random = Random::from_machine();
        Self { tracing, key: random.next_u64(), random: RefCell::new(random), block: RefCell::default() }
    }

    /// The context of a new exchange: its trace, continued or new, and its own span in it.
    pub fn begin(&self, parent: Option<TraceParent>) -> Context {
        let trace_id = parent.map_or_else(|| self.new_trace(), |parent| parent.trace_id);
        let sampled = self.tracing.settings().sampling.samples(trace_id, parent.as_ref());
        let parent = parent.map(|parent| parent.span_id);
        Context { trace_id, span_id: self.new_span(), parent, sampled, own: true }
    }

    /// A new span's identifier.
    pub fn new_span(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.next()) {
                return id;
            }
        }
    }

    fn new_trace(&self) -> TraceId {
        loop {
            let (high, low) = (self.next() ^ self.key, self.next());
            if let Some(id) = TraceId::new(u128::from(high) << 64 | u128::from(low)) {
                return id;
            }
        }
    }

    fn next(&self) -> u64 {
        self.random.borrow_mut().next_u64()
    }

    /// Lets `write` append spans, and tell how many.
    pub fn record(&self, write: impl FnOnce(&mut Vec<u8>) -> u32) {
        let mut block = self.block.borrow_mut();
        block.spans += write(&mut block.bytes);
        if block.bytes.len() >= BLOCK_BYTES || block.spans >= BLOCK_SPANS {
            self.hand_over(&mut block);
        }
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        self.hand_over(&mut self.block.borrow_mut());
    }

    fn hand_over(&self, block: &mut SpanBlock) {
        if block.spans > 0 {
            let next = SpanBlock { bytes: Vec::with_capacity(block.bytes.len()), spans: 0 };
            self.tracing.send(std::mem::replace(block, next));
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Which span of which trace an exchange is.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The trace.
    pub trace_id: TraceId,
    /// The exchange's span; the client's where the trace is only passed on.
    pub span_id: SpanId,
    /// The client's span.
    pub parent: Option<SpanId>,
    /// Its spans are exported.
    pub sampled: bool,
    /// The exchange has a span. Otherwise the trace is known for the log only.
    pub own: bool,
}

impl Context {
    /// Of a trace that is left to the client and the upstream.
    pub fn passing(parent: TraceParent) -> Self {
        let TraceParent { trace_id, span_id, .. } = parent;
        Self { trace_id, span_id, parent: None, sampled: false, own: false }
    }

    /// The trace and the span, for those who tell of exchanges.
    pub fn ids(self) -> TraceIds {
        TraceIds { trace: self.trace_id.get().to_be_bytes(), span: self.span_id.get().to_be_bytes() }
    }
}

/// An exchange's part in a trace. Kept with the exchange's box, so that its buffers are used again.
#[derive(Debug, Default)]
pub struct Trace {
    /// Which; `None` where the exchange has none.
    pub context: Option<Context>,
    /// The `tracestate` that goes on.
    pub state: Vec<u8>,
    /// Where in the request the span id of the attempt stands.
    pub span_id_at: Option<usize>,
    /// The attempts so far, of a sampled exchange.
    pub attempts: Vec<Attempted>,
}

/// An attempt as its span tells it.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// Its span.
    pub span_id: SpanId,
    /// The index of its endpoint.
    pub endpoint: u32,
    /// When it began, in the clock's microseconds.
    pub began_us: u64,
    /// When it ended; 0 while it runs.
    pub ended_us: u64,
    /// It went over a connection that had been idle.
    pub reused: bool,
    /// The endpoint's status; 0 where none came.
    pub status: u16,
    /// Why it failed.
    pub failure: Option<Reason>,
}

impl Trace {
    /// Ready for another exchange.
    pub fn reset(&mut self) {
        self.context = None;
        self.state.clear();
        self.span_id_at = None;
        self.attempts.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use tollgate_telemetry::trace::{
        Collector, Sampling, SpanId, TraceId, TraceParent, Tracing, TracingSettings,
    };

    use super::Tracer;

    fn tracer(share: u16) -> Tracer {
        let headers = Vec::new();
        let second = Duration::from_secs(1);
        Tracer::new(Arc::new(Tracing::new(TracingSettings {
            collector: Collector { host: "a".into(), port: 1, path: "/".into(), headers },
            sampling: Sampling::new(share, true),
            service_name: "a".into(),
            batch: 64,
            interval: second,
            queue: 1,
            timeout: second,
        })))
    }

    #[test]
    fn identifiers_do_not_repeat() {
        let (one, other) = (tracer(0), tracer(0));
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            for tracer in [&one, &other] {
                let context = tracer.begin(None);
                assert!(seen.insert(context.trace_id.get()));
                assert!(seen.insert(context.span_id.get().into()));
                assert!(seen.insert(tracer.new_span().get().into()));
            }
        }
    }

    #[test]
    fn a_trace_is_continued_as_its_parent_says() {
        for sampled in [false, true] {
            let (trace_id, span_id) = (TraceId::new(5).unwrap(), SpanId::new(6).unwrap());
            let context = tracer(5_000).begin(Some(TraceParent { trace_id, span_id, sampled }));
            assert_eq!((context.trace_id, context.parent), (trace_id, Some(span_id)));
            assert_eq!((context.sampled, context.own), (sampled, true));
            assert_ne!(context.span_id, span_id);
        }
        assert!(tracer(10_000).begin(None).sampled && !tracer(0).begin(None).sampled);
    }
}
