//! The way up: request bytes from the client to the endpoint.

use std::task::{Context, Poll};

use tollgate_decision::Reason;

use super::Refusal;
use super::begin::Received;
use super::body::{self, Block};
use super::client::Client;
use super::forward::{Failure, Moved};
use crate::buffers::{Buffers, HEADROOM};
use crate::exchange::{BodyReader, BodyWriter, Exchange, Phase};

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
    let writer = match exchange.body {
        BodyReader::Chunked(_) => BodyWriter::Chunked,
        _ => BodyWriter::Plain,
    };
    let block = body::take(&mut exchange.body, writer, scratch, start, end, &mut client.leftover)
        .map_err(|m| m.as_request_reason())?;
    exchange.bytes.received += block.data;
    let max = exchange.route().and_then(|r| r.settings.max_body);
    if exchange.response.phase != Phase::Tunnel && max.is_some_and(|max| exchange.bytes.received > max) {
        return Err(Reason::BodyTooLarge);
    }
    Ok(block)
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
        if exchange.body.is_done() || client.half_closed {
            return Ok(moved);
        }
        match receive(cx, client, exchange, buffers)? {
            Poll::Ready(()) => moved = Moved::Yes,
            Poll::Pending => return Ok(moved),
        }
    }
}

/// An endpoint that takes no more bytes may have answered already, so its answer decides what becomes
/// of the exchange.
fn send_pending(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<()> {
    let Some(attempt) = &mut exchange.attempt else { return Poll::Pending };
    let Some(socket) = &mut attempt.socket else { return Poll::Pending };
    match socket.poll_send(cx, exchange.request.pending()) {
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
        match client.socket.poll_recv(cx, buffers.room(HEADROOM)) {
            Poll::Ready(Ok(0)) => return client_closed(cx, client, exchange),
            Poll::Ready(Ok(received)) => HEADROOM + received,
            Poll::Ready(Err(_)) => return Err(Failure::from(Reason::ClientClosed)),
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
        && let Some(socket) = &mut attempt.socket
    {
        match socket.poll_send(cx, bytes) {
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
    Ok(Poll::Ready(()))
}

/// The client sends nothing more. In a tunnel that is passed on; in a body it is a cut.
fn client_closed(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<Poll<()>, Failure> {
    if exchange.response.phase != Phase::Tunnel {
        return Err(Failure::from(Reason::ClientClosed));
    }
    client.half_closed = true;
    exchange.body = BodyReader::Done;
    if let Some(socket) = exchange.attempt.as_mut().and_then(|a| a.socket.as_mut()) {
        // A socket that cannot be shut down is closed already.
        let _ = socket.poll_shutdown(cx);
    }
    Ok(Poll::Ready(()))
}
