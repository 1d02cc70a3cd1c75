//! A client connection from its first request to its last. The steps of an exchange stand here in
//! their order.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::{Reason, Side};

use super::account::account;
use super::answer::{answer_instead, answer_refusal};
use super::client::Client;
use super::handshake::{self, Spoken};
use super::intake::{self, Intake};
use super::{attempt, forward, gate, grpc, hedge, http2, mirror, rescue, retry, stage};
use crate::buffers::HEADROOM;
use crate::exchange::{Exchange, Phase};
use crate::worker::Worker;

/// How long a connection that ends with an answer is read on, so that the client gets the answer
/// before it hears that nobody took the rest of what it sent.
const LINGER_MS: u64 = 5_000;
/// How much is read and thrown away meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Serves the requests of a connection, one after the other.
///
/// Not an `async fn`: one would hold its argument twice, as it came and as the variable it becomes, and
/// this future is what an idle connection costs.
#[expect(clippy::manual_async_fn, reason = "see above")]
pub fn connection(mut client: Client) -> impl Future<Output = ()> {
    async move {
        // Boxed: what only some connections need would lie in each of them otherwise.
        let spoken = match handshake::has_prelude(&client) {
            true => Box::pin(handshake::shake(&mut client)).await,
            false => Some(Spoken::Http1),
        };
        begin(&client);
        let mut next = match spoken {
            None => Next::End,
            Some(Spoken::Http1) => Next::Request,
            Some(Spoken::Http2) => Next::Http2,
        };
        while let Next::Request = next {
            next = serve_next(&mut client).await;
        }
        if let Next::Http2 = next {
            Box::pin(http2::connection(&mut client)).await;
        }
        say_goodbye(&mut client).await;
        client.listener.series.closed.add(1);
    }
}

/// What a connection carries next.
enum Next {
    /// A request.
    Request,
    /// HTTP/2; what has come of it is the client's leftover.
    Http2,
    /// Nothing more.
    End,
}

