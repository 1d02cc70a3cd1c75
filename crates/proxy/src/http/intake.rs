//! From bytes to an exchange: receive a head, refuse what is wrong with it, decide, and write the
//! request for the origin.

use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http1::chunked::Decoder;
use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::request::{self, RequestLine};
use tollgate_http1::{Malformed, Progress, framing};
use tollgate_message::{BodyLength, Known, RequestHead, Version};
use tollgate_routing::rewrite::{RedirectedRequest, Scheme, redirect_location};
use tollgate_routing::{Found, RequestView};

use super::client::Client;
use super::forwarded::Origins;
use super::identify::{Identity, identify};
use super::request_head::{self, Source};
use super::respond::{self, Answer};
use super::{Refusal, request_body};
use crate::buffers::{Buffers, HEADROOM};
use crate::decide;
use crate::edits::Edits;
use crate::exchange::{BodyReader, Exchange, Facts};
use crate::snapshot::{Action, Destination, Route, Snapshot};
use crate::worker::{Published, Worker};

/// How long a draining worker waits for the first request of a connection.
const FIRST_REQUEST_MS: u64 = 1_000;

/// What came in.
pub enum Intake {
    /// An exchange to forward: the request is written, the upstream chosen.
    Forward(Box<Exchange>),
    /// An exchange that is answered already: the answer is on its way out.
    Answered(Box<Exchange>),
    /// The connection is over.
    Closed,
}

/// Receives until a head is complete, and begins its exchange.
pub fn poll(cx: &mut Context<'_>, worker: &Rc<Worker>, client: &mut Client) -> Poll<Intake> {
    worker.clock.refresh();
    let mut buffers = worker.buffers.borrow_mut();
    let buffers = &mut *buffers;
    let published = worker.published();
    let limits = published.snapshot.http.request_head;
    loop {
        let mut end = buffers.load(&client.leftover);
        let mut parse = !client.leftover.is_empty() && !client.partial;
        if !parse {
            if worker.draining.get() && client.leftover.is_empty() {
                // A request that has come already is served: the kernel is asked, since the runtime may
                // not have heard of it yet.
                if client.served > 0 && client.socket.is_alive() {
                    return Poll::Ready(Intake::Closed);
                }
                // The first request of a new connection may be on its way.
                let until = worker.drain_began_ms.get() + FIRST_REQUEST_MS;
                worker.wheel.borrow_mut().set(client.timer, until);
            }
            let received = match client.socket.poll_recv(cx, buffers.room(end)) {
                Poll::Ready(Ok(received)) if received > 0 => received,
                Poll::Ready(_) => return Poll::Ready(Intake::Closed),
                Poll::Pending => return poll_deadline(cx, worker, client, &published),
            };
            // A head that trickles in is parsed anew only when another line is complete, so that the
            // work stays in proportion to what is sent.
            let new = &buffers.scratch[end..end + received];
            end += received;
            parse =
                !client.partial || end - HEADROOM >= limits.head_size || memchr::memchr(b'\n', new).is_some();
        }
        let received = end - HEADROOM;
        let result = if parse {
            request::parse(&buffers.scratch[HEADROOM..end], &limits, &mut buffers.fields)
        } else {
            Ok(Progress::Partial)
        };
        match result {
            Ok(Progress::Complete(line)) => {
                client.leftover = Vec::new();
                client.partial = false;
                client.served += 1;
                return Poll::Ready(begin(worker, client, buffers, &published, &line, end));
            }
            Ok(Progress::Partial) => {
                keep_partial(worker, client, &published, &buffers.scratch[HEADROOM..HEADROOM + received])
            }
            Err(malformed) => {
                return Poll::Ready(refuse_head(worker, client, &published, malformed));
            }
        }
    }
}

/// Nothing more has come. A connection may wait long for a request, but a head must come quickly.
fn poll_deadline(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
) -> Poll<Intake> {
    let mut wheel = worker.wheel.borrow_mut();
    wheel.register(client.timer, cx.waker());
    let now = worker.clock.now_ms();
    if wheel.is_due(client.timer, now) {
        drop(wheel);
        if client.leftover.is_empty() {
            return Poll::Ready(Intake::Closed);
        }
        return Poll::Ready(refuse_unread(worker, client, published, Reason::HeadTimeout.into()));
    }
    Poll::Pending
}

fn keep_partial(worker: &Worker, client: &mut Client, published: &Published, received: &[u8]) {
    if !client.partial {
        let deadline = worker.clock.now_ms() + published.snapshot.http.client.head_ms;
        worker.wheel.borrow_mut().set(client.timer, deadline);
        client.partial = true;
    }
    client.leftover.clear();
    client.leftover.extend_from_slice(received);
}

