//! The way down: response bytes from the endpoint to the client.

use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http1::chunked::Decoder;
use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::response::{self, StatusLine};
use tollgate_http1::{Progress, encode, framing};
use tollgate_message::{BodyLength, FieldList, Fields, ResponseHead, Version};
use tollgate_runtime::splice::Pipe;
use tollgate_upstream::{Failure as EndpointFailure, Outcome};

use super::Refusal;
use super::admit;
use super::body;
use super::client::Client;
use super::forward::{Failure, Moved};
use super::grpc;
use super::hedge;
use super::log;
use super::rescue;
use super::response_head::{self, Source};
use super::session;
use super::stage::STAGED_MAX;
use super::tally;
use crate::buffers::{Buffers, HEADROOM, RECEIVE};
use crate::exchange::{BodyReader, BodyWriter, Exchange, Phase};
use crate::link::{self, Link};
use crate::worker::Worker;

/// From so many missing bytes on, a body of known length moves inside the kernel.
const SPLICE_MIN: u64 = RECEIVE as u64;

/// Moves response bytes as far as they go now.
pub fn poll(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
) -> Result<Moved, Failure> {
    let mut moved = Moved::No;
    loop {
        if exchange.response.is_staged() {
            return Ok(Moved::Yes);
        }
        match send_waiting(cx, client, exchange)? {
            Poll::Ready(sent) => {
                if sent {
                    moved = Moved::Yes;
                }
            }
            Poll::Pending => return Ok(moved),
        }
        if exchange.response.phase == Phase::Body && exchange.response.body.is_done() {
            exchange.response.phase = Phase::Complete;
            release_pipe(worker, exchange);
            return Ok(Moved::Yes);
        }
        let finished = exchange.response.phase == Phase::Complete
            || (exchange.response.phase == Phase::Tunnel && exchange.response.body.is_done());
        if finished {
            return Ok(moved);
        }
        let received = if may_splice(worker, client, exchange) {
            splice_in(cx, exchange)?
        } else {
            receive(cx, worker, client, exchange, buffers)?
        };
        match received {
            Poll::Ready(()) => moved = Moved::Yes,
            Poll::Pending => return Ok(moved),
        }
    }
}

