//! From a head to an exchange: refuse what has two readings, decide, write the request for the origin.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_decision::{Reason, Record};
use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::framing;
use tollgate_http1::request::RequestLine;
use tollgate_message::{BodyLength, FieldList, Known, RequestHead, Version};
use tollgate_policy::{Passed, Wait};
use tollgate_routing::rewrite::Scheme;
use tollgate_routing::{RequestView, Scratch};
use tollgate_runtime::wheel::NEVER;

use super::answer::{Place, answer_action, answer_challenge, answer_https, answer_refusal, end_unforwarded};
use super::client::Client;
use super::forwarded::Origins;
use super::identify::{Identity, identify};
use super::intake::{Intake, Paused};
use super::log;
use super::request_head::{self, Source};
use super::secured::Secured;
use super::session::{self, Session};
use super::{Refusal, gate, grpc, mirror, request_body, trace};
use crate::buffers::{Buffers, HEADROOM};
use crate::decide;
use crate::exchange::{BodyReader, BodyWriter, Exchange, Facts};
use crate::snapshot::{Action, HttpService, Listener, RouteSettings, Service, Snapshot};
use crate::worker::{Published, Worker};

/// A head that is complete, in the worker's buffers.
pub struct Arrived<'a> {
    /// The buffers; the head stands at the start of the receiving area.
    pub buffers: &'a mut Buffers,
    /// Where its parts stand.
    pub line: RequestLine,
    /// Where what was received ends.
    pub end: usize,
}

/// A head is complete: everything up to the first attempt.
pub fn begin(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    arrived: &mut Arrived<'_>,
) -> Intake {
    let snapshot = &*published.snapshot;
    let Buffers { scratch, fields, path, host, rewritten, routing, .. } = &mut *arrived.buffers;
    let (body_start, end) = (HEADROOM + arrived.line.end, arrived.end);
    let head_bytes = &scratch[HEADROOM..body_start];
    let head = arrived.line.view(head_bytes, fields);
    let options = ConnectionOptions::of(&head.fields);
    let mut exchange = open(worker, client, published, &head, options);
    if worker.records() {
        exchange.evidence.begin(head_bytes);
    }
    let listening = client.listener.clone();
    let own_listener = &*listening.settings();
    let secured = client.secured.clone();
    let secured = secured.as_deref();
    let (trusted, version) = (&own_listener.trusted, client.version);
    let origins = Origins::of(worker, trusted, client.peer, secured, version, &head.fields, None);
    exchange.notes.keep([origins.request_id.as_bytes(), b"", b"", b""]);
    trace::begin(&mut exchange, &head.fields);
    let (identity, body) = match check(&head, options, snapshot, path, host) {
        Ok(checked) => checked,
        Err(refusal) => {
            // What is malformed ends the connection.
            exchange.facts.persists = false;
            log::keep_refused(worker, &mut exchange, origins.request_id.as_bytes(), &head);
            answer_refusal(worker, &mut exchange, refusal);
            return Intake::Answered(exchange);
        }
    };
    note(worker, &mut exchange, &head, &identity, &origins, own_listener);
    let view = identity.view(&head);
    let rest = body_start..end;
    if let Some(away) = turn_away(snapshot, own_listener, secured, &view) {
        end_unforwarded(client, &mut exchange, body, &scratch[rest]);
        answer_away(worker, &mut exchange, away, &view, rewritten);
        return Intake::Answered(exchange);
    }
    let understood = Understood { head, bytes: head_bytes, list: fields, options, identity, body, origins };
    let mut work = Work { routing, rewritten, rest: &scratch[rest], listener: own_listener, resolved: None };
    let step = go_on(worker, client, exchange, understood, &mut work);
    take_step(worker, client, step, &mut Received { scratch, start: body_start, end })
}

