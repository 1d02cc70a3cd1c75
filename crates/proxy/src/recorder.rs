//! What the flight recorder keeps of an exchange: all that is needed to tell about it afterwards, and to make
//! its decisions again.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tollgate_decision::{Class, Kept, Reason, Record};
use tollgate_message::Version;
use tollgate_policy::{Caller, Chain};
use tollgate_telemetry::access::Timings;
use tollgate_telemetry::trace::SpanId;
use tollgate_upstream::Load;

use crate::evidence::Pick;
use crate::exchange::{ByteCounts, Exchange};
use crate::http::{Client, Refusal};
use crate::listening::Listening;
use crate::snapshot::Snapshot;
use crate::tracer::Context;
use crate::worker::{Published, Worker};

/// One ended exchange, or a connection that was carried or refused.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The request id, as the client got it.
    pub request_id: Box<[u8]>,
    /// When it began, by the wall clock (since 1970, UTC).
    pub began: Duration,
    /// The same by the monotonic clock: microseconds since the process started.
    pub started_us: u64,
    /// Who asked.
    pub client: Asker,
    /// The names of what was chosen.
    pub names: Names,
    /// The snapshot it was decided on, as long as somebody holds that.
    pub snapshot: Weak<Snapshot>,
    /// The number of that snapshot.
    pub snapshot_number: u64,
    /// The head's bytes, or what came instead of one; `None` for a connection, which has none.
    pub head: Option<Box<[u8]>>,
    /// Its place in a distributed trace, if it has one.
    pub trace: Option<TracePlace>,
    /// What was decided.
    pub record: Record,
    /// The questions to balancers: one for each attempt, and one more where the last found nobody.
    pub picks: Box<[Pick]>,
    /// The counts in flight that they read.
    pub loads: Box<[Load]>,
    /// The status that the client got; 0 where it got none.
    pub status: u16,
    /// Bytes of the bodies.
    pub bytes: ByteCounts,
    /// How long it took.
    pub timings: Timings,
}

impl Entry {
    /// Whether its endpoints are those of this snapshot, which may have been made anew from the same document since.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        let upstream = self.record.upstream.and_then(|index| snapshot.upstreams.get(index as usize));
        self.picks.iter().all(|pick| upstream.is_some_and(|upstream| pick.view.is_of(upstream)))
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asker {
    /// The client's address: the peer's, or what a trusted proxy said.
    pub address: IpAddr,
    /// The connection's other end.
    pub peer: IpAddr,
    /// Who they are, as far as that was proved.
    pub caller: Option<Box<Caller>>,
    /// How the request came.
    pub came: Came,
}

/// How a request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// The version of HTTP.
    pub version: Version,
    /// Its connection was encrypted.
    pub tls: bool,
    /// The name of the TLS hello.
    pub server_name: Option<Box<str>>,
}

impl Asker {
    /// Somebody of whom only the address is known.
    pub fn at(address: IpAddr) -> Self {
        let came = Came { version: Version::Http11, tls: false, server_name: None };
        Self { address, peer: address, caller: None, came }
    }
}

/// An exchange's place in a distributed trace (W3C Trace Context).
#[derive(Clone, Debug)]
pub struct TracePlace {
    /// Which.
    pub context: Context,
    /// The span of each attempt, in their order, of a sampled exchange. There may be fewer than attempts.
    pub attempts: Box<[SpanId]>,
}

/// Names that can be told when the snapshot is gone.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Of the listener.
    pub listener: String,
    /// Of the route.
    pub route: Option<String>,
    /// That the client asked for in its TLS hello, of a connection that no head tells of.
    pub server: Option<Box<str>>,
    /// Of the upstream that it was decided for.
    pub upstream: Option<Arc<str>>,
    /// Of the one that it went on at.
    pub fallback: Option<Arc<str>>,
    /// Of the endpoint of each attempt.
    pub endpoints: Vec<Arc<str>>,
    /// Of the route's policies.
    pub policies: Vec<String>,
}

/// What a caller counts as, claims included.
const CALLER_BYTES: usize = 2048;

