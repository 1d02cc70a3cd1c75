//! The state of one exchange. Lives in a box that the worker uses again, so that a connection that
//! waits for its next request holds none.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_decision::{Reason, Record};
use tollgate_http1::chunked::Decoder;
use tollgate_message::{BodyLength, Method, Version};
use tollgate_policy::Gate;
use tollgate_runtime::splice::Pipe;
use tollgate_telemetry::access::{Captured, Timings};
use tollgate_upstream::{ActiveRetry, EndpointId, Held, InFlight, Trial, Upstream};

use crate::evidence::Evidence;
use crate::http::Mirroring;
use crate::http::admit::Place;
use crate::http::grpc::Deadline;
use crate::http::secured::Secured;
use crate::http::session::Session;
use crate::link::Link;
use crate::snapshot::{Route, Transport, UpstreamProtocol};
use crate::tracer::{Context, Trace};
use crate::worker::Published;

/// Buffers of an exchange that grew beyond this are given back instead of being kept.
const KEEP_CAPACITY: usize = 16 * 1024;

/// One request with its response, and the attempt that is under way.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The snapshot it was decided on; set as long as the exchange runs.
    pub published: Option<Rc<Published>>,
    /// What the request said.
    pub facts: Facts,
    /// The request on its way to the endpoint.
    pub request: Outgoing,
    /// How the request body arrives.
    pub body: BodyReader,
    /// The attempt under way.
    pub attempt: Option<Attempt>,
    /// The response on its way to the client.
    pub response: Incoming,
    /// What was decided.
    pub record: Record,
    /// When what happened.
    pub times: Times,
    /// What attempts after the first depend on.
    pub retries: Retries,
    /// Bytes counted for the log and limits.
    pub bytes: ByteCounts,
    /// The request id, and text for the log where there is one.
    pub notes: Notes,
    /// What decisions depended on, where a recorder may keep it.
    pub evidence: Evidence,
    /// What is known of the client's connection, where it is encrypted.
    pub secured: Option<Rc<Secured>>,
    /// Its part in a trace, once one was wanted.
    pub trace: Option<Box<Trace>>,
    /// What its route's policies came to, once a route had any.
    pub gate: Option<Box<Gate>>,
}

/// What attempts depend on, those after the first most of all.
#[derive(Debug, Default)]
pub struct Retries {
    /// Its place at the upstream, where that has caps.
    pub place: Place,
    /// Endpoints that were tried.
    pub tried: Vec<u32>,
    /// The first attempt met an idle connection that had ended unseen. It counts as none.
    pub met_stale: bool,
    /// Held while the exchange is in a retry, so that the budget counts it.
    pub active: Option<ActiveRetry>,
    /// The turn in the budget that it has already, and how long it waits all the same, in milliseconds.
    pub granted: Option<(ActiveRetry, u64)>,
    /// An attempt may have had an effect, or what was sent is not there any more: nothing may be sent again.
    pub spent: bool,
    /// It is held as long as there is no endpoint for it, until then by the clock in milliseconds.
    pub held: Option<(Held, u64)>,
    /// It has had a second attempt beside one, or there was nobody for it.
    pub hedged: bool,
    /// All endpoints may be picked again, also those that were tried.
    anew: bool,
}

impl Retries {
    /// Forgets which endpoints were tried: they may have come back.
    pub fn try_anew(&mut self) {
        self.tried.clear();
        self.anew = true;
    }

    /// Whether endpoints tried before count as such no more.
    pub fn is_anew(&self) -> bool {
        self.anew
    }

    /// An attempt has begun.
    pub fn begun(&mut self) {
        self.anew = false;
    }

    /// The attempts to come are at another upstream.
    pub fn begin_elsewhere(&mut self) {
        self.try_anew();
        self.met_stale = false;
        self.active = None;
        self.granted = None;
        self.held = None;
    }

    fn reset(&mut self) {
        self.place.reset();
        self.tried.clear();
        self.met_stale = false;
        self.active = None;
        self.granted = None;
        self.spent = false;
        self.held = None;
        self.hedged = false;
        self.anew = false;
    }
}

/// What the rest of the exchange needs to know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The method.
    pub method: Method,
    /// The version the client speaks.
    pub version: Version,
    /// The connection may carry another request afterwards.
    pub persists: bool,
    /// The client has said that it will send no other.
    pub last: bool,
    /// The client may wait for a 100 before it sends the body.
    pub expects: bool,
    /// The client asked for an upgrade, and the request was sent with it.
    pub upgrade: bool,
    /// It is a gRPC call.
    pub call: bool,
    /// Where the call's time-out stands in the request, if it has one.
    pub deadline: Option<Deadline>,
    /// It is a copy for a mirror. Nobody waits for its response, so that it neither waits for a place nor is saved.
    pub copied: bool,
    /// The hash of the key that its endpoint is picked by, where the balancer goes by one.
    pub key_hash: Option<u64>,
    /// What is known of its session, where its upstream keeps any.
    pub session: Session,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            method: Method::Get,
            version: Version::Http11,
            persists: true,
            last: false,
            expects: false,
            upgrade: false,
            call: false,
            deadline: None,
            copied: false,
            key_hash: None,
            session: Session::default(),
        }
    }
}