/// The same for a head that has begun before and had to wait in the middle of its route's policies.
pub fn resume(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: Box<Exchange>,
    arrived: &mut Arrived<'_>,
    resolved: gate::Resolved,
) -> Intake {
    let Some(published) = exchange.published.clone() else { return Intake::Closed };
    let Buffers { scratch, fields, path, host, rewritten, routing, .. } = &mut *arrived.buffers;
    let (body_start, end) = (HEADROOM + arrived.line.end, arrived.end);
    let head_bytes = &scratch[HEADROOM..body_start];
    let head = arrived.line.view(head_bytes, fields);
    let options = ConnectionOptions::of(&head.fields);
    let listening = client.listener.clone();
    let own_listener = &*listening.settings();
    let secured = client.secured.clone();
    let (trusted, version) = (&own_listener.trusted, client.version);
    let [made, ..] = exchange.notes.parts();
    let made = made.try_into().ok();
    let origins = Origins::of(worker, trusted, client.peer, secured.as_deref(), version, &head.fields, made);
    // It was in order when it came.
    let Ok((identity, body)) = check(&head, options, &published.snapshot, path, host) else {
        return Intake::Closed;
    };
    let understood = Understood { head, bytes: head_bytes, list: fields, options, identity, body, origins };
    let rest = &scratch[body_start..end];
    let mut work = Work { routing, rewritten, rest, listener: own_listener, resolved: Some(resolved) };
    let step = go_on(worker, client, exchange, understood, &mut work);
    take_step(worker, client, step, &mut Received { scratch, start: body_start, end })
}

/// A request that can be understood in one way only.
pub struct Understood<'a> {
    /// Its head.
    pub head: RequestHead<'a>,
    /// The head's bytes.
    pub bytes: &'a [u8],
    /// The head's fields.
    pub list: &'a FieldList,
    /// Its `Connection` options.
    pub options: ConnectionOptions,
    /// What it asks for.
    pub identity: Identity<'a>,
    /// How its body is framed.
    pub body: BodyLength,
    /// What its fields say about the client.
    pub origins: Origins<'a>,
}

/// What deciding works with.
struct Work<'a> {
    routing: &'a mut Scratch,
    rewritten: &'a mut Vec<u8>,
    /// What came behind the head.
    rest: &'a [u8],
    listener: &'a Listener,
    /// What came of the future that a policy wanted to wait for.
    resolved: Option<gate::Resolved>,
}

/// What becomes of a request.
enum Step {
    /// It is forwarded. The body is framed like this.
    Forward(Box<Exchange>, BodyLength),
    /// It is answered.
    Answered(Box<Exchange>),
    /// It waits.
    Waits(Box<Exchange>, Wait),
}

/// The route, its policies, its action.
fn go_on(
    worker: &Rc<Worker>,
    client: &mut Client,
    mut exchange: Box<Exchange>,
    understood: Understood<'_>,
    work: &mut Work<'_>,
) -> Step {
    let Some(published) = exchange.published.clone() else { return Step::Answered(exchange) };
    let (snapshot, body) = (&*published.snapshot, understood.body);
    let view = understood.identity.view(&understood.head);
    let choice = decide::choose(snapshot, &view, body, exchange.record.seed, work.routing);
    take_note(&mut exchange.record, &choice);
    let found = match (choice.found, choice.refusal) {
        (Some(found), None) => found,
        (_, refusal) => {
            end_unforwarded(client, &mut exchange, body, work.rest);
            answer_refusal(worker, &mut exchange, refusal.unwrap_or(Reason::NoRoute.into()));
            return Step::Answered(exchange);
        }
    };
    let (route, matched) = (&snapshot.routes[found.route as usize], found.matched as usize);
    if work.resolved.is_none() {
        trace::routed(&mut exchange, route.settings.trace, &understood.head.fields);
    }
    let place = gate::Place { published: &published, listener: work.listener, route };
    if let Some(chain) = &route.settings.policies {
        let resolved = work.resolved.take();
        match gate::pass(worker, &mut exchange, chain, &understood, &place, resolved) {
            Passed::On => {}
            Passed::Waits(wait) => return Step::Waits(exchange, wait),
            stopped => {
                end_unforwarded(client, &mut exchange, body, work.rest);
                gate::answer(worker, &mut exchange, stopped);
                return Step::Answered(exchange);
            }
        }
    }
    let Action::Forward(_) = &route.action else {
        let scheme = if client.secured.is_some() { Scheme::Https } else { Scheme::Http };
        let place = Place { view, matched, port: port(work.listener, client), scheme };
        end_unforwarded(client, &mut exchange, body, work.rest);
        answer_action(worker, &mut exchange, route, &place, work.rewritten);
        return Step::Answered(exchange);
    };
    settle(worker, &mut exchange, &understood, &place, work.rewritten);
    let Understood { head, bytes, list, options, identity, origins, .. } = understood;
    let gate = exchange.gate.take();
    let mut source = Source {
        head,
        bytes,
        list,
        options,
        body,
        identity,
        matched,
        origins,
        upgrade: exchange.facts.upgrade,
        timed_call: false,
        gate: gate.as_deref(),
        session: session::carrier(&exchange, snapshot, &route.settings),
    };
    write_request(worker, &mut exchange, &mut source, snapshot, &route.settings, work.rewritten);
    exchange.gate = gate;
    Step::Forward(exchange, body)
}

