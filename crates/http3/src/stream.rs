//! A request's stream as the forward loop sees it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h3::error::Code;
use http::Request;
use http::header::CONTENT_LENGTH;
use quinn::WriteError;
use tollgate_decision::Reason;
use tollgate_streams::MessageStream;
use tollgate_streams::text::BadHead;

use crate::ended::Ended;
use crate::frames::{BadFrames, Piece};
use crate::guard::{Guard, Outcome, no_error};
use crate::head::{BadSection, Coder};
use crate::receive::{Cut, Next, Receiver, take};
use crate::send::{Sender, bare_answer, is_cancel, unsendable};

/// One request and its response.
///
/// An error of it has an [`Ended`] inside ([`io::Error::get_ref`]) that tells its reason, unless the caller is to
/// blame. Requests that HTTP/3 forbids end their stream here, those that are only too large are answered first.
pub struct ServerStream {
    guard: Rc<Guard>,
    coder: Coder,
    receiver: Receiver,
    /// Gone only while the stream is dropped.
    sender: Option<Sender>,
    /// The head's text, then body bytes, as far as the caller has not taken them.
    text: Bytes,
    body: Bytes,
    trailers: Bytes,
    lines: Vec<u8>,
    length: Length,
    phase: Phase,
    outcome: Option<Outcome>,
    stopped: Option<Pin<Box<dyn Future<Output = bool>>>>,
}

/// How long a body is said to be, and how much of it came.
#[derive(Clone, Copy, Default)]
struct Length {
    told: Option<u64>,
    came: u64,
}

#[derive(Clone, Copy, Default)]
struct Phase {
    has_head: bool,
    is_over: bool,
    /// The final head of the response is sent.
    answered: bool,
    trailers_sent: bool,
}

impl ServerStream {
    pub(crate) fn new(guard: Rc<Guard>, coder: Coder, receiver: Receiver, sender: Sender) -> Self {
        guard.opened();
        Self {
            guard,
            coder,
            receiver,
            sender: Some(sender),
            text: Bytes::new(),
            body: Bytes::new(),
            trailers: Bytes::new(),
            lines: Vec::new(),
            length: Length::default(),
            phase: Phase::default(),
            outcome: None,
            stopped: None,
        }
    }

    /// The stream's number on its connection.
    pub fn id(&self) -> u64 {
        self.receiver.id()
    }