/// Sends what the client has not taken yet. Nothing is received from the endpoint before that is done.
/// Ready tells whether there was anything.
fn send_waiting(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<Poll<bool>, Failure> {
    let response = &mut exchange.response;
    let mut sent_any = false;
    while !response.pending.pending().is_empty() {
        match client.link.poll_send(cx, response.pending.pending()) {
            Poll::Ready(Ok(sent)) => response.pending.sent += sent,
            Poll::Ready(Err(_)) => return Err(client.link.client_gone().into()),
            Poll::Pending => return Ok(Poll::Pending),
        }
        sent_any = true;
    }
    response.pending.forget_sent();
    while let Some(pipe) = response.pipe.as_mut().filter(|p| p.held() > 0) {
        match client.link.poll_splice_out(cx, pipe) {
            Poll::Ready(Ok(_)) => sent_any = true,
            Poll::Ready(Err(_)) => return Err(client.link.client_gone().into()),
            Poll::Pending => return Ok(Poll::Pending),
        }
    }
    Ok(Poll::Ready(sent_any))
}

/// Whether the rest of the body moves inside the kernel. Makes sure that there is a pipe for it: without
/// descriptors for one the body is copied.
fn may_splice(worker: &Worker, client: &mut Client, exchange: &mut Exchange) -> bool {
    let response = &mut exchange.response;
    let BodyReader::Known(remaining) = response.body else { return false };
    if response.phase == Phase::Body
        && response.pipe.is_none()
        && remaining >= SPLICE_MIN
        && !response.mirroring.keeps(remaining)
    {
        let upstream = exchange.attempt.as_mut().and_then(|a| a.link.as_mut()).and_then(Link::splices);
        if upstream.is_none() || client.link.splices().is_none() {
            return false;
        }
        let kept = worker.kept_pipe();
        response.pipe = kept.or_else(|| Pipe::new().ok());
    }
    response.pipe.is_some()
}

fn splice_in(cx: &mut Context<'_>, exchange: &mut Exchange) -> Result<Poll<()>, Failure> {
    let BodyReader::Known(remaining) = &mut exchange.response.body else { return Ok(Poll::Pending) };
    let upstream = exchange.attempt.as_mut().and_then(|a| a.link.as_mut()).and_then(Link::splices);
    let Some(socket) = upstream else { return Ok(Poll::Pending) };
    let Some(pipe) = &mut exchange.response.pipe else { return Ok(Poll::Pending) };
    match socket.poll_splice_in(cx, pipe, *remaining) {
        Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Err(Reason::ResponseIncomplete.into()),
        Poll::Ready(Ok(count)) => {
            *remaining -= count as u64;
            exchange.bytes.sent += count as u64;
            if *remaining == 0 {
                exchange.response.body = BodyReader::Done;
            }
            Ok(Poll::Ready(()))
        }
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// Gives the pipe back for another exchange; one with bytes in it would spill them there.
fn release_pipe(worker: &Worker, exchange: &mut Exchange) {
    if let Some(pipe) = exchange.response.pipe.take().filter(|p| p.held() == 0) {
        worker.keep_pipe(pipe);
    }
}

fn receive(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
) -> Result<Poll<()>, Failure> {
    let start = buffers.load(&exchange.response.partial);
    let phase = exchange.response.phase;
    let Some(link) = exchange.attempt.as_mut().and_then(|a| a.link.as_mut()) else {
        return Ok(Poll::Pending);
    };
    let room = if phase == Phase::Head { buffers.head_room(start) } else { buffers.room(start) };
    let unread = std::mem::take(&mut exchange.response.unread);
    let received = match if unread { Poll::Ready(Ok(0)) } else { link.poll_recv(cx, room) } {
        Poll::Ready(Ok(received)) => received,
        Poll::Ready(Err(error)) => {
            return Err(match link::upstream_failure(&error) {
                Some(Refusal { reason, detail }) => Failure { reason, detail },
                None => cut(exchange).into(),
            });
        }
        Poll::Pending => return Ok(Poll::Pending),
    };
    if received == 0 && !unread {
        end_of_upstream(cx, worker, client, exchange)?;
        return Ok(Poll::Ready(()));
    }
    note_first_byte(worker, exchange);
    // The buffer is the worker's: what another exchange has left in it, when it failed, is none of ours.
    buffers.head.clear();
    let mut start = HEADROOM;
    let end = HEADROOM + exchange.response.partial.len() + received;
    while exchange.response.phase == Phase::Head {
        match head(cx, worker, client, exchange, buffers, start, end)? {
            Some(next) => start = next,
            None => return Ok(Poll::Ready(())),
        }
    }
    if start > HEADROOM && exchange.response.phase == Phase::Tunnel && start == end {
        return Ok(Poll::Ready(()));
    }
    send_body(cx, client, exchange, buffers, start, end)?;
    Ok(Poll::Ready(()))
}

/// The reason when an endpoint's connection breaks.
fn cut(exchange: &Exchange) -> Reason {
    match exchange.response.phase {
        Phase::Head if exchange.response.partial.is_empty() => Reason::UpstreamClosed,
        _ => Reason::ResponseIncomplete,
    }
}

/// The endpoint sends nothing more: the end of a body without a length or of a tunnel's way down, or
/// a cut.
fn end_of_upstream(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let reason = cut(exchange);
    let response = &mut exchange.response;
    if !matches!(response.body, BodyReader::UntilClose | BodyReader::Stream) {
        return Err(reason.into());
    }
    response.body = BodyReader::Done;
    if response.phase == Phase::Tunnel {
        // A client that cannot be told is gone; its side will show it.
        let _ = client.link.poll_shutdown(cx);
    } else {
        let link = exchange.attempt.as_mut().and_then(|a| a.link.as_mut());
        let trailers = link.map(Link::take_trailers).unwrap_or_default();
        if let (Some(capture), BodyWriter::Chunked) = (response.mirroring.capture(), response.pending.writer)
        {
            capture.trailers(&trailers);
        }
        // Of a call that was answered with a status in the head there is none here.
        let status =
            if exchange.facts.call && response.status == 200 { grpc::status_in(&trailers) } else { None };
        body::finish(&mut response.pending, trailers);
        if let Some(status) = status {
            report(worker, exchange, EndpointFailure::from_grpc_status(status));
        }
    }
    Ok(())
}

fn note_first_byte(worker: &Worker, exchange: &mut Exchange) {
    let Some(attempt) = exchange.attempt.as_mut().filter(|a| !a.answered) else { return };
    attempt.answered = true;
    let now = worker.clock.now_us();
    exchange.times.first_byte_us = exchange.since_start(now);
    if let Some(latest) = exchange.record.latest() {
        latest.first_byte_us = exchange.times.first_byte_us;
    }
    tally::first_byte(worker, exchange);
    hedge::observe(exchange, now);
}

/// Reads one head at `start`. Returns where what follows it begins, or `None` if it is not complete.
fn head(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
    start: usize,
    end: usize,
) -> Result<Option<usize>, Failure> {
    let Some(published) = exchange.published.clone() else { return Ok(None) };
    let limits = &published.snapshot.http.response_head;
    let received = &buffers.scratch[start..end];
    let line = match response::parse(received, limits, &mut buffers.fields) {
        Ok(Progress::Complete(line)) => line,
        Ok(Progress::Partial) => {
            exchange.response.partial = received.to_vec();
            return Ok(None);
        }
        Err(malformed) => return Err(Failure::response(malformed)),
    };
    exchange.response.partial = Vec::new();
    let bytes = &buffers.scratch[start..start + line.end];
    buffers.head.clear();
    if line.status >= 200 {
        final_head(worker, client, exchange, &line, bytes, &buffers.fields, &mut buffers.head)?;
        return Ok(Some(start + line.end));
    }
    interim_head(worker, client, exchange, &line, bytes, &buffers.fields, &mut buffers.head)?;
    send(cx, client, exchange, &buffers.head)?;
    buffers.head.clear();
    Ok(Some(start + line.end))
}

/// 1xx: passed on to clients that know them. 101 ends HTTP on this connection, if it was asked for.
fn interim_head(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    line: &StatusLine,
    bytes: &[u8],
    fields: &FieldList,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let switches = line.status == 101;
    if switches && !exchange.facts.upgrade {
        return Err(Reason::BadUpgrade.into());
    }
    let view = line.view(bytes, fields);
    let options = ConnectionOptions::of(&view.fields);
    if options.too_many {
        return Err(Reason::BadResponse.into());
    }
    if exchange.facts.version != Version::Http10 {
        let session = if switches { session::tell(worker, exchange) } else { Vec::new() };
        let source = Source {
            head: view,
            bytes,
            list: fields,
            options,
            facts: exchange.facts,
            writer: BodyWriter::Plain,
            close: false,
            request_id: &[],
            secured: None,
            gate: None,
            session: &session,
            session_header: session::header(exchange),
        };
        response_head::write_interim(out, &source);
    }
    if switches {
        exchange.response.phase = Phase::Tunnel;
        // Whatever comes on this connection from now on is no request.
        exchange.response.close = true;
        exchange.response.status = 101;
        if let Some(latest) = exchange.record.latest() {
            latest.status = 101;
        }
        exchange.response.body = BodyReader::UntilClose;
        exchange.body = BodyReader::UntilClose;
        // A client that has closed its side already is read to its end once more, which is passed on.
        client.half_closed = false;
        exchange.request.replayable = false;
    }
    Ok(())
}

fn final_head(
    worker: &Worker,
    client: &Client,
    exchange: &mut Exchange,
    line: &StatusLine,
    bytes: &[u8],
    fields: &FieldList,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let view = line.view(bytes, fields);
    let length = framing::response_body(exchange.facts.method, &view).map_err(Failure::response)?;
    let options = ConnectionOptions::of(&view.fields);
    if options.too_many {
        return Err(Reason::BadResponse.into());
    }
    refuse_unwanted(worker, exchange, line.status, &view.fields)?;
    let response_head_max =
        exchange.published.as_ref().map_or(0, |p| p.snapshot.http.response_head.head_size);
    log::keep_response(exchange, &view.fields);
    let response = &mut exchange.response;
    response.status = line.status;
    response.phase = Phase::Body;
    if let Some(capture) = response.mirroring.capture() {
        capture.head(line.status, bytes);
    }
    response.upstream_persists = options.persists(view.version) && length != BodyLength::UntilClose;
    let carried = exchange.attempt.as_ref().and_then(|a| a.link.as_ref()).is_some_and(Link::is_stream);
    response.body = match length {
        BodyLength::None => BodyReader::Done,
        _ if carried => BodyReader::Stream,
        BodyLength::Known(length) => BodyReader::Known(length),
        BodyLength::Chunked => BodyReader::Chunked(Box::new(Decoder::new(response_head_max))),
        BodyLength::UntilClose => BodyReader::UntilClose,
    };
    response.pending.writer = response_head::writer(exchange.facts.version, length);
    // A body without length or chunks ends with the connection.
    let unframed = !matches!(length, BodyLength::None | BodyLength::Known(_))
        && response.pending.writer == BodyWriter::Plain;
    // Whoever answers before the body has come may never read it, and what is left of it is no request.
    let early = !exchange.body.is_done();
    let last = client.half_closed || client.draining_since().is_some();
    response.close = !exchange.facts.persists || unframed || early || last;
    exchange.record.attempt_ended(Reason::Forwarded, exchange.times.first_byte_us);
    if let Some(latest) = exchange.record.latest() {
        latest.status = line.status;
    }
    let is_call = exchange.facts.call && carried && line.status == 200;
    match is_call.then(|| grpc::status_of(&view.fields)) {
        None => report(worker, exchange, EndpointFailure::from_status(line.status)),
        Some(Some(status)) => report(worker, exchange, EndpointFailure::from_grpc_status(status)),
        // How the call went is told in its trailers.
        Some(None) => {}
    }
    write_head(worker, exchange, (view, options), bytes, fields, out);
    Ok(())
}

/// Writes a final head for the client.
fn write_head(
    worker: &Worker,
    exchange: &Exchange,
    (head, options): (ResponseHead<'_>, ConnectionOptions),
    bytes: &[u8],
    fields: &FieldList,
    out: &mut Vec<u8>,
) {
    let Some(route) = exchange.route() else { return };
    let session = session::tell(worker, exchange);
    let [request_id, ..] = exchange.notes.parts();
    let source = Source {
        head,
        bytes,
        list: fields,
        options,
        facts: exchange.facts,
        writer: exchange.response.pending.writer,
        close: exchange.response.close,
        request_id,
        secured: exchange.secured.as_deref(),
        gate: exchange.gate.as_deref().map(|gate| &gate.response),
        session: &session,
        session_header: session::header(exchange),
    };
    response_head::write(out, &source, &route.settings.response_edits, |out| {
        worker.with_http_date(|date| encode::line(out, b"Date", date.as_bytes()));
    });
}

/// Ends the attempt where its route would rather not pass the response on.
#[inline]
fn refuse_unwanted(
    worker: &Worker,
    exchange: &mut Exchange,
    status: u16,
    fields: &Fields<'_>,
) -> Result<(), Failure> {
    if exchange.route().is_none_or(|route| route.settings.rescue.is_none())
        || !rescue::is_unwanted(worker, exchange, status, fields)
    {
        return Ok(());
    }
    exchange.record.attempt_ended(Reason::UnwantedStatus, exchange.times.first_byte_us);
    if let Some(latest) = exchange.record.latest() {
        latest.status = status;
    }
    report(worker, exchange, EndpointFailure::from_status(status));
    Err(Reason::UnwantedStatus.into())
}

/// Tells the endpoint's health how the attempt went.
fn report(worker: &Worker, exchange: &mut Exchange, failure: Option<EndpointFailure>) {
    let Some(endpoint) = exchange.attempt.as_ref().map(|a| a.endpoint) else { return };
    admit::report(worker, exchange, if failure.is_some() { Outcome::Failure } else { Outcome::Success });
    let Some(upstream) = exchange.upstream() else { return };
    match failure {
        Some(failure) => {
            upstream.report_failure(endpoint, failure, worker.clock.now_ms(), exchange.record.seed);
        }
        None => upstream.report_success(endpoint),
    }
    tally::report_latency(worker, exchange, failure.is_some());
}

/// Sends the body bytes in `scratch[start..end]`, with the head in `buffers.head` before them if there
/// is one: in one piece, so that head and body leave in one call.
fn send_body(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    buffers: &mut Buffers,
    start: usize,
    end: usize,
) -> Result<(), Failure> {
    let mut surplus = Vec::new();
    let response = &mut exchange.response;
    let block = body::take(
        &mut response.body,
        response.pending.writer,
        &mut buffers.scratch,
        start,
        end,
        &mut surplus,
        None,
    )
    .map_err(Failure::response)?;
    if !surplus.is_empty() {
        // Bytes behind the response belong to nothing that was asked for.
        response.upstream_persists = false;
    }
    exchange.bytes.sent += block.data;
    if let Some(capture) = response.mirroring.capture() {
        capture.body(&buffers.scratch[block.content.clone()]);
        capture.trailers(&block.tail);
    }
    let head = std::mem::take(&mut buffers.head);
    let result = match put_in_front(&head, &block.range, &mut buffers.scratch) {
        Some(range) => send(cx, client, exchange, &buffers.scratch[range]),
        None => {
            let whole = [head.as_slice(), &buffers.scratch[block.range]].concat();
            send(cx, client, exchange, &whole)
        }
    };
    buffers.head = head;
    buffers.head.clear();
    result?;
    exchange.response.pending.bytes.extend_from_slice(&block.tail);
    if !block.trailers.is_empty() {
        exchange.response.pending.trailers = block.trailers;
    }
    Ok(())
}

/// Copies a head to just before the body bytes it belongs to. `None` where there is no room.
fn put_in_front(head: &[u8], body: &Range<usize>, scratch: &mut [u8]) -> Option<Range<usize>> {
    let start = body.start.checked_sub(head.len())?;
    scratch[start..body.start].copy_from_slice(head);
    Some(start..body.end)
}

/// Sends to the client; what it does not take at once waits in the exchange. So does a short response that is whole,
/// for the next stage.
fn send(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    bytes: &[u8],
) -> Result<(), Failure> {
    let pending = &mut exchange.response.pending;
    let mut sent = 0;
    if pending.pending().is_empty() && !bytes.is_empty() {
        exchange.response.begun = true;
        let whole = exchange.response.phase == Phase::Body && exchange.response.body.is_done();
        if whole && bytes.len() <= STAGED_MAX && !client.link.is_stream() {
            pending.bytes.extend_from_slice(bytes);
            exchange.response.phase = Phase::Complete;
            return Ok(());
        }
        match client.link.poll_send(cx, bytes) {
            Poll::Ready(Ok(count)) => sent = count,
            Poll::Ready(Err(_)) => return Err(client.link.client_gone().into()),
            Poll::Pending => {}
        }
    }
    pending.bytes.extend_from_slice(&bytes[sent..]);
    Ok(())
}