/// A request is to be forwarded: finds what it is picked by, its session, whether it upgrades its connection, and its
/// mirrors. Keys are made in `space`.
fn settle(
    worker: &Worker,
    exchange: &mut Exchange,
    understood: &Understood<'_>,
    place: &gate::Place<'_>,
    space: &mut Vec<u8>,
) {
    let mut hashes = |exchange: &Exchange, upstream| {
        gate::key_hashes(worker, exchange, upstream, understood, place, space)
    };
    if let Some(upstream) = exchange.record.upstream {
        let [picked_by, turns_by] = hashes(exchange, upstream);
        exchange.facts.key_hash = picked_by;
        exchange.retries.place.key = turns_by.unwrap_or(0);
    }
    session::begin(worker, exchange, &understood.head.fields);
    // A request whose body is still coming could not be told from what follows the upgrade.
    exchange.facts.upgrade = understood.body == BodyLength::None
        && wants_upgrade(&understood.head, understood.options)
        && place.route.settings.upgrade
        && !exchange.speaks_streams();
    mirror::choose(exchange, |exchange, upstream| hashes(exchange, upstream)[0]);
}

fn take_step(worker: &Rc<Worker>, client: &mut Client, step: Step, received: &mut Received<'_>) -> Intake {
    match step {
        Step::Forward(exchange, body) => forward(worker, client, exchange, body, received),
        Step::Answered(exchange) => Intake::Answered(exchange),
        Step::Waits(exchange, wait) => {
            // The buffers are everybody's: what came waits with the connection, and is read again afterwards.
            client.leftover = received.scratch[HEADROOM..received.end].to_vec();
            Intake::Waits(Box::new(Paused { exchange, wait }))
        }
    }
}

fn take_note(record: &mut Record, choice: &decide::Choice) {
    record.route = choice.found.map(|found| found.route);
    record.matched = choice.found.map_or(0, |found| found.matched);
    (record.upstream, record.subset) = (choice.upstream, choice.subset);
}

/// Keeps what logs, spans and the recorder want of a request that was understood.
fn note(
    worker: &Worker,
    exchange: &mut Exchange,
    head: &RequestHead<'_>,
    identity: &Identity<'_>,
    origins: &Origins<'_>,
    listener: &Listener,
) {
    let sampled = exchange.trace_context().is_some_and(|context| context.sampled);
    if exchange.notes.wanted || sampled {
        exchange.notes.keep([origins.request_id.as_bytes(), head.method_bytes, identity.path, identity.host]);
        log::keep_request(worker, exchange, identity.query, &head.fields);
    }
    if exchange.notes.wanted || sampled || exchange.evidence.is_on() {
        exchange.notes.client = Some(origins.client(&listener.trusted, &head.fields));
    }
}