    /// Whether the request came in the client's first flight (0-RTT), so that somebody else may have sent it
    /// again (RFC 8470).
    pub fn is_early(&self) -> bool {
        self.receiver.is_early()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.receiver.poll_next(cx)) {
            Ok(Next::Piece(Piece::Nothing)) => {
                self.guard.empty_frames(1);
                Poll::Ready(Ok(()))
            }
            Ok(Next::Piece(Piece::Body(part))) => Poll::Ready(self.take_body(part)),
            Ok(Next::Piece(Piece::Fields(section))) if self.phase.has_head => {
                self.trailers = section;
                Poll::Ready(Ok(()))
            }
            Ok(Next::Piece(Piece::Fields(section))) => Poll::Ready(self.take_head(cx, section)),
            Ok(Next::End) => Poll::Ready(self.take_end()),
            Err(cut) => Poll::Ready(Err(self.cut(cx, cut))),
        }
    }

    fn take_body(&mut self, part: Bytes) -> io::Result<()> {
        self.length.came += part.len() as u64;
        if self.length.told.is_some_and(|told| self.length.came > told) {
            return Err(
                self.malformed(Reason::BadContentLength, "the body is longer than its content-length")
            );
        }
        self.body = part;
        Ok(())
    }

    fn take_head(&mut self, cx: &mut Context<'_>, section: Bytes) -> io::Result<()> {
        self.phase.has_head = true;
        let request = match self.coder.decode_request(section) {
            Ok(request) => request,
            Err(bad) => return Err(self.bad_section(cx, bad)),
        };
        let Ok(told) = told_length(&request) else {
            return Err(self.malformed(Reason::BadContentLength, "the content-length is not one number"));
        };
        let has_body = self.look_for_body(cx)?;
        match self.coder.request_text(request, has_body) {
            Ok(text) => self.text = text.into(),
            Err(bad) => return Err(self.bad_head(cx, bad)),
        }
        self.length.told = told;
        if told.is_some_and(|told| self.length.came > told) {
            return Err(
                self.malformed(Reason::BadContentLength, "the body is longer than its content-length")
            );
        }
        Ok(())
    }

    /// Whether the stream goes on behind the head: most requests end with it, in the same packet.
    fn look_for_body(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            match self.receiver.poll_next(cx) {
                Poll::Ready(Ok(Next::Piece(Piece::Nothing))) => self.guard.empty_frames(1),
                Poll::Ready(Ok(Next::Piece(Piece::Body(part)))) => {
                    self.take_body(part)?;
                    return Ok(true);
                }
                Poll::Ready(Ok(Next::Piece(Piece::Fields(section)))) => {
                    self.trailers = section;
                    return Ok(true);
                }
                Poll::Ready(Ok(Next::End)) => return Ok(false),
                Poll::Ready(Err(cut)) => return Err(self.cut(cx, cut)),
                Poll::Pending => return Ok(true),
            }
        }
    }

    fn take_end(&mut self) -> io::Result<()> {
        if !self.phase.has_head {
            let ended = self.fault(Reason::ProtocolViolation, "the stream ended without a request");
            self.abort(Code::H3_REQUEST_INCOMPLETE, Outcome::Provoked);
            return Err(ended);
        }
        if self.length.told.is_some_and(|told| self.length.came != told) {
            return Err(
                self.malformed(Reason::BadContentLength, "the body is shorter than its content-length")
            );
        }
        if !self.trailers.is_empty() {
            let section = std::mem::take(&mut self.trailers);
            match self.coder.decode_trailers(&section) {
                Ok(lines) => self.lines = lines,
                Err(BadSection::Fatal(detail)) => return Err(self.undecodable(&detail)),
                Err(BadSection::TooLarge) => {
                    return Err(self.malformed(Reason::BadTrailer, "trailers are too large"));
                }
                Err(BadSection::Malformed(detail)) => return Err(self.malformed(Reason::BadTrailer, &detail)),
            }
        }
        self.phase.is_over = true;
        Ok(())
    }

    fn cut(&mut self, cx: &mut Context<'_>, cut: Cut) -> io::Error {
        match cut {
            Cut::Frames(BadFrames::TooLong) if !self.phase.has_head => self.refuse(cx, Reason::HeadTooLarge),
            Cut::Frames(BadFrames::TooLong) => self.malformed(Reason::BadTrailer, "trailers are too large"),
            Cut::Frames(bad) => {
                self.guard.bad_frames(bad);
                self.outcome.get_or_insert(Outcome::Provoked);
                self.fault(Reason::ProtocolViolation, bad.code().1)
            }
            Cut::Cancelled => self.cancelled(),
            Cut::Lost(error) => self.lost(&error),
            Cut::Stopped => self.fault(Reason::ClientReset, "the stream is cut already"),
        }
    }

    fn bad_section(&mut self, cx: &mut Context<'_>, bad: BadSection) -> io::Error {
        match bad {
            BadSection::TooLarge => self.refuse(cx, Reason::HeadTooLarge),
            BadSection::Malformed(detail) => self.malformed(Reason::BadFieldValue, &detail),
            BadSection::Fatal(detail) => self.undecodable(&detail),
        }
    }

    fn bad_head(&mut self, cx: &mut Context<'_>, bad: BadHead) -> io::Error {
        let reason = match bad {
            BadHead::TooLarge => return self.refuse(cx, Reason::HeadTooLarge),
            BadHead::TooManyFields => return self.refuse(cx, Reason::TooManyFields),
            BadHead::ConnectRefused | BadHead::UnknownProtocol => {
                return self.refuse(cx, Reason::MethodNotServed);
            }
            BadHead::StartLine => Reason::BadMethod,
            BadHead::Target => Reason::BadTarget,
            BadHead::Authority => Reason::BadHost,
            BadHead::HostDiffers => Reason::DuplicateHost,
            BadHead::HostMissing => Reason::MissingHost,
            BadHead::ContentLength => Reason::BadContentLength,
            _ => Reason::BadFieldValue,
        };
        self.malformed(reason, bad.description())
    }

    /// Answers a request that is well-formed but not taken, and wants no more of it.
    fn refuse(&mut self, cx: &mut Context<'_>, reason: Reason) -> io::Error {
        let error = self.fault(reason, reason.explanation());
        self.outcome = Some(Outcome::Provoked);
        if let Some(sender) = &mut self.sender {
            sender.out().extend_from_slice(&bare_answer(reason.status()));
            if sender.poll_finish(cx).is_pending() {
                sender.reset(Code::H3_REQUEST_REJECTED.value());
            }
        }
        self.receiver.stop(no_error().into_inner());
        error
    }

    /// A malformed message ends its stream (RFC 9114 section 4.1.2).
    fn malformed(&mut self, reason: Reason, detail: &str) -> io::Error {
        let error = self.fault(reason, detail);
        self.abort(Code::H3_MESSAGE_ERROR, Outcome::Provoked);
        error
    }

    /// What h3 cannot decompress ends the connection, which h3 does when its connection is polled next.
    fn undecodable(&mut self, detail: &str) -> io::Error {
        self.guard.fail(Reason::ProtocolViolation, Code::QPACK_DECOMPRESSION_FAILED, detail);
        self.outcome.get_or_insert(Outcome::Provoked);
        self.fault(Reason::ProtocolViolation, detail)
    }

    fn cancelled(&mut self) -> io::Error {
        self.outcome.get_or_insert(Outcome::Cancelled);
        self.fault(Reason::ClientReset, "the client cancelled the stream")
    }

    fn lost(&mut self, error: &quinn::ConnectionError) -> io::Error {
        self.outcome.get_or_insert(Outcome::Reset);
        io::Error::new(io::ErrorKind::NotConnected, self.guard.explain(error))
    }

    fn unsent(&mut self, error: &WriteError) -> io::Error {
        match error {
            WriteError::ConnectionLost(error) => self.lost(error),
            error if is_cancel(error) => self.cancelled(),
            _ => self.fault(Reason::ClientReset, "the stream is cut already"),
        }
    }

    fn fault(&self, reason: Reason, detail: &str) -> io::Error {
        let kind = if reason == Reason::ClientReset {
            io::ErrorKind::ConnectionReset
        } else {
            io::ErrorKind::InvalidData
        };
        io::Error::new(kind, Ended::new(reason, detail))
    }

    fn abort(&mut self, code: Code, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        if let Some(sender) = &mut self.sender {
            sender.reset(code.value());
        }
        self.receiver.stop(code.value());
    }

    fn sender(&mut self) -> io::Result<&mut Sender> {
        self.sender.as_mut().ok_or_else(|| unsendable("the stream is gone".into()))
    }

    /// How the stream went, when it is dropped.
    fn outcome(&mut self) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        if self.sender.as_ref().is_some_and(Sender::is_finished) {
            return Outcome::Served;
        }
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_cancelled(&mut cx).is_ready() { Outcome::Cancelled } else { Outcome::Reset }
    }
}