/// Tells a TLS client that the end is meant, as far as that can be said at once.
async fn say_goodbye(client: &mut Client) {
    if client.secured.is_some() {
        poll_fn(|cx| {
            let _ = client.link.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}

/// Serves the one request of a stream.
pub async fn stream(mut client: Client) {
    client.worker().clock.refresh();
    // Whoever opens streams only to cancel them must not reach an endpoint with that.
    let cancelled = poll_fn(|cx| Poll::Ready(client.link.poll_cancelled(cx).is_ready())).await;
    if !cancelled {
        serve_next(&mut client).await;
    }
}

fn begin(client: &Client) {
    let worker = client.worker();
    worker.clock.refresh();
    let head_ms = worker.published.borrow().snapshot.http.client.head_ms;
    worker.wheel.borrow_mut().set(client.timer, worker.clock.now_ms() + head_ms);
}

/// Serves one request, and tells what may come after it.
async fn serve_next(client: &mut Client) -> Next {
    let mut exchange = match receive(client).await {
        Intake::Forward(mut exchange) => {
            let worker = client.worker().clone();
            let held = match exchange.gate.as_deref().is_some_and(|gate| gate.body.is_some()) {
                true => Box::pin(gate::hold(client, &mut exchange)).await,
                false => Ok(()),
            };
            stage::next().await;
            let forwarded = match held {
                Ok(()) => forward(&worker, client, &mut exchange).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = forwarded {
                exchange.facts.persists &= client.draining_since().is_none();
                answer_failure(&worker, &mut exchange, reason);
            }
            exchange
        }
        Intake::Answered(exchange) => exchange,
        Intake::Http2 => return Next::Http2,
        Intake::Closed | Intake::Waits(..) => return Next::End,
    };
    let worker = client.worker().clone();
    if exchange.response.is_staged() {
        stage::next().await;
    }
    let sent = poll_fn(|cx| poll_send_answer(cx, &worker, client, &mut exchange)).await;
    if let Err(reason) = sent {
        let failure = exchange.record.reason.filter(|r| r.is_failure());
        exchange.record.reason = Some(failure.unwrap_or(reason));
    }
    account(client, &exchange);
    mirror::ended(client, &mut exchange);
    let failed = exchange.record.reason.is_some_and(Reason::is_failure);
    let unread = !exchange.body.is_done() || !exchange.facts.persists && failed;
    // What is left of a body must not be taken for the next request.
    let close = sent.is_err() || unread || exchange.response.close || client.half_closed;
    // Bytes that may still come: closing over them would reset the connection under the answer.
    let more = unread || !exchange.facts.last && !client.half_closed;
    worker.recycle(exchange);
    if close {
        if sent.is_ok() && more && !client.link.is_stream() {
            Box::pin(linger(&worker, client)).await;
        }
        return Next::End;
    }
    await_next(&worker, client);
    Next::Request
}

/// Receives a request, up to where its route's policies have let it pass.
async fn receive(client: &mut Client) -> Intake {
    let received = poll_fn(|cx| {
        let worker = client.worker().clone();
        intake::poll(cx, &worker, client)
    });
    match received.await {
        // Boxed: few requests wait.
        Intake::Waits(paused) => Box::pin(gate::wait_through(client, paused)).await,
        intake => intake,
    }
}

/// Attempts at endpoints until one has answered, or none may be made any more.
async fn forward(worker: &Rc<Worker>, client: &mut Client, exchange: &mut Exchange) -> Result<(), Reason> {
    let mut fresh = false;
    loop {
        // Boxed: most exchanges find an endpoint. What stopped it would lie in every connection's future too.
        let stopped = attempt::begin(worker, exchange).err();
        if let Some(placed) =
            stopped.map(|stopped| Box::pin(rescue::unplaced(worker, client, exchange, stopped)))
        {
            placed.await?;
            continue;
        }
        let connected = if !fresh && attempt::lease(worker, exchange) {
            Ok(())
        } else {
            // Boxed: opening is rare, and its state would lie in every connection's otherwise.
            Box::pin(attempt::connect(worker, client, exchange)).await
        };
        let result = match connected {
            Ok(()) => {
                let forwarded = match hedge::delay_ms(exchange) {
                    None => poll_fn(|cx| forward::poll(cx, worker, client, exchange)).await,
                    // Boxed: few routes want it.
                    Some(delay_ms) => Box::pin(hedge::forward(worker, client, exchange, delay_ms)).await,
                };
                forwarded.map_err(|failure| {
                    exchange.record.detail = failure.detail;
                    failure.reason
                })
            }
            Err(reason) => Err(reason),
        };
        let Err(reason) = result else {
            let upgraded = exchange.response.phase == Phase::Tunnel;
            let reason = if upgraded { Reason::Upgraded } else { Reason::Forwarded };
            exchange.record.reason = Some(reason);
            let end_us = exchange.since_start(worker.clock.now_us());
            exchange.record.attempt_ended(reason, end_us);
            attempt::release(worker, exchange);
            return Ok(());
        };
        Box::pin(retry::prepare(worker, client, exchange, reason)).await?;
        // It was about the attempt that failed.
        exchange.record.detail = None;
        fresh = true;
    }
}

/// No endpoint's response will come, or the one that came cannot be finished.
fn answer_failure(worker: &Worker, exchange: &mut Exchange, reason: Reason) {
    exchange.attempt = None;
    exchange.retries.active = None;
    exchange.retries.place.leave();
    exchange.record.reason = Some(reason);
    exchange.response.pipe = None;
    // After interim responses there can still be a final one.
    let begun = exchange.response.begun && exchange.response.phase != Phase::Head;
    if begun && exchange.facts.call && reason.side() != Side::Client {
        // A call's status stands behind its messages, so its failure can still be told.
        exchange.response.pending.bytes.clear();
        exchange.response.pending.sent = 0;
        exchange.response.pending.trailers.clear();
        grpc::status_lines(&mut exchange.response.pending.trailers, reason.into());
        return;
    }
    if begun || reason.status() == 0 {
        // The client has the start of a response. It must not take that for the whole: what is waiting
        // is thrown away, and the connection reset.
        exchange.response.close = true;
        exchange.response.cut = true;
        exchange.response.pending.bytes.clear();
        exchange.response.pending.sent = 0;
        return;
    }
    // The rest of a body that nobody reads would be taken for the next request.
    exchange.facts.persists &= exchange.body.is_done();
    if let Some(response) = rescue::fixed_response(exchange, reason) {
        return answer_instead(worker, exchange, reason, &response);
    }
    // What exactly an endpoint did wrong is for the operator, not for the client.
    let detail = exchange.record.detail;
    answer_refusal(worker, exchange, reason.into());
    exchange.record.detail = detail;
}

fn poll_send_answer(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<Result<(), Reason>> {
    worker.clock.refresh();
    if exchange.response.cut {
        client.link.cut();
        return Poll::Ready(Err(Reason::ClientClosed));
    }
    let mut moved = false;
    let pending = &mut exchange.response.pending;
    while !pending.pending().is_empty() {
        match client.link.poll_send(cx, pending.pending()) {
            Poll::Ready(Ok(sent)) => pending.sent += sent,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(client.link.client_gone())),
            Poll::Pending => return poll_write_deadline(cx, worker, client, exchange, moved),
        }
        moved = true;
    }
    match client.link.poll_finish(cx, &pending.trailers) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(_)) => Poll::Ready(Err(client.link.client_gone())),
        Poll::Pending => poll_write_deadline(cx, worker, client, exchange, moved),
    }
}

fn poll_write_deadline(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    moved: bool,
) -> Poll<Result<(), Reason>> {
    client.link.flush(cx);
    let now = worker.clock.now_ms();
    let mut wheel = worker.wheel.borrow_mut();
    wheel.register(client.timer, cx.waker());
    if moved || !exchange.response.answering {
        exchange.response.answering = true;
        let write_ms = exchange.published.as_ref().map_or(0, |p| p.snapshot.http.client.write_ms);
        wheel.set(client.timer, now + write_ms);
    } else if wheel.is_due(client.timer, now) {
        return Poll::Ready(Err(Reason::ClientStalled));
    }
    Poll::Pending
}

/// Reads on for a moment after the last answer, and throws away what comes.
async fn linger(worker: &Rc<Worker>, client: &mut Client) {
    let deadline = worker.clock.now_ms() + LINGER_MS;
    worker.wheel.borrow_mut().set(client.timer, deadline);
    let mut read = 0;
    poll_fn(|cx| {
        worker.clock.refresh();
        // A connection that cannot be shut down is gone.
        if client.link.poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        let mut buffers = worker.buffers.borrow_mut();
        while read < LINGER_BYTES {
            match client.link.poll_recv(cx, buffers.room(HEADROOM)) {
                Poll::Ready(Ok(received)) if received > 0 => read += received,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let mut wheel = worker.wheel.borrow_mut();
                    wheel.register(client.timer, cx.waker());
                    let due = wheel.is_due(client.timer, worker.clock.now_ms());
                    return if due { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Between two requests.
fn await_next(worker: &Worker, client: &mut Client) {
    let published = worker.published.borrow();
    let deadline = worker.clock.now_ms() + published.snapshot.http.client.idle_ms;
    worker.wheel.borrow_mut().set(client.timer, deadline);
}

#[cfg(test)]
mod tests {
    use super::{Client, connection};

    fn future_size<F: Future>(_: impl Fn(Client) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection is this future and little else, so its size is what 10,000 of them cost.
    #[test]
    fn a_waiting_connection_is_small() {
        let size = future_size(connection);
        assert!(size <= 288, "{size} bytes");
    }
}