/// Writes the head for the origin. A gRPC call with a time-out gets the place where each attempt tells its own.
fn write_request(
    worker: &Worker,
    exchange: &mut Exchange,
    source: &mut Source<'_>,
    snapshot: &Snapshot,
    settings: &RouteSettings,
    rewritten: &mut Vec<u8>,
) {
    let timeout_ms = if exchange.facts.call { grpc::timeout_ms(source.list, &source.head) } else { None };
    source.timed_call = timeout_ms.is_some();
    let Exchange { request, trace, .. } = exchange;
    request_head::write(&mut request.bytes, source, snapshot, settings, trace.as_deref_mut(), rewritten);
    if timeout_ms.is_some() {
        let bytes = &mut exchange.request.bytes;
        bytes.truncate(bytes.len() - 2);
        exchange.facts.deadline = Some(grpc::write_timeout(bytes));
        bytes.extend_from_slice(b"\r\n");
    }
    let limits = &settings.timeouts;
    if let Some(field) = settings.rescue.as_ref().and_then(|rescue| rescue.deadline_field.as_deref())
        && limits.total_ms.min(limits.try_ms) != NEVER
        && timeout_ms.is_none()
    {
        let bytes = &mut exchange.request.bytes;
        bytes.truncate(bytes.len() - 2);
        exchange.facts.deadline = Some(grpc::write_deadline(bytes, field));
        bytes.extend_from_slice(b"\r\n");
    }
    exchange.times.call_ms = timeout_ms.map_or(NEVER, |ms| worker.clock.now_ms() + ms);
}

/// Why a request is not routed on the connection that it came on.
enum Away {
    /// It should come over TLS, to this port.
    Https(u16),
    /// It should come on a connection that was opened for its host.
    Misdirected,
    /// It is an authority's, about a name that a certificate is being ordered for, and this is the answer.
    Challenge(Arc<str>),
}

fn answer_away(
    worker: &Worker,
    exchange: &mut Exchange,
    away: Away,
    view: &RequestView<'_>,
    location: &mut Vec<u8>,
) {
    match away {
        Away::Https(port) => answer_https(worker, exchange, view, port, location),
        Away::Challenge(answer) => answer_challenge(worker, exchange, &answer),
        Away::Misdirected => answer_refusal(worker, exchange, Reason::Misdirected.into()),
    }
}

fn turn_away(
    snapshot: &Snapshot,
    listener: &Listener,
    secured: Option<&Secured>,
    view: &RequestView<'_>,
) -> Option<Away> {
    // One relaxed load unless a certificate is being ordered.
    let challenges = snapshot.challenges.as_deref().filter(|challenges| challenges.any());
    if let Some(answer) = challenges.and_then(|challenges| challenges.http01_path(view.path)) {
        return Some(Away::Challenge(answer));
    }
    match secured {
        Some(secured) => (!secured.serves(view.host)).then_some(Away::Misdirected),
        None => match &listener.service {
            Service::Http(HttpService { redirect_https: Some(port), .. }) => Some(Away::Https(*port)),
            _ => None,
        },
    }
}

/// The port that a request came to. Port 0 of the document is whichever the kernel gave.
fn port(listener: &Listener, client: &Client) -> u16 {
    match listener.address.port() {
        0 => client.local_port(),
        port => port,
    }
}

