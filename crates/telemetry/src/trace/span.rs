//! Spans in the form of OTLP (opentelemetry-proto 1.x, `trace.proto`), with the attribute names of the
//! OpenTelemetry conventions for HTTP, and names of Tollgate's own behind `tollgate.`.

use std::net::IpAddr;

use tollgate_decision::{Reason, Side};

use super::context::{SpanId, TraceId};
use super::protobuf as pb;

/// Bytes of a path that a span tells. Clients choose it, and it waits in memory.
const PATH_MAX: usize = 1024;

/// Field numbers of the messages, as `trace.proto`, `common.proto` and `resource.proto` give them.
mod field {
    pub(super) const RESOURCE_SPANS: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
    pub(super) const SCOPE: u32 = 1;
    pub(super) const SCOPE_NAME: u32 = 1;
    pub(super) const SCOPE_VERSION: u32 = 2;
    pub(super) const SPANS: u32 = 2;
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
    pub(super) const EVENT_TIME: u32 = 1;
    pub(super) const EVENT_NAME: u32 = 2;
    pub(super) const EVENT_ATTRIBUTES: u32 = 3;
    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const TEXT: u32 = 1;
    pub(super) const TRUTH: u32 = 2;
    pub(super) const INTEGER: u32 = 3;
}

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;
const SAMPLED: u32 = 1;
/// The flags say where the parent is.
const PARENT_KNOWN: u32 = 0x100;
/// The parent is in another program.
const PARENT_REMOTE: u32 = 0x200;

/// Which span it is, and when it was.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its trace.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// Its parent; `None` for the first of its trace.
    pub parent: Option<SpanId>,
    /// The `tracestate` of its trace.
    pub state: &'a [u8],
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end_ns: u64,
}

/// One exchange, as the client side saw it.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeSpan<'a> {
    /// Which span.
    pub identity: Identity<'a>,
    /// The method.
    pub method: &'a [u8],
    /// The method is one of the usual ones, so that it may stand in names.
    pub usual_method: bool,
    /// The path, without the query, which may hold secrets.
    pub path: &'a [u8],
    /// The host that was asked for.
    pub host: &'a [u8],
    /// The version, such as `1.1`.
    pub version: &'a str,
    /// Where the request came from.
    pub client: IpAddr,
    /// The request id, by which the exchange can be asked for.
    pub request_id: &'a [u8],
    /// The route's name; empty where none matched.
    pub route: &'a str,
    /// The upstream's name; empty where none was asked.
    pub upstream: &'a str,
    /// The status sent to the client; 0 where none was.
    pub status: u16,
    /// Why the exchange ended.
    pub reason: Reason,
}

/// One attempt of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct AttemptSpan<'a> {
    /// Which span; its parent is the exchange's.
    pub identity: Identity<'a>,
    /// The method.
    pub method: &'a [u8],
    /// The method is one of the usual ones, so that it may stand in names.
    pub usual_method: bool,
    /// The endpoint's name: host and port as the document has them.
    pub endpoint: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
    /// How many attempts came before.
    pub resend_count: u32,
    /// It went over a connection that had been idle.
    pub reused: bool,
    /// The endpoint's status; 0 where none came.
    pub status: u16,
    /// Why it failed; `None` where it did not.
    pub failure: Option<Reason>,
}

/// A further attempt, as an event of the exchange's span.
#[derive(Clone, Copy, Debug)]
pub struct RetryEvent {
    /// When it began, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Why the attempt before it failed.
    pub reason: Reason,
}