fn refuse_head(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    malformed: Malformed,
) -> Intake {
    refuse_unread(worker, client, published, malformed.as_request_reason().into())
}

/// Answers a request whose head could not be read: nothing is known of it, and the connection ends,
/// since nobody knows where the next request would begin.
fn refuse_unread(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    refusal: Refusal,
) -> Intake {
    client.leftover = Vec::new();
    let mut exchange = worker.new_exchange();
    exchange.published = Some(published.clone());
    exchange.times.started_us = worker.clock.now_us();
    exchange.facts = Facts { persists: false, listener: client.listener, ..Facts::default() };
    exchange.notes.client = Some(client.peer);
    answer_refusal(worker, &mut exchange, refusal);
    Intake::Answered(exchange)
}

/// Puts the answer for a refusal in the place of a response.
pub fn answer_refusal(worker: &Worker, exchange: &mut Exchange, refusal: Refusal) {
    let close = !exchange.facts.persists;
    exchange.record.reason = Some(refusal.reason);
    exchange.response.status = refusal.reason.status();
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let out = &mut exchange.response.pending.bytes;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &Edits::default();
        let answer = Answer { date, request_id, method: facts.method, connection, edits };
        respond::refusal(out, refusal, &answer);
    });
    exchange.response.close = close;
}

/// A head is complete: everything up to the first attempt.
fn begin(
    worker: &Rc<Worker>,
    client: &mut Client,
    buffers: &mut Buffers,
    published: &Rc<Published>,
    line: &RequestLine,
    end: usize,
) -> Intake {
    let snapshot = &*published.snapshot;
    let mut exchange = worker.new_exchange();
    exchange.published = Some(published.clone());
    exchange.times.started_us = worker.clock.now_us();
    let Buffers { scratch, fields, path, host, rewritten, routing, .. } = buffers;
    let body_start = HEADROOM + line.end;
    let head_bytes = &scratch[HEADROOM..body_start];
    let head = line.view(head_bytes, fields);
    let options = ConnectionOptions::of(&head.fields);
    let worn = snapshot.http.requests_per_connection.is_some_and(|max| client.served >= max);
    let last = !options.persists(head.version);
    exchange.facts = Facts {
        method: head.method,
        version: head.version,
        persists: !last && !worn && !worker.draining.get(),
        last,
        upgrade: false,
        listener: client.listener,
    };
    let own_listener = &snapshot.listeners[client.listener as usize];
    let trusted = &own_listener.trusted;
    let origins = Origins::of(worker, trusted, client.peer, &head.fields);
    exchange.notes.client = Some(origins.peer);
    let request_id = origins.request_id;
    exchange.notes.keep([request_id.as_bytes(), b"", b"", b""]);

    let checked = check(&head, options, snapshot, path, host);
    let (identity, body) = match checked {
        Ok(checked) => checked,
        Err(refusal) => {
            // What is malformed ends the connection.
            exchange.facts.persists = false;
            answer_refusal(worker, &mut exchange, refusal);
            return Intake::Answered(exchange);
        }
    };
    if worker.logs() {
        exchange.notes.keep([request_id.as_bytes(), head.method_bytes, identity.path, identity.host]);
        exchange.notes.client = Some(origins.client(trusted, &head.fields));
    }
    let view = RequestView {
        host: identity.host,
        path: if identity.path == b"*" { b"/" } else { identity.path },
        query: identity.query.unwrap_or_default(),
        method: head.method_bytes,
        fields: head.fields,
    };
    let seed = worker.random.borrow_mut().next_u64();
    exchange.record.seed = seed;
    let decided = decide::route(snapshot, &view, routing).map_err(Refusal::from);
    let found = match decided.and_then(|found| check_route(snapshot, found, body)) {
        Ok(found) => found,
        Err(refusal) => {
            return answer_unforwarded(
                worker,
                client,
                exchange,
                body,
                &scratch[body_start..end],
                |worker, exchange| {
                    answer_refusal(worker, exchange, refusal);
                },
            );
        }
    };
    exchange.record.route = Some(found.route);
    let route = &snapshot.routes[found.route as usize];
    match &route.action {
        Action::Forward(destination) => {
            let upgrade = wants_upgrade(&head, options) && route.settings.upgrade;
            exchange.facts.upgrade = upgrade;
            let source = Source {
                head,
                bytes: head_bytes,
                list: fields,
                options,
                body,
                identity,
                matched: found.matched as usize,
                origins,
                upgrade,
            };
            request_head::write(&mut exchange.request.bytes, &source, snapshot, &route.settings, rewritten);
            forward(
                worker,
                client,
                exchange,
                destination,
                body,
                &mut Received { scratch, start: body_start, end },
            )
        }
        action => {
            // Port 0 of the document is whichever the kernel gave.
            let listener_port = match own_listener.address.port() {
                0 => client.socket.local_port(),
                port => port,
            };
            answer_unforwarded(
                worker,
                client,
                exchange,
                body,
                &scratch[body_start..end],
                |worker, exchange| {
                    answer_action(worker, exchange, action, route, &view, found, listener_port, rewritten);
                },
            )
        }
    }
}