/// Bytes on their way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The bytes. While `replayable`, everything sent since the start of the message.
    pub bytes: Vec<u8>,
    /// How many of them are sent.
    pub sent: usize,
    /// Whether `bytes` still begins with the start of the message.
    pub replayable: bool,
    /// Sending failed; nothing more is sent.
    pub broken: bool,
    /// How the body is written.
    pub writer: BodyWriter,
    /// Trailers that are told beside the bytes, once they have come.
    pub trailers: Vec<u8>,
}

impl Outgoing {
    /// What is not sent yet.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Forgets what is sent, when all is.
    pub fn forget_sent(&mut self) {
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
            self.bytes.shrink_to(KEEP_CAPACITY);
        }
    }

    /// Everything is sent once more, from the start of the message. Only while `replayable`, or where nothing was sent.
    pub fn rewind(&mut self) {
        self.sent = 0;
        self.broken = false;
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_CAPACITY);
        self.sent = 0;
        self.replayable = false;
        self.broken = false;
        self.writer = BodyWriter::Plain;
        self.trailers = Vec::new();
    }
}

/// How a body arrives.
#[derive(Debug, Default)]
pub enum BodyReader {
    /// It is complete.
    #[default]
    Done,
    /// So many bytes are still to come.
    Known(u64),
    /// Chunks.
    Chunked(Box<Decoder>),
    /// Everything until the sender closes its side.
    UntilClose,
    /// Everything until the stream ends, which tells an end from a cut.
    Stream,
}

impl BodyReader {
    /// For a body of this length. Its trailers, if it can have any, may have `trailers_max` bytes.
    pub fn new(length: BodyLength, trailers_max: usize) -> Self {
        match length {
            BodyLength::None => Self::Done,
            BodyLength::Known(length) => Self::Known(length),
            BodyLength::Chunked => Self::Chunked(Box::new(Decoder::new(trailers_max))),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Whether nothing more will come.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyWriter {
    /// As it is.
    #[default]
    Plain,
    /// In chunks.
    Chunked,
    /// As it is, with its end and trailers told beside it.
    Stream,
}

/// Where a response stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its head has not come.
    #[default]
    Head,
    /// Its head was sent on.
    Body,
    /// The connection was upgraded; both sides carry bytes of another protocol.
    Tunnel,
    /// All of it was received, and sent unless `pending` holds bytes.
    Complete,
}

/// The response on its way from the endpoint to the client.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Where it stands.
    pub phase: Phase,
    /// The start of a head that is not complete.
    pub partial: Vec<u8>,
    /// `partial` was received, and nobody has looked at it yet.
    pub unread: bool,
    /// How its body arrives.
    pub body: BodyReader,
    /// Bytes that the client has not taken yet. At most what is received at once.
    pub pending: Outgoing,
    /// The status; 0 before there is one.
    pub status: u16,
    /// Bytes were sent to the client (interim responses included).
    pub begun: bool,
    /// The endpoint will keep its connection.
    pub upstream_persists: bool,
    /// The client's connection ends with this response.
    pub close: bool,
    /// The response cannot be finished: the client must see that it is cut.
    pub cut: bool,
    /// All that is left is to send what is pending, and the client has a deadline for taking it.
    pub answering: bool,
    /// Bytes on their way inside the kernel.
    pub pipe: Option<Pipe>,
    /// What mirrors want of the exchange; nothing on most routes.
    pub mirroring: Mirroring,
}

impl Incoming {
    /// Whether bytes wait for the client to take them.
    pub fn has_pending(&self) -> bool {
        !self.pending.pending().is_empty() || self.pipe.as_ref().is_some_and(|p| p.held() > 0)
    }

    /// Whether all of it was received, and is to be sent in the next stage.
    pub fn is_staged(&self) -> bool {
        self.phase == Phase::Complete && !self.pending.pending().is_empty()
    }

    fn reset(&mut self) {
        self.phase = Phase::Head;
        self.partial = Vec::new();
        self.unread = false;
        self.body = BodyReader::Done;
        self.pending.reset();
        self.status = 0;
        self.begun = false;
        self.upstream_persists = false;
        self.close = false;
        self.cut = false;
        self.answering = false;
        self.pipe = None;
        self.mirroring = Mirroring::default();
    }
}

/// One try at an endpoint.
#[derive(Debug)]
pub struct Attempt {
    /// What carries it; `None` until it is open.
    pub link: Option<Link>,
    /// Which endpoint.
    pub endpoint: u32,
    /// The endpoint's identity, for the pool.
    pub id: EndpointId,
    /// The connection was idle before.
    pub reused: bool,
    /// Bytes were received on it.
    pub answered: bool,
    /// Bytes were sent on it.
    pub sent_any: bool,
    /// Counts the attempt at the endpoint as long as it lives.
    pub in_flight: InFlight,
    /// Its upstream had failed too often, and it tries whether that is over.
    pub trial: Option<Trial>,
}

/// When what happened, in the clock's microseconds or milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The head was complete.
    pub started_us: u64,
    /// The attempt began.
    pub attempt_us: u64,
    /// Waiting before further attempts took so long.
    pub queue_us: u64,
    /// Opening the connection took so long.
    pub connect_us: u64,
    /// From the start to the first byte of the response.
    pub first_byte_us: u64,
    /// When the attempt must be over.
    pub try_deadline_ms: u64,
    /// When the exchange must be over.
    pub total_deadline_ms: u64,
    /// When the client's own deadline passes; `u64::MAX` without one.
    pub call_ms: u64,
    /// The nearest deadline; `u64::MAX` while none is set.
    pub nearest_ms: u64,
    /// What the nearest deadline is for.
    pub waiting_for: WaitingFor,
}