/// Appends the span of an exchange.
pub fn write_exchange(out: &mut Vec<u8>, span: &ExchangeSpan<'_>, retries: impl Iterator<Item = RetryEvent>) {
    pb::message(out, field::SPANS, |out| {
        let remote = if span.identity.parent.is_some() { PARENT_REMOTE } else { 0 };
        identity(out, &span.identity, SERVER, remote);
        name(out, span.method, span.usual_method, span.route);
        method(out, span.method, span.usual_method);
        text_unless_empty(out, "url.path", &span.path[..span.path.len().min(PATH_MAX)]);
        text(out, "url.scheme", b"http");
        text(out, "network.protocol.version", span.version.as_bytes());
        address(out, "client.address", span.client);
        text_unless_empty(out, "server.address", span.host);
        text_unless_empty(out, "http.route", span.route.as_bytes());
        text_unless_empty(out, "tollgate.upstream", span.upstream.as_bytes());
        text_unless_empty(out, "tollgate.request_id", span.request_id);
        text(out, "tollgate.reason", span.reason.code().as_bytes());
        if span.status != 0 {
            integer(out, "http.response.status_code", span.status.into());
        }
        // A status of 400 to 499 is the client's error: it is none of the one who answers.
        let failed = span.reason.is_failure() && span.reason.side() != Side::Client || span.status >= 500;
        outcome(out, span.reason, span.status, failed);
        for retry in retries {
            pb::message(out, field::EVENTS, |out| {
                pb::fixed64(out, field::EVENT_TIME, retry.time_ns);
                pb::bytes(out, field::EVENT_NAME, b"retry");
                let code = retry.reason.code().as_bytes();
                attribute_text(out, field::EVENT_ATTRIBUTES, "tollgate.reason", code);
            });
        }
    });
}

/// Appends the span of an attempt.
pub fn write_attempt(out: &mut Vec<u8>, span: &AttemptSpan<'_>) {
    pb::message(out, field::SPANS, |out| {
        identity(out, &span.identity, CLIENT, 0);
        name(out, span.method, span.usual_method, "");
        method(out, span.method, span.usual_method);
        text(out, "network.protocol.version", b"1.1");
        if let Some((host, port)) = span.endpoint.rsplit_once(':') {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            text(out, "server.address", host.as_bytes());
            if let Ok(port) = port.parse() {
                integer(out, "server.port", port);
            }
        }
        text(out, "tollgate.upstream", span.upstream.as_bytes());
        text(out, "tollgate.endpoint", span.endpoint.as_bytes());
        truth(out, "tollgate.connection.reused", span.reused);
        if span.resend_count > 0 {
            integer(out, "http.request.resend_count", span.resend_count.into());
        }
        if span.status != 0 {
            integer(out, "http.response.status_code", span.status.into());
        }
        let reason = span.failure.unwrap_or(Reason::Forwarded);
        outcome(out, reason, span.status, span.failure.is_some() || span.status >= 400);
    });
}

/// The message that spans are sent in: all between its opening and the end of the buffer are its own.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    /// For the spans of a program that is called `service`; `instance` is this one of those that run.
    pub(super) fn new(service: &str, instance: &str, version: &str) -> Self {
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        pb::message(&mut resource, field::RESOURCE, |out| {
            for (key, value) in
                [("service.name", service), ("service.instance.id", instance), ("service.version", version)]
            {
                attribute_text(out, field::RESOURCE_ATTRIBUTES, key, value.as_bytes());
            }
        });
        pb::message(&mut scope, field::SCOPE, |out| {
            pb::bytes(out, field::SCOPE_NAME, b"tollgate");
            pb::bytes(out, field::SCOPE_VERSION, version.as_bytes());
        });
        Self { resource, scope }
    }

    /// An `ExportTraceServiceRequest` of these spans.
    pub(super) fn enclose<'a>(&self, spans: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
        let length: usize = spans.clone().map(<[u8]>::len).sum();
        let mut scope_head = Vec::new();
        pb::message_head(&mut scope_head, field::SCOPE_SPANS, self.scope.len() + length);
        let inner = self.resource.len() + scope_head.len() + self.scope.len() + length;
        let mut out = Vec::with_capacity(inner + 16);
        pb::message_head(&mut out, field::RESOURCE_SPANS, inner);
        out.extend_from_slice(&self.resource);
        out.extend_from_slice(&scope_head);
        out.extend_from_slice(&self.scope);
        spans.for_each(|block| out.extend_from_slice(block));
        out
    }
}

fn identity(out: &mut Vec<u8>, identity: &Identity<'_>, kind: u64, remote: u32) {
    pb::bytes(out, field::TRACE_ID, &identity.trace_id.get().to_be_bytes());
    pb::bytes(out, field::SPAN_ID, &identity.span_id.get().to_be_bytes());
    if let Some(parent) = identity.parent {
        pb::bytes(out, field::PARENT_SPAN_ID, &parent.get().to_be_bytes());
    }
    if !identity.state.is_empty() {
        pb::bytes(out, field::TRACE_STATE, identity.state);
    }
    pb::fixed32(out, field::FLAGS, SAMPLED | PARENT_KNOWN | remote);
    pb::number(out, field::KIND, kind);
    pb::fixed64(out, field::START, identity.start_ns);
    pb::fixed64(out, field::END, identity.end_ns);
}

