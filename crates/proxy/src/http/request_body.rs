//! The way up: request bytes from the client to the endpoint.

use std::task::{Context, Poll};

use tollgate_decision::Reason;

use super::Refusal;
use super::begin::Received;
use super::body::{self, Block};
use super::client::Client;
use super::forward::{Failure, Moved};
use crate::buffers::{Buffers, HEADROOM};
use crate::exchange::{BodyReader, Exchange, Phase};

/// Takes over the part of the body that was received together with the head.
/// What belongs to later requests stays with the client.
pub fn take_received(
    client: &mut Client,
    exchange: &mut Exchange,
    received: &mut Received<'_>,
) -> Result<(), Refusal> {
    let block =
        take(client, exchange, received.scratch, received.start, received.end).map_err(Refusal::from)?;
    exchange.request.bytes.extend_from_slice(&received.scratch[block.range]);
    exchange.request.bytes.extend_from_slice(&block.tail);
    keep_trailers(exchange, block.trailers);
    if exchange.request.bytes.len() > replay_max(exchange) {
        exchange.request.replayable = false;
    }
    Ok(())
}

fn take(
    client: &mut Client,
    exchange: &mut Exchange,
    scratch: &mut [u8],
    start: usize,
    end: usize,
) -> Result<Block, Reason> {
    let edits = exchange.gate.as_deref().map(|gate| &gate.request);
    let writer = exchange.request.writer;
    let block = body::take(&mut exchange.body, writer, scratch, start, end, &mut client.leftover, edits)
        .map_err(|m| m.as_request_reason())?;
    exchange.bytes.received += block.data;
    if let Some(check) = exchange.gate.as_deref_mut().and_then(|gate| gate.body.as_mut()) {
        if exchange.bytes.received > check.limit() as u64 {
            return Err(Reason::BodyTooLarge);
        }
        check.part(&scratch[block.content.clone()]);
    }
    let max = exchange.route().and_then(|r| r.settings.max_body);
    if exchange.response.phase != Phase::Tunnel && max.is_some_and(|max| exchange.bytes.received > max) {
        return Err(Reason::BodyTooLarge);
    }
    Ok(block)
}

fn keep_trailers(exchange: &mut Exchange, trailers: Vec<u8>) {
    if !trailers.is_empty() {
        exchange.request.trailers = trailers;
    }
}

fn replay_max(exchange: &Exchange) -> usize {
    exchange.route().map_or(0, |r| r.settings.retry.replay_bytes)
}

/// Moves request bytes as far as they go now.
pub fn poll(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
) -> Result<Moved, Failure> {
    let mut moved = Moved::No;
    loop {
        if exchange.request.broken {
            return Ok(moved);
        }
        if !exchange.request.pending().is_empty() {
            match send_pending(cx, exchange) {
                Poll::Ready(()) => moved = Moved::Yes,
                Poll::Pending => return Ok(moved),
            }
            continue;
        }
        if !exchange.request.replayable {
            exchange.request.forget_sent();
        }
        if exchange.body.is_done() {
            finish(cx, exchange);
            return Ok(moved);
        }
        if client.half_closed {
            return Ok(moved);
        }
        match receive(cx, client, exchange, buffers)? {
            Poll::Ready(()) => moved = Moved::Yes,
            Poll::Pending => return Ok(moved),
        }
    }
}

/// Receives body bytes while there is nobody to send them to.
pub fn poll_hold(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
) -> Poll<Result<(), Failure>> {
    while !exchange.body.is_done() {
        if receive(cx, client, exchange, buffers)?.is_pending() {
            return Poll::Pending;
        }
    }
    Poll::Ready(Ok(()))
}

/// Everything is sent: tells the end where that is told beside the bytes.
fn finish(cx: &mut Context<'_>, exchange: &mut Exchange) {
    let Some(link) = exchange.attempt.as_mut().and_then(|attempt| attempt.link.as_mut()) else { return };
    if let Poll::Ready(Err(_)) = link.poll_finish(cx, &exchange.request.trailers) {
        exchange.request.broken = true;
    }
}

/// An endpoint that takes no more bytes may have answered already, so its answer decides what becomes
/// of the exchange.
fn send_pending(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<()> {
    let Some(attempt) = &mut exchange.attempt else { return Poll::Pending };
    let Some(link) = &mut attempt.link else { return Poll::Pending };
    match link.poll_send(cx, exchange.request.pending()) {
        Poll::Ready(Ok(sent)) => {
            exchange.request.sent += sent;
            attempt.sent_any |= sent > 0;
            Poll::Ready(())
        }
        Poll::Ready(Err(_)) => {
            exchange.request.broken = true;
            Poll::Ready(())
        }
        Poll::Pending => Poll::Pending,
    }
}

/// Receives body bytes from the client and sends them on; what the endpoint does not take at once
/// waits in the exchange, and nothing more is received until it has left.
fn receive(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
) -> Result<Poll<()>, Failure> {
    let end = if client.leftover.is_empty() {
        match client.link.poll_recv(cx, buffers.room(HEADROOM)) {
            Poll::Ready(Ok(0)) => return client_ended(cx, client, exchange),
            Poll::Ready(Ok(received)) => HEADROOM + received,
            Poll::Ready(Err(_)) => return Err(Failure::from(client.link.client_gone())),
            Poll::Pending => return Ok(Poll::Pending),
        }
    } else {
        let end = buffers.load(&client.leftover);
        client.leftover.clear();
        end
    };
    let block = take(client, exchange, &mut buffers.scratch, HEADROOM, end).map_err(Failure::from)?;
    let bytes = &buffers.scratch[block.range];
    let request = &mut exchange.request;
    let replay_max = exchange
        .published
        .as_ref()
        .zip(exchange.record.route)
        .map_or(0, |(p, route)| p.snapshot.routes[route as usize].settings.retry.replay_bytes);
    if request.replayable && request.bytes.len() + bytes.len() + block.tail.len() > replay_max {
        request.replayable = false;
        request.forget_sent();
    }
    let mut sent = 0;
    if !request.replayable
        && let Some(attempt) = &mut exchange.attempt
        && let Some(link) = &mut attempt.link
    {
        match link.poll_send(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                sent = count;
                attempt.sent_any = true;
            }
            Poll::Ready(Err(_)) => request.broken = true,
            Poll::Pending => {}
        }
    }
    if !request.broken {
        request.bytes.extend_from_slice(&bytes[sent..]);
        request.bytes.extend_from_slice(&block.tail);
    }
    keep_trailers(exchange, block.trailers);
    Ok(Poll::Ready(()))
}

/// The client sends nothing more. A stream has ended with that. In a tunnel it is passed on; in a body it is
/// a cut.
fn client_ended(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<Poll<()>, Failure> {
    if let (BodyReader::Stream, false) = (&exchange.body, exchange.response.phase == Phase::Tunnel) {
        exchange.body = BodyReader::Done;
        let edits = exchange.gate.as_deref().map(|gate| &gate.request);
        let trailers = body::without_edited(client.link.take_trailers(), edits);
        body::finish(&mut exchange.request, trailers);
        return Ok(Poll::Ready(()));
    }
    if exchange.response.phase != Phase::Tunnel {
        return Err(Failure::from(Reason::ClientClosed));
    }
    client.half_closed = true;
    exchange.body = BodyReader::Done;
    if let Some(link) = exchange.attempt.as_mut().and_then(|a| a.link.as_mut()) {
        // What cannot be shut down is closed already.
        let _ = link.poll_shutdown(cx);
    }
    Ok(Poll::Ready(()))
}
