//! Both directions of an exchange at once, for as long as it takes: so that a response may begin
//! before the request has ended, interim responses pass, and either side may be the slow one.

use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http1::Malformed;
use tollgate_runtime::wheel::NEVER;

use super::client::Client;
use super::{mirror, request_body, response_body};
use crate::buffers::{Buffers, HEADROOM};
use crate::exchange::{Exchange, Phase, WaitingFor};
use crate::worker::Worker;

/// When a client that the reactor does not know is looked at for the first time during an exchange.
const LOOK_MS: u64 = 100;

/// Whether a direction got anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Bytes moved; there may be more.
    Yes,
    /// Both sides have to be waited for.
    No,
}

/// Why forwarding ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// What exactly is wrong, where that says more than the reason.
    pub detail: Option<&'static str>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}

impl Failure {
    /// The endpoint's response is malformed.
    pub fn response(malformed: Malformed) -> Self {
        Self { reason: malformed.as_response_reason(), detail: Some(malformed.in_response()) }
    }
}

/// Moves bytes in both directions until the exchange is over, or fails.
pub fn poll(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<Result<(), Failure>> {
    worker.clock.refresh();
    let mut buffers = worker.buffers.borrow_mut();
    let mut moved = false;
    loop {
        let up = request_body::poll(cx, client, exchange, &mut buffers)?;
        mirror::look(worker, client, exchange);
        let down = response_body::poll(cx, worker, client, exchange, &mut buffers)?;
        if is_over(exchange) {
            return Poll::Ready(Ok(()));
        }
        if up == Moved::No && down == Moved::No {
            break;
        }
        moved = true;
    }
    client.link.flush(cx);
    if let Some(link) = exchange.attempt.as_mut().and_then(|attempt| attempt.link.as_mut()) {
        link.flush(cx);
    }
    watch_client(cx, client, exchange, &mut buffers)?;
    drop(buffers);
    poll_deadline(cx, worker, client, exchange, moved)
}

fn is_over(exchange: &Exchange) -> bool {
    let response = &exchange.response;
    if response.is_staged() {
        return true;
    }
    if !response.pending.pending().is_empty() {
        return false;
    }
    match response.phase {
        Phase::Head | Phase::Body => false,
        Phase::Complete => true,
        Phase::Tunnel => {
            let up = exchange.body.is_done() && exchange.request.pending().is_empty();
            response.body.is_done() && (up || exchange.request.broken)
        }
    }
}

/// Looks at the client while only the endpoint has something to do. Requests sent ahead are kept, one
/// buffer full at most; a client that has closed its side may still read the response; one that has
/// reset the connection will not.
pub fn watch_client(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &Exchange,
    buffers: &mut Buffers,
) -> Result<(), Failure> {
    if client.link.poll_cancelled(cx).is_ready() {
        return Err(client.link.client_gone().into());
    }
    if client.link.is_stream()
        || !exchange.body.is_done()
        || client.half_closed
        || !client.leftover.is_empty()
    {
        return Ok(());
    }
    // A client that the reactor does not know is left alone at first: most answers come at once.
    if !client.link.is_registered() && exchange.times.nearest_ms == NEVER {
        return Ok(());
    }
    match client.link.poll_recv(cx, buffers.room(HEADROOM)) {
        Poll::Ready(Ok(0)) => client.half_closed = true,
        Poll::Ready(Ok(received)) => client.keep(&buffers.scratch[HEADROOM..HEADROOM + received]),
        Poll::Ready(Err(_)) => return Err(Reason::ClientClosed.into()),
        Poll::Pending => {}
    }
    Ok(())
}

fn poll_deadline(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &Client,
    exchange: &mut Exchange,
    moved: bool,
) -> Poll<Result<(), Failure>> {
    let now = worker.clock.now_ms();
    let grace_ends = worker.grace_ends(exchange.response.phase == Phase::Tunnel);
    if grace_ends <= now {
        worker.note_cut();
        return Poll::Ready(Err(Reason::Draining.into()));
    }
    if moved || exchange.times.nearest_ms == NEVER {
        (exchange.times.nearest_ms, exchange.times.waiting_for) = next_deadline(exchange, now);
    } else if exchange.times.nearest_ms <= now {
        return Poll::Ready(Err(exchange.times.waiting_for.reason().into()));
    }
    let wake_at = match client.link.is_registered() {
        true => exchange.times.nearest_ms.min(grace_ends),
        // Nobody would hear of its end: look soon.
        false => exchange.times.nearest_ms.min(grace_ends).min(now + LOOK_MS),
    };
    let mut wheel = worker.wheel.borrow_mut();
    wheel.set(client.timer, wake_at);
    wheel.register(client.timer, cx.waker());
    Poll::Pending
}

/// What the exchange waits for now, and until when.
fn next_deadline(exchange: &Exchange, now: u64) -> (u64, WaitingFor) {
    let Some((published, route)) = exchange.published.as_ref().zip(exchange.route()) else {
        return (NEVER, WaitingFor::Total);
    };
    let (client, upstream) = (&published.snapshot.http.client, &route.settings.timeouts);
    let (span, waiting_for) = if exchange.response.phase == Phase::Tunnel {
        (upstream.tunnel_idle_ms, WaitingFor::Upstream)
    } else if exchange.response.has_pending() {
        (client.write_ms, WaitingFor::Client)
    } else if exchange.response.phase != Phase::Head || !exchange.request.pending().is_empty() {
        (upstream.idle_ms, WaitingFor::Upstream)
    } else if !exchange.body.is_done() && !exchange.awaits_continue() {
        (client.body_ms, WaitingFor::RequestBody)
    } else {
        (upstream.first_byte_ms, WaitingFor::FirstByte)
    };
    let mut nearest = (now.saturating_add(span), waiting_for);
    if exchange.response.phase != Phase::Tunnel {
        for limit in [
            (exchange.times.try_deadline_ms, WaitingFor::Try),
            (exchange.times.total_deadline_ms, WaitingFor::Total),
        ] {
            if limit.0 < nearest.0 {
                nearest = limit;
            }
        }
    }
    if nearest.1 == WaitingFor::Total && exchange.times.call_ms <= nearest.0 {
        nearest.1 = WaitingFor::Deadline;
    }
    // Where all are switched off too: `NEVER` stands for a wait that has not been looked at yet.
    (nearest.0.min(NEVER - 1), nearest.1)
}