/// What makes a request one that can be understood in one way only.
fn check<'a>(
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

/// Limits that depend on the route.
fn check_route(snapshot: &Snapshot, found: Found, body: BodyLength) -> Result<Found, Refusal> {
    let settings = &snapshot.routes[found.route as usize].settings;
    match (settings.max_body, body) {
        (Some(max), BodyLength::Known(length)) if length > max => Err(Reason::BodyTooLarge.into()),
        _ => Ok(found),
    }
}

/// An upgrade is asked for (RFC 9110 section 7.8). One to HTTP/2 is not passed on: both sides would
/// then speak a protocol that nobody looks into.
fn wants_upgrade(head: &RequestHead<'_>, options: ConnectionOptions) -> bool {
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
    destination: &Destination,
    body: BodyLength,
    received: &mut Received<'_>,
) -> Intake {
    let now = worker.clock.now_ms();
    let total_ms = exchange.route().map_or(0, |r| r.settings.timeouts.total_ms);
    exchange.times.total_deadline_ms = now.saturating_add(total_ms);
    exchange.request.replayable = true;
    let limits = exchange.published.as_ref().map_or(usize::MAX, |p| p.snapshot.http.request_head.head_size);
    exchange.body = reader(body, limits);
    match decide::upstream(destination, exchange.record.seed) {
        Ok(upstream) => exchange.record.upstream = Some(upstream),
        Err(reason) => {
            exchange.request.bytes.clear();
            let rest = &received.scratch[received.start..received.end];
            return answer_unforwarded(worker, client, exchange, body, rest, |worker, exchange| {
                answer_refusal(worker, exchange, reason.into());
            });
        }
    }
    if received.start < received.end
        && let Err(refusal) = request_body::take_received(client, &mut exchange, received)
    {
        exchange.facts.persists = false;
        answer_refusal(worker, &mut exchange, refusal);
        return Intake::Answered(exchange);
    }
    Intake::Forward(exchange)
}

fn reader(body: BodyLength, trailers_max: usize) -> BodyReader {
    match body {
        BodyLength::None => BodyReader::Done,
        BodyLength::Known(length) => BodyReader::Known(length),
        BodyLength::Chunked => BodyReader::Chunked(Box::new(Decoder::new(trailers_max))),
        BodyLength::UntilClose => BodyReader::UntilClose,
    }
}

/// The request gets an answer from here. Its body, if it has one, is not read, so the connection ends
/// with the answer; without one the bytes that follow belong to the next request.
fn answer_unforwarded(
    worker: &Rc<Worker>,
    client: &mut Client,
    mut exchange: Box<Exchange>,
    body: BodyLength,
    rest: &[u8],
    answer: impl FnOnce(&Worker, &mut Exchange),
) -> Intake {
    if body == BodyLength::None {
        client.keep(rest);
    } else {
        exchange.facts.persists = false;
        exchange.body = reader(body, 0);
    }
    answer(worker, &mut exchange);
    Intake::Answered(exchange)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a redirect come from everywhere; a struct would be used once"
)]
fn answer_action(
    worker: &Worker,
    exchange: &mut Exchange,
    action: &Action,
    route: &Route,
    view: &RequestView<'_>,
    found: Found,
    listener_port: u16,
    location: &mut Vec<u8>,
) {
    let close = !exchange.facts.persists;
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let out = &mut exchange.response.pending.bytes;
    let mut status = 0;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &route.settings.response_edits;
        let answer = Answer { date, request_id, method: facts.method, connection, edits };
        match action {
            Action::Redirect { redirect, status: code } => {
                let matched_prefix = view.path.get(..found.matched as usize).unwrap_or_default();
                let request = RedirectedRequest {
                    scheme: Scheme::Http,
                    host: view.host,
                    listener_port,
                    path: view.path,
                    matched_prefix,
                    query: view.query,
                };
                redirect_location(redirect, &request, location);
                respond::redirect(out, *code, location, &answer);
                status = *code;
            }
            Action::Respond(response) => {
                respond::fixed(out, response, &answer);
                status = response.status;
            }
            Action::Forward(_) => {}
        }
    });
    exchange.response.status = status;
    exchange.response.close = close;
    exchange.record.reason = Some(if matches!(action, Action::Redirect { .. }) {
        Reason::Redirect
    } else {
        Reason::FixedResponse
    });
}