/// The method, and the route where there is one. An unusual method is not named: clients choose it.
fn name(out: &mut Vec<u8>, method: &[u8], usual: bool, route: &str) {
    let method = if usual { method } else { b"HTTP" };
    let space = usize::from(!route.is_empty());
    pb::message_head(out, field::NAME, method.len() + space + route.len());
    out.extend_from_slice(method);
    if !route.is_empty() {
        out.push(b' ');
        out.extend_from_slice(route.as_bytes());
    }
}

fn method(out: &mut Vec<u8>, method: &[u8], usual: bool) {
    if usual {
        text(out, "http.request.method", method);
    } else {
        text(out, "http.request.method", b"_OTHER");
        text(out, "http.request.method_original", &method[..method.len().min(64)]);
    }
}

/// The type of the error, if there was one, and the status of the span.
fn outcome(out: &mut Vec<u8>, reason: Reason, status: u16, failed: bool) {
    if reason.is_failure() {
        text(out, "error.type", reason.code().as_bytes());
    } else if failed {
        text(out, "error.type", status.to_string().as_bytes());
    }
    if failed {
        pb::message(out, field::STATUS, |out| {
            if reason.is_failure() {
                pb::bytes(out, field::STATUS_MESSAGE, reason.explanation().as_bytes());
            }
            pb::number(out, field::STATUS_CODE, STATUS_ERROR);
        });
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    attribute_text(out, field::ATTRIBUTES, key, value);
}

fn text_unless_empty(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    if !value.is_empty() {
        text(out, key, value);
    }
}

/// Text must be UTF-8, and what clients send need not be.
fn attribute_text(out: &mut Vec<u8>, field: u32, key: &str, value: &[u8]) {
    let lossy;
    let value = if value.is_ascii() {
        value
    } else {
        lossy = String::from_utf8_lossy(value);
        lossy.as_bytes()
    };
    // Lengths are known here, and most of a span is such attributes: nothing is filled in later.
    let inner = pb::length_of(value.len());
    let whole = pb::length_of(key.len()) + pb::length_of(inner);
    out.reserve(pb::length_of(whole));
    pb::message_head(out, field, whole);
    pb::bytes(out, field::KEY, key.as_bytes());
    pb::message_head(out, field::VALUE, inner);
    pb::bytes(out, field::TEXT, value);
}

fn integer(out: &mut Vec<u8>, key: &str, value: u64) {
    attribute(out, field::ATTRIBUTES, key, |out| pb::number(out, field::INTEGER, value));
}

fn truth(out: &mut Vec<u8>, key: &str, value: bool) {
    attribute(out, field::ATTRIBUTES, key, |out| pb::number(out, field::TRUTH, value.into()));
}

fn address(out: &mut Vec<u8>, key: &str, address: IpAddr) {
    use std::io::Write;

    // The longest address has 45 characters.
    let mut shown = [0u8; 48];
    let length = match address.to_canonical() {
        // Without the formatting machinery, which costs more than all else about an attribute.
        IpAddr::V4(v4) => decimal_octets(v4.octets(), &mut shown),
        IpAddr::V6(v6) => {
            let mut rest = &mut shown[..];
            // Cannot fail: there is room.
            let _ = write!(rest, "{v6}");
            48 - rest.len()
        }
    };
    text(out, key, &shown[..length]);
}

/// An IPv4 address in its usual form; tells how long it is.
fn decimal_octets(octets: [u8; 4], shown: &mut [u8; 48]) -> usize {
    let mut length = 0;
    for (index, octet) in octets.into_iter().enumerate() {
        let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        let leading = usize::from(octet < 100) + usize::from(octet < 10);
        for byte in [b'.'].iter().skip(usize::from(index == 0)).chain(&digits[leading..]) {
            shown[length] = *byte;
            length += 1;
        }
    }
    length
}

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    pb::message(out, field, |out| {
        pb::bytes(out, field::KEY, key.as_bytes());
        pb::message(out, field::VALUE, value);
    });
}

#[cfg(test)]
#[path = "span/tests.rs"]
mod tests;