/// What an exchange waits for; names the reason when it waits too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitingFor {
    /// The first byte of the response.
    #[default]
    FirstByte,
    /// The next bytes of the request body.
    RequestBody,
    /// The endpoint to take or send bytes.
    Upstream,
    /// The client to take bytes.
    Client,
    /// The end of the attempt.
    Try,
    /// The end of the exchange.
    Total,
    /// The end of the exchange, as the client set it.
    Deadline,
}

impl WaitingFor {
    /// The reason when the wait was too long.
    pub fn reason(self) -> Reason {
        match self {
            Self::FirstByte => Reason::FirstByteTimeout,
            Self::Try => Reason::TryTimeout,
            Self::RequestBody => Reason::BodyTimeout,
            Self::Upstream => Reason::UpstreamStalled,
            Self::Client => Reason::ClientStalled,
            Self::Total => Reason::TotalTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
        }
    }
}

/// Body bytes of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteCounts {
    /// Received from the client.
    pub received: u64,
    /// Sent to the client.
    pub sent: u64,
}

/// Text of the request for the access log: one buffer, four parts.
#[derive(Debug, Default)]
pub struct Notes {
    text: Vec<u8>,
    ends: [u32; 4],
    /// Somebody wants to hear of the exchange, since before it began.
    pub wanted: bool,
    /// The query and headers that some log wants.
    pub captured: Captured,
    /// The client's address, the peer's or what a trusted proxy said.
    pub client: Option<std::net::IpAddr>,
}

impl Notes {
    /// Keeps request id, method, path and host.
    pub fn keep(&mut self, parts: [&[u8]; 4]) {
        self.text.clear();
        for (part, end) in parts.iter().zip(&mut self.ends) {
            self.text.extend_from_slice(part);
            *end = self.text.len() as u32;
        }
    }

    /// Request id, method, path and host.
    pub fn parts(&self) -> [&[u8]; 4] {
        let mut start = 0;
        self.ends.map(|end| {
            let part = &self.text[start as usize..end as usize];
            start = end;
            part
        })
    }

    fn reset(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEEP_CAPACITY);
        self.ends = [0; 4];
        self.wanted = false;
        self.captured.clear();
        self.captured.shrink_to(KEEP_CAPACITY);
        self.client = None;
    }
}

impl Exchange {
    /// Makes the box ready for another exchange.
    pub fn reset(&mut self) {
        self.published = None;
        self.facts = Facts::default();
        self.request.reset();
        self.body = BodyReader::Done;
        self.attempt = None;
        self.response.reset();
        self.record.reset();
        self.times = Times::default();
        self.retries.reset();
        self.bytes = ByteCounts::default();
        self.notes.reset();
        self.evidence.reset();
        self.secured = None;
        if let Some(trace) = &mut self.trace {
            trace.reset();
        }
        if let Some(gate) = &mut self.gate {
            gate.reset();
        }
    }

    /// The route, once it is decided.
    pub fn route(&self) -> Option<&Route> {
        let published = self.published.as_ref()?;
        published.snapshot.routes.get(self.record.route? as usize)
    }

    /// Which trace it belongs to, if that was asked.
    pub fn trace_context(&self) -> Option<Context> {
        self.trace.as_ref()?.context
    }

    /// The upstream, once it is decided.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        let published = self.published.as_ref()?;
        published.snapshot.upstreams.get(self.record.upstream_now()? as usize)
    }

    /// How the upstream is spoken to, once it is decided.
    pub fn transport(&self) -> Option<&Arc<Transport>> {
        let published = self.published.as_ref()?;
        published.snapshot.transports.get(self.record.upstream_now()? as usize)
    }

    /// Whether the upstream gets the request on a stream of a multiplexed connection.
    pub fn speaks_streams(&self) -> bool {
        self.transport().is_some_and(|transport| transport.protocol == UpstreamProtocol::Http2)
    }

    /// Whether the client may be waiting for the endpoint before it sends any of its body.
    pub fn awaits_continue(&self) -> bool {
        self.facts.expects && self.bytes.received == 0 && !self.response.begun
    }

    /// Microseconds since the exchange began.
    pub fn since_start(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.times.started_us)
    }

    /// The phase times for the log.
    pub fn timings(&self, now_us: u64) -> Timings {
        Timings {
            queue_us: self.times.queue_us,
            connect_us: self.times.connect_us,
            first_byte_us: self.times.first_byte_us,
            total_us: now_us.saturating_sub(self.times.started_us),
        }
    }
}