impl Kept for Entry {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.request_id.len()
            + self.head.as_ref().map_or(0, |head| head.len())
            + self.names.listener.len()
            + self.names.route.as_ref().map_or(0, String::len)
            + self.names.server.as_ref().map_or(0, |name| name.len())
            + self.names.endpoints.capacity() * size_of::<Arc<str>>()
            + self.record.kept_attempts().len() * size_of::<tollgate_decision::Attempt>()
            + self.trace.as_ref().map_or(0, |trace| size_of_val(&*trace.attempts))
            + self.picks.len() * size_of::<Pick>()
            + self.loads.len() * size_of::<Load>()
            + self.names.policies.iter().map(|name| size_of::<String>() + name.len()).sum::<usize>()
            + size_of_val(self.record.verdicts())
            // Claims are shared with whatever holds them; a token of the largest size has so many.
            + self.client.caller.as_ref().map_or(0, |_| CALLER_BYTES)
    }

    fn shared(&self) -> impl Iterator<Item = (usize, usize)> {
        self.picks.iter().map(|pick| (Arc::as_ptr(&pick.view).addr(), pick.view.bytes()))
    }
}

impl Entry {
    /// Why the exchange ended.
    pub fn reason(&self) -> Reason {
        self.record.reason.unwrap_or(Reason::Forwarded)
    }

    /// The counts in flight that a pick read.
    pub fn loads_of(&self, pick: usize) -> &[Load] {
        let end = |pick: usize| self.picks.get(pick).map_or(self.loads.len(), |pick| pick.loads_end);
        let start = pick.checked_sub(1).map_or(0, end);
        self.loads.get(start..end(pick)).unwrap_or_default()
    }
}

/// An exchange has ended: keeps it if it is worth keeping. Costs two compares if it is not.
#[inline]
pub fn consider(worker: &Worker, exchange: &Exchange, peer: IpAddr, listener: &Listening) {
    let Some(keeper) = worker.keeper.as_ref().filter(|_| exchange.evidence.is_on()) else { return };
    let reason = exchange.record.reason.unwrap_or(Reason::Forwarded);
    let timings = exchange.timings(worker.clock.now_us());
    // An upgraded connection lasts as long as its users like, and so does one that is carried; slow is only the
    // way to it.
    let duration_us = match reason {
        Reason::Upgraded => timings.first_byte_us,
        Reason::ConnectionEnded | Reason::ConnectionIdle => timings.queue_us + timings.connect_us,
        _ => timings.total_us,
    };
    let class = match keeper.recorder().class(reason, duration_us, exchange.record.seed) {
        None | Some(Class::Sample) if was_rescued(exchange) => Some(Class::Rescued),
        class => class,
    };
    if let Some(class) = class
        && let Some(published) = &exchange.published
    {
        let name = listener.settings().name.clone();
        keeper.keep(class, entry(worker, exchange, published, peer, name));
    }
}

fn was_rescued(exchange: &Exchange) -> bool {
    let record = &exchange.record;
    let first = u32::from(exchange.retries.met_stale) + 1;
    record.attempts > first || record.fallback.is_some() || record.held_us > 0
}

/// What would be kept of an exchange, whatever became of it; `None` while nothing is recorded.
pub fn entry_of(exchange: &Exchange, client: &Client) -> Option<Entry> {
    let published = exchange.published.as_ref().filter(|_| exchange.evidence.is_on())?;
    let name = client.listener.settings().name.clone();
    Some(entry(client.worker(), exchange, published, client.peer, name))
}

/// A connection ended before anything of a request was read.
pub fn refused_connection(listener: &Listening, peer: IpAddr, refusal: Refusal, request_id: &[u8]) {
    ended_connection(listener, peer, refusal, None, request_id);
}

/// A connection ended before anything of a request was read; perhaps its TLS handshake named a server.
pub fn ended_connection(
    listener: &Listening,
    peer: IpAddr,
    refusal: Refusal,
    server_name: Option<&str>,
    request_id: &[u8],
) {
    let reason = refusal.reason;
    let worker = listener.worker();
    let Some(keeper) = worker.keeper.as_ref().filter(|keeper| keeper.recorder().is_on()) else { return };
    let Some(class) = keeper.recorder().class(reason, 0, 0) else { return };
    let published = worker.published();
    let mut record = Record::ended(reason);
    record.detail = refusal.detail;
    let entry = Entry {
        request_id: request_id.into(),
        began: worker.clock.wall(),
        started_us: worker.clock.now_us(),
        client: Asker::at(peer),
        names: Names {
            listener: listener.settings().name.clone(),
            server: server_name.map(Into::into),
            ..Names::default()
        },
        snapshot: Arc::downgrade(&published.snapshot),
        snapshot_number: published.snapshot.number,
        head: None,
        trace: None,
        record,
        picks: Box::default(),
        loads: Box::default(),
        status: reason.status(),
        bytes: ByteCounts::default(),
        timings: Timings::default(),
    };
    keeper.keep(class, entry);
}