/// An exchange with what its head says about it.
fn open(
    worker: &Worker,
    client: &Client,
    published: &Rc<Published>,
    head: &RequestHead<'_>,
    options: ConnectionOptions,
) -> Box<Exchange> {
    let mut exchange = worker.new_exchange();
    exchange.published = Some(published.clone());
    client.listener.exchange_begins();
    exchange.times.started_us = worker.clock.now_us();
    exchange.record.seed = worker.random.borrow_mut().next_u64();
    exchange.notes.client = Some(client.peer);
    exchange.notes.wanted = worker.log.borrow().is_wanted();
    let worn = published.snapshot.http.requests_per_connection.is_some_and(|max| client.served >= max);
    let last = !options.persists(head.version);
    exchange.facts = Facts {
        method: head.method,
        version: client.version.unwrap_or(head.version),
        persists: !last && !worn && client.draining_since().is_none(),
        last,
        expects: head.fields.has(Known::Expect),
        upgrade: false,
        call: client.link.is_stream() && grpc::is_call(head),
        deadline: None,
        copied: false,
        key_hash: None,
        session: Session::default(),
    };
    exchange.secured = client.secured.clone();
    exchange
}

/// What makes a request one that can be understood in one way only.
pub fn check<'a>(
    head: &RequestHead<'a>,
    options: ConnectionOptions,
    snapshot: &Snapshot,
    path: &'a mut Vec<u8>,
    host: &'a mut Vec<u8>,
) -> Result<(Identity<'a>, BodyLength), Refusal> {
    let body = framing::request_body(head).map_err(|m| m.as_request_reason())?;
    if options.too_many {
        let detail = Some("the field Connection has more options than allowed");
        return Err(Refusal { reason: Reason::TooManyFields, detail });
    }
    let identity = identify(head, &snapshot.http.paths, path, host)?;
    if head.fields.has(Known::Expect) {
        let met = head.fields.all(Known::Expect).all(|v| v.eq_ignore_ascii_case(b"100-continue"));
        if !met {
            return Err(Reason::BadExpectation.into());
        }
    }
    Ok((identity, body))
}

/// An upgrade is asked for (RFC 9110 section 7.8). One to HTTP/2 is not passed on: both sides would
/// then speak a protocol that nobody looks into.
pub fn wants_upgrade(head: &RequestHead<'_>, options: ConnectionOptions) -> bool {
    options.upgrade
        && head.version == Version::Http11
        && head.fields.has(Known::Upgrade)
        && !head.fields.all(Known::Upgrade).flat_map(|v| v.split(|b| *b == b',')).any(|p| {
            let name = p.trim_ascii();
            name.len() >= 3 && name[..3].eq_ignore_ascii_case(b"h2c")
        })
}

/// Bytes behind a head, in the buffer they were received in.
pub struct Received<'a> {
    /// The buffer.
    pub scratch: &'a mut [u8],
    /// Where they begin.
    pub start: usize,
    /// Where they end.
    pub end: usize,
}

/// The request is to be forwarded: takes over the part of its body that is there, and notes the rest.
fn forward(
    worker: &Rc<Worker>,
    client: &mut Client,
    mut exchange: Box<Exchange>,
    body: BodyLength,
    received: &mut Received<'_>,
) -> Intake {
    let now = worker.clock.now_ms();
    let total_ms = exchange.route().map_or(0, |r| r.settings.timeouts.total_ms);
    exchange.times.total_deadline_ms = now.saturating_add(total_ms).min(exchange.times.call_ms);
    exchange.request.replayable = true;
    let trailers_max =
        exchange.published.as_ref().map_or(usize::MAX, |p| p.snapshot.http.request_head.head_size);
    let streams = exchange.speaks_streams();
    exchange.body = match body {
        BodyLength::None => BodyReader::Done,
        _ if client.link.is_stream() => BodyReader::Stream,
        _ => BodyReader::new(body, trailers_max),
    };
    exchange.request.writer = match body {
        _ if streams => BodyWriter::Stream,
        BodyLength::Chunked => BodyWriter::Chunked,
        _ => BodyWriter::Plain,
    };
    if received.start < received.end
        && let Err(refusal) = request_body::take_received(client, &mut exchange, received)
    {
        exchange.facts.persists = false;
        answer_refusal(worker, &mut exchange, refusal);
        return Intake::Answered(exchange);
    }
    Intake::Forward(exchange)
}
