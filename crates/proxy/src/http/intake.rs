//! From bytes to a head: receive until one is complete, within its limits and in time.

use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http1::{HeadLimits, Malformed, Progress, request};
use tollgate_http3::Ended;
use tollgate_message::FieldList;
use tollgate_policy::Wait;

use super::Refusal;
use super::answer::answer_refusal;
use super::begin::{Arrived, begin};
use super::client::Client;
use super::forwarded::make_id;
use crate::buffers::HEADROOM;
use crate::exchange::{Exchange, Facts};
use crate::recorder;
use crate::worker::{Published, Worker};

/// How long a draining worker waits for the first request of a connection.
const FIRST_REQUEST_MS: u64 = 1_000;

/// What came in.
pub enum Intake {
    /// An exchange to forward: the request is written, the upstream chosen.
    Forward(Box<Exchange>),
    /// An exchange that is answered already: the answer is on its way out.
    Answered(Box<Exchange>),
    /// An exchange whose route's policies wait for something. What came of it is the client's leftover.
    Waits(Box<Paused>),
    /// The client speaks HTTP/2 (RFC 9113 section 3.3); what has come of it is its leftover.
    Http2,
    /// The connection is over.
    Closed,
}

/// An exchange that waits in the middle of its route's policies.
pub struct Paused {
    /// The exchange.
    pub exchange: Box<Exchange>,
    /// What for.
    pub wait: Wait,
}

/// How an HTTP/2 connection begins: a head of HTTP/1 as nobody else writes it (RFC 9113 section 3.4).
const PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

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
            if let Some(since) = client.draining_since().filter(|_| client.leftover.is_empty()) {
                // A request that has come already is served: the kernel is asked, since the runtime may
                // not have heard of it yet.
                let waits_end = client.waits_end();
                let waits = worker.clock.now_ms() < waits_end;
                if client.served > 0 && !waits && client.link.is_alive() {
                    return Poll::Ready(Intake::Closed);
                }
                // The first request of a new connection may be on its way, or one that the runtime has not heard of.
                let until = if waits { waits_end } else { since.max(waits_end) + FIRST_REQUEST_MS };
                worker.wheel.borrow_mut().set(client.timer, until);
            }
            let received = match client.link.poll_recv(cx, buffers.room(end)) {
                Poll::Ready(Ok(received)) if received > 0 => received,
                Poll::Ready(_) if client.partial && !client.leftover.is_empty() => {
                    return Poll::Ready(closed_early(worker, client, &published));
                }
                Poll::Ready(Err(error)) if client.link.is_stream() => {
                    tell_refused(worker, client, &error);
                    return Poll::Ready(Intake::Closed);
                }
                Poll::Ready(_) => return Poll::Ready(Intake::Closed),
                Poll::Pending if ends_idle(client) => return Poll::Ready(Intake::Closed),
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
                let arrived = &mut Arrived { buffers, line, end };
                return Poll::Ready(begin(worker, client, &published, arrived));
            }
            Ok(Progress::Partial) => {
                keep_partial(worker, client, &published, &buffers.scratch[HEADROOM..HEADROOM + received])
            }
            Err(malformed) => {
                let received = &buffers.scratch[HEADROOM..end];
                match preface(client, received) {
                    Preface::Whole => {
                        client.leftover = received.to_vec();
                        return Poll::Ready(Intake::Http2);
                    }
                    Preface::Begun => keep_partial(worker, client, &published, received),
                    Preface::None => {
                        return Poll::Ready(refuse(worker, client, &published, received, malformed));
                    }
                }
            }
        }
    }
}

/// A stream whose head was refused, and answered, where it was read.
fn tell_refused(worker: &Worker, client: &Client, error: &std::io::Error) {
    let Some(ended) = error.get_ref().and_then(|inner| inner.downcast_ref::<Ended>()) else { return };
    worker.published.borrow().shard.reason(ended.reason).add(1);
    let server_name = client.secured.as_ref().and_then(|secured| secured.server_name.as_deref());
    let (listener, peer) = (&client.listener, client.peer);
    recorder::ended_connection(listener, peer, ended.reason.into(), server_name, &make_id(worker));
}

/// How much of the start of an HTTP/2 connection has come.
enum Preface {
    Whole,
    Begun,
    None,
}

