//! One request to an endpoint, with its response.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tollgate_streams::text::{BadHead, lines_to_trailers, response_to_text, text_to_request};
use tollgate_streams::{MessageStream, StreamFailure};

use crate::client::Shared;
use crate::failure;
use crate::incoming::{self, Incoming};
use crate::outgoing::{self, Outgoing};

/// The response's side, as far as it has come.
enum Receiving {
    /// The request is not sent yet.
    NotSent,
    /// Waits for the final head.
    Head(ResponseFuture),
    Body(RecvStream),
}

/// A stream to an endpoint. Sends the request, receives the response.
pub struct ClientStream {
    connection: Rc<Shared>,
    /// The request's head, held back to leave with what follows it.
    held_head: Option<Request<()>>,
    sender: Option<SendStream<Bytes>>,
    outgoing: Outgoing,
    receiving: Receiving,
    incoming: Incoming,
    is_finished: bool,
    /// Why the request could not be handed over when it was flushed.
    failed: Option<StreamFailure>,
}

impl ClientStream {
    pub(crate) fn new(connection: Rc<Shared>) -> Self {
        connection.stream_opened();
        let trailers_max = connection.settings().max_trailers_size;
        Self {
            connection,
            held_head: None,
            sender: None,
            outgoing: Outgoing::default(),
            receiving: Receiving::NotSent,
            incoming: Incoming::new(Vec::new(), false, trailers_max),
            is_finished: false,
            failed: None,
        }
    }

    /// Hands over the request's head that is held, if there is one still.
    fn send_head(&mut self, end: bool) -> Result<(), StreamFailure> {
        if let Some(head) = self.held_head.take() {
            let sent = self.connection.sender().send_request(head, end);
            let (response, sender) = sent.map_err(|error| unsent(&error))?;
            self.receiving = Receiving::Head(response);
            self.sender = Some(sender);
        }
        Ok(())
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Result<(), StreamFailure> {
        if let Some(sender) = self.sender.as_mut()
            && self.outgoing.is_waiting()
        {
            let _ = self.outgoing.poll_push(cx, sender, false)?;
        }
        Ok(())
    }

    /// Receives the next head of the response, an interim or the final one.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        future: &mut ResponseFuture,
    ) -> Poll<Result<Option<RecvStream>, StreamFailure>> {
        if let Some(interim) = ready!(future.poll_informational(cx)) {
            let interim = interim.map_err(|error| failure::of_stream(&error))?;
            self.set_head(interim)?;
            return Poll::Ready(Ok(None));
        }
        let response = ready!(Future::poll(std::pin::Pin::new(future), cx));
        let (parts, body) = response.map_err(|error| failure::of_stream(&error))?.into_parts();
        self.set_head(Response::from_parts(parts, ()))?;
        if body.is_end_stream() {
            self.incoming.end();
        }
        Poll::Ready(Ok(Some(body)))
    }

    fn set_head(&mut self, response: Response<()>) -> Result<(), StreamFailure> {
        let mut text = Vec::with_capacity(256);
        let max_size = self.connection.settings().max_head_size;
        response_to_text(&response.into_parts().0, max_size, &mut text)
            .map_err(|bad| StreamFailure::Malformed(bad.description()))?;
        self.incoming.set_head(text);
        Ok(())
    }
}

/// The failure of a request that h2 did not take. Nothing of it was sent.
fn unsent(error: &h2::Error) -> StreamFailure {
    match error.reason() {
        None if !error.is_io() => StreamFailure::Unsendable(BadHead::Field),
        _ => StreamFailure::Refused,
    }
}

impl MessageStream for ClientStream {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.poll_waiting(cx).is_err() {
            // What has arrived can be received still; whoever sends finds the failure.
            self.outgoing.clear();
        }
        if let Some(taken) = self.incoming.take_head(buf) {
            return Poll::Ready(Ok(taken));
        }
        if self.incoming.is_done() {
            return Poll::Ready(Ok(0));
        }
        // What is received is what was asked for: the request leaves first, if it is still held.
        self.flush();
        match std::mem::replace(&mut self.receiving, Receiving::NotSent) {
            Receiving::NotSent => {
                let failed = self.failed.unwrap_or(StreamFailure::Unsendable(BadHead::Incomplete));
                Poll::Ready(Err(failed.into()))
            }
            Receiving::Head(mut future) => {
                match self.poll_head(cx, &mut future) {
                    Poll::Ready(Ok(Some(body))) => self.receiving = Receiving::Body(body),
                    other => {
                        self.receiving = Receiving::Head(future);
                        ready!(other)?;
                    }
                }
                Poll::Ready(Ok(self.incoming.take_head(buf).unwrap_or_default()))
            }
            Receiving::Body(mut body) => {
                let received = self.incoming.poll_body(cx, &mut body, buf);
                self.receiving = Receiving::Body(body);
                received.map_err(|error| incoming::failure_of(&error).into())
            }
        }
    }

    fn take_trailers(&mut self) -> Vec<u8> {
        self.incoming.take_trailers()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(failed) = self.failed {
            return Poll::Ready(Err(failed.into()));
        }
        if self.held_head.is_none() && self.sender.is_none() {
            let parsed = text_to_request(bytes, self.connection.scheme());
            let (request, end) = parsed.map_err(StreamFailure::Unsendable)?;
            self.held_head = Some(request);
            return Poll::Ready(Ok(end));
        }
        if self.outgoing.is_full() {
            self.send_head(false)?;
            if let Some(sender) = self.sender.as_mut() {
                let pushed = self.outgoing.poll_push(cx, sender, false)?;
                if pushed.is_pending() && self.outgoing.is_full() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(self.outgoing.take(bytes)))
    }

    fn flush(&mut self) {
        if let Err(failed) = self.send_head(false) {
            self.failed = Some(failed);
        }
        if let Some(sender) = self.sender.as_mut() {
            // A stream that fails here is reset, which whatever is asked next finds.
            let _ = self.outgoing.push_now(sender);
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<io::Result<()>> {
        if self.is_finished {
            return Poll::Ready(Ok(()));
        }
        if self.held_head.is_some() && self.outgoing.is_empty() && trailers.is_empty() {
            self.send_head(true)?;
            self.is_finished = true;
            return Poll::Ready(Ok(()));
        }
        self.send_head(false)?;
        let Some(sender) = self.sender.as_mut() else {
            let failed = self.failed.unwrap_or(StreamFailure::Unsendable(BadHead::Incomplete));
            return Poll::Ready(Err(failed.into()));
        };
        let fields = lines_to_trailers(trailers).map_err(StreamFailure::Unsendable)?;
        ready!(self.outgoing.poll_push(cx, sender, fields.is_empty()))?;
        if !fields.is_empty() {
            outgoing::send_trailers(sender, fields)?;
        }
        self.is_finished = true;
        Poll::Ready(Ok(()))
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_waiting(cx).is_err() {
            return Poll::Ready(());
        }
        match self.sender.as_mut() {
            Some(sender) => sender.poll_reset(cx).map(|_| ()),
            None if self.failed.is_some() => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    fn reset(&mut self) {
        self.held_head = None;
        self.outgoing.clear();
        self.is_finished = true;
        if let Some(sender) = self.sender.as_mut() {
            sender.send_reset(Reason::CANCEL);
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.connection.stream_closed();
        if let Some(sender) = self.sender.as_mut()
            && !(self.is_finished && self.incoming.is_done())
        {
            sender.send_reset(Reason::CANCEL);
        }
    }
}