impl MessageStream for ServerStream {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(sender) = &mut self.sender
            && sender.held() > 0
        {
            // Who receives may have nothing to send and yet hold bytes that the client had no window for.
            let _ = sender.poll_drive(cx);
        }
        loop {
            if !self.text.is_empty() {
                return Poll::Ready(Ok(take(&mut self.text, buf)));
            }
            if !self.body.is_empty() {
                return Poll::Ready(Ok(take(&mut self.body, buf)));
            }
            if self.phase.is_over {
                return Poll::Ready(Ok(0));
            }
            ready!(self.poll_piece(cx))?;
        }
    }

    fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.phase.answered {
            let sent = ready!(self.sender()?.poll_body(cx, bytes));
            return Poll::Ready(sent.map_err(|error| self.unsent(&error)));
        }
        let Some(sender) = self.sender.as_mut() else {
            return Poll::Ready(Err(unsendable("the stream is gone".into())));
        };
        let (length, status) = self.coder.encode_response(bytes, sender.out()).map_err(unsendable)?;
        self.phase.answered = status >= 200;
        Poll::Ready(Ok(length))
    }

    fn flush(&mut self) {
        if let Some(sender) = &mut self.sender {
            sender.drive();
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<io::Result<()>> {
        if !self.phase.answered {
            return Poll::Ready(Err(unsendable("a message cannot end before its head".into())));
        }
        if !self.phase.trailers_sent {
            self.phase.trailers_sent = true;
            if let Some(sender) = self.sender.as_mut()
                && !trailers.is_empty()
            {
                self.coder.encode_trailers(trailers, sender.out()).map_err(unsendable)?;
            }
        }
        let finished = ready!(self.sender()?.poll_finish(cx));
        Poll::Ready(finished.map_err(|error| self.unsent(&error)))
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sender) = self.sender.as_mut() else { return Poll::Ready(()) };
        let driven = sender.held() > 0 && matches!(sender.poll_drive(cx), Poll::Ready(Err(_)));
        let stopped = self.stopped.get_or_insert_with(|| Box::pin(sender.stopped()));
        let wants_no_more = match stopped.as_mut().poll(cx) {
            Poll::Ready(true) => true,
            Poll::Ready(false) => {
                // It has all, and will have.
                self.stopped = Some(Box::pin(std::future::pending()));
                false
            }
            Poll::Pending => false,
        };
        // A client that cancels wants no response either (RFC 9114 section 4.1.1), so its reset of the request
        // need not be waited for: quinn would keep that waiter beyond the last byte that is read.
        if driven || wants_no_more {
            self.stopped = Some(Box::pin(std::future::ready(true)));
            self.outcome.get_or_insert(Outcome::Cancelled);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn reset(&mut self) {
        self.abort(Code::H3_INTERNAL_ERROR, Outcome::Reset);
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        let outcome = self.outcome();
        let Some(mut sender) = self.sender.take() else { return };
        let finished = sender.is_finished();
        if !finished {
            sender.reset(Code::H3_REQUEST_CANCELLED.value());
        }
        let code = if finished { Code::H3_NO_ERROR } else { Code::H3_REQUEST_CANCELLED };
        if !self.receiver.is_ended() {
            self.receiver.stop(code.value());
        }
        self.guard.closed(outcome, finished.then(|| sender.into_stream()));
    }
}

/// The length that a request tells, if it does. An error where it is told twice or is not a number.
fn told_length(request: &Request<()>) -> Result<Option<u64>, ()> {
    let mut lengths = request.headers().get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let digits = length.as_bytes().iter().all(u8::is_ascii_digit) && lengths.next().is_none();
    let told = length.to_str().ok().filter(|_| digits).and_then(|length| length.parse().ok());
    told.map(Some).ok_or(())
}