/// Whether what came is no head because it begins HTTP/2. Over TLS that is agreed upon before.
#[cold]
fn preface(client: &Client, received: &[u8]) -> Preface {
    if client.served > 0 || client.secured.is_some() || !client.listener.speaks_http2() {
        Preface::None
    } else if received.starts_with(PREFACE_HEAD) {
        Preface::Whole
    } else if PREFACE_HEAD.starts_with(received) {
        Preface::Begun
    } else {
        Preface::None
    }
}

/// Refuses what is no head, and keeps of it what shows why.
fn refuse(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    received: &[u8],
    malformed: Malformed,
) -> Intake {
    let limits = published.snapshot.http.request_head;
    let bytes = match worker.records() {
        true => evidence_of(received, &limits, malformed),
        false => &[],
    };
    refuse_unread(worker, client, published, malformed.as_request_reason().into(), bytes)
}

/// Whether a drain ends the connection: it has carried a request, and no byte of another has come. The
/// kernel is asked, since what has come may not have been heard of yet, and would be lost.
fn ends_idle(client: &Client) -> bool {
    client.draining_since().is_some()
        && client.served > 0
        && client.leftover.is_empty()
        && client.worker().clock.now_ms() >= client.waits_end()
        && client.link.is_alive()
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
        let received = std::mem::take(&mut client.leftover);
        let refusal = Reason::HeadTimeout.into();
        return Poll::Ready(refuse_unread(worker, client, published, refusal, &received));
    }
    Poll::Pending
}

fn keep_partial(worker: &Worker, client: &mut Client, published: &Published, mut received: &[u8]) {
    // Empty lines before a request are nothing, and must not add up to something.
    while let Some(rest) = received.strip_prefix(b"\r\n") {
        received = rest;
    }
    if received.is_empty() {
        client.leftover.clear();
        client.partial = false;
        return;
    }
    if !client.partial {
        let deadline = worker.clock.now_ms() + published.snapshot.http.client.head_ms;
        worker.wheel.borrow_mut().set(client.timer, deadline);
        client.partial = true;
    }
    client.leftover.clear();
    client.leftover.extend_from_slice(received);
}

/// The part of what was received that shows what is wrong with it: up to the first empty line, or as much as a
/// head may have, if that is refused for the same reason; a body should not be kept.
fn evidence_of<'a>(received: &'a [u8], limits: &HeadLimits, malformed: Malformed) -> &'a [u8] {
    let blank = memchr::memmem::find(received, b"\r\n\r\n").map_or(received.len(), |at| at + 4);
    let shorter = [blank, limits.head_size].into_iter().filter(|end| *end < received.len());
    let mut sufficient = shorter.map(|end| &received[..end]).filter(|part| {
        let again = request::parse(part, limits, &mut FieldList::default());
        again.is_err_and(|again| again.as_request_reason() == malformed.as_request_reason())
    });
    sufficient.next().unwrap_or(received)
}

/// The client has closed its connection, or at least its side of it, in the middle of a head. There is nobody to
/// answer to, but there is something to tell: the exchange ends before it began.
fn closed_early(worker: &Rc<Worker>, client: &mut Client, published: &Rc<Published>) -> Intake {
    let received = std::mem::take(&mut client.leftover);
    let mut exchange = unread(worker, client, published, &received);
    exchange.record.reason = Some(Reason::ClientClosed);
    exchange.record.detail = Some("the client closed its connection in the middle of a request's head");
    exchange.response.close = true;
    client.half_closed = true;
    Intake::Answered(exchange)
}

/// Answers a request whose head could not be read: nothing is known of it, and the connection ends,
/// since nobody knows where the next request would begin.
fn refuse_unread(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    refusal: Refusal,
    received: &[u8],
) -> Intake {
    let mut exchange = unread(worker, client, published, received);
    answer_refusal(worker, &mut exchange, refusal);
    Intake::Answered(exchange)
}

/// The exchange of a head that could not be read.
fn unread(
    worker: &Rc<Worker>,
    client: &mut Client,
    published: &Rc<Published>,
    received: &[u8],
) -> Box<Exchange> {
    client.leftover = Vec::new();
    let mut exchange = worker.new_exchange();
    exchange.published = Some(published.clone());
    client.listener.exchange_begins();
    exchange.times.started_us = worker.clock.now_us();
    exchange.facts = Facts { persists: false, ..Facts::default() };
    exchange.notes.client = Some(client.peer);
    exchange.notes.wanted = worker.log.borrow().is_wanted();
    exchange.notes.keep([&make_id(worker), b"", b"", b""]);
    if worker.records() {
        exchange.evidence.begin(received);
    }
    exchange
}