#[cold]
fn entry(
    worker: &Worker,
    exchange: &Exchange,
    published: &Published,
    peer: IpAddr,
    listener: String,
) -> Entry {
    let [request_id, ..] = exchange.notes.parts();
    let timings = exchange.timings(worker.clock.now_us());
    let upstream_name = |index: u32| {
        published.snapshot.upstreams.get(index as usize).map(|upstream| Arc::clone(upstream.name()))
    };
    let endpoint_name = |(before, attempt): (usize, &tollgate_decision::Attempt)| {
        let upstream = published.snapshot.upstreams.get(exchange.record.upstream_of(before)? as usize)?;
        Some(Arc::clone(upstream.endpoint(attempt.endpoint)?.name()))
    };
    Entry {
        request_id: request_id.into(),
        began: worker.clock.wall().saturating_sub(Duration::from_micros(timings.total_us)),
        started_us: exchange.times.started_us,
        client: asker(exchange, peer),
        names: Names {
            listener,
            server: server_name(exchange),
            route: exchange.route().map(|route| route.name.clone()),
            upstream: exchange.record.upstream.and_then(upstream_name),
            fallback: exchange.record.fallback.and_then(|fallback| upstream_name(fallback.upstream)),
            endpoints: exchange.record.kept_attempts().enumerate().filter_map(endpoint_name).collect(),
            policies: policies(exchange),
        },
        snapshot: Arc::downgrade(&published.snapshot),
        snapshot_number: published.snapshot.number,
        head: Some(exchange.evidence.head()).filter(|head| !head.is_empty()).map(Into::into),
        trace: trace_place(exchange),
        record: exchange.record.clone(),
        picks: exchange.evidence.picks().into(),
        loads: exchange.evidence.loads_read().into(),
        status: exchange.response.status,
        bytes: exchange.bytes,
        timings,
    }
}

/// The names of the policies that were asked.
fn policies(exchange: &Exchange) -> Vec<String> {
    let chain = exchange.route().and_then(|route| route.settings.policies.as_deref());
    let asked = chain.into_iter().flat_map(Chain::entries).take(exchange.record.verdicts().len());
    asked.map(|entry| entry.policy.name().to_owned()).collect()
}

/// Who the client is. Its claims are kept whole, so that what was decided by them can be decided again.
fn asker(exchange: &Exchange, peer: IpAddr) -> Asker {
    let caller = exchange.gate.as_deref().map(|gate| &gate.caller).filter(|c| **c != Caller::default());
    let secured = exchange.secured.as_deref();
    Asker {
        address: exchange.notes.client.unwrap_or(peer),
        peer,
        caller: caller.map(|caller| Box::new(caller.clone())),
        came: Came {
            version: exchange.facts.version,
            tls: secured.is_some(),
            server_name: secured.and_then(|secured| secured.server_name.clone()),
        },
    }
}

/// What the client of a connection asked for. Requests have a head that says it, unless they came on a connection
/// that was opened for another name.
fn server_name(exchange: &Exchange) -> Option<Box<str>> {
    if exchange.record.reason == Some(Reason::Misdirected) {
        return exchange.secured.as_ref()?.server_name.clone();
    }
    let [.., name] = exchange.notes.parts();
    let named = exchange.evidence.head().is_empty() && !name.is_empty();
    named.then(|| String::from_utf8_lossy(name).into())
}

fn trace_place(exchange: &Exchange) -> Option<TracePlace> {
    let context = exchange.trace_context()?;
    let attempts = exchange.trace.iter().flat_map(|trace| &trace.attempts).map(|attempt| attempt.span_id);
    Some(TracePlace { context, attempts: attempts.collect() })
}
