//! One request of a client, with its response.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use tollgate_streams::text::{BadHead, lines_to_trailers, text_to_response};
use tollgate_streams::{MessageStream, StreamFailure};

use crate::failure;
use crate::guard::{Guard, Offence};
use crate::incoming::{self, Incoming};
use crate::outgoing::{self, Outgoing};

/// A request's stream. Receives the request, sends the response.
pub struct ServerStream {
    incoming: Incoming,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    /// The final response's head, held back to leave with what follows it.
    held_head: Option<Response<()>>,
    /// Once the final head is sent.
    sender: Option<SendStream<Bytes>>,
    outgoing: Outgoing,
    is_tunnel: bool,
    is_finished: bool,
    failure_noted: bool,
    /// Why the response's head could not be handed over when it was flushed.
    failed: Option<StreamFailure>,
    guard: Rc<Guard>,
}

impl ServerStream {
    pub(crate) fn new(
        incoming: Incoming,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        is_tunnel: bool,
        guard: Rc<Guard>,
    ) -> Self {
        guard.stream_opened();
        Self {
            incoming,
            body,
            respond,
            held_head: None,
            sender: None,
            outgoing: Outgoing::default(),
            is_tunnel,
            is_finished: false,
            failure_noted: false,
            failed: None,
            guard,
        }
    }

    /// The stream's number on its connection.
    pub fn id(&self) -> u32 {
        self.respond.stream_id().as_u32()
    }

    /// Whether the request is an extended CONNECT (RFC 8441), so that bytes pass both ways once it is accepted.
    pub fn is_tunnel(&self) -> bool {
        self.is_tunnel
    }

    /// Takes the text of a response's head: sends an interim one, holds the final one.
    fn take_head(&mut self, text: &[u8]) -> io::Result<usize> {
        let (response, end) = text_to_response(text, self.is_tunnel).map_err(StreamFailure::Unsendable)?;
        if response.status().is_informational() {
            self.respond.send_informational(response).map_err(|error| failure::of_stream(&error))?;
        } else {
            self.held_head = Some(response);
        }
        self.guard.credit_sent(end);
        Ok(end)
    }

    /// Hands over the head that is held, if there is one still.
    fn send_head(&mut self, end: bool) -> Result<(), StreamFailure> {
        if let Some(head) = self.held_head.take() {
            let sent = self.respond.send_response(head, end);
            self.sender = Some(sent.map_err(|error| failure::of_stream(&error))?);
        }
        Ok(())
    }

    /// Goes on with what was flushed and waits for the client's window.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Result<(), StreamFailure> {
        if let Some(sender) = self.sender.as_mut()
            && self.outgoing.is_waiting()
        {
            let _ = self.outgoing.poll_push(cx, sender, false)?;
        }
        Ok(())
    }

    /// Charges the client for a stream that it made Tollgate reset, once.
    fn note_failure(&mut self, error: &h2::Error) {
        if error.is_library() && error.is_reset() && !std::mem::replace(&mut self.failure_noted, true) {
            self.guard.charge(Offence::ProvokedReset);
        }
    }
}

impl MessageStream for ServerStream {
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
        match ready!(self.incoming.poll_body(cx, &mut self.body, buf)) {
            Ok(received) => Poll::Ready(Ok(received)),
            Err(error) => {
                self.note_failure(&error);
                Poll::Ready(Err(incoming::failure_of(&error).into()))
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
            return Poll::Ready(self.take_head(bytes));
        }
        if self.outgoing.is_full() {
            self.send_head(false)?;
            if let Some(sender) = self.sender.as_mut() {
                // A part of what is held may be gone though not all could be: then there is room.
                let pushed = self.outgoing.poll_push(cx, sender, false)?;
                if pushed.is_pending() && self.outgoing.is_full() {
                    return Poll::Pending;
                }
            }
        }
        let taken = self.outgoing.take(bytes);
        self.guard.credit_sent(taken);
        Poll::Ready(Ok(taken))
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
        // Trailers are read before the body is ended, which might have to be without them.
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
        let reset = match self.sender.as_mut() {
            Some(sender) => sender.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        if reset.is_pending() {
            return Poll::Pending;
        }
        if let Poll::Ready(Some(Err(error))) = self.body.poll_data(cx) {
            self.note_failure(&error);
        }
        Poll::Ready(())
    }

    fn reset(&mut self) {
        self.held_head = None;
        self.outgoing.clear();
        self.is_finished = true;
        self.respond.send_reset(Reason::INTERNAL_ERROR);
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        self.guard.stream_closed();
        if !self.is_finished {
            self.respond.send_reset(Reason::CANCEL);
        }
    }
}
