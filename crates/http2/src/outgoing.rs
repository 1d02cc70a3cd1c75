//! The body of a message that is sent: held back to leave with its head and end, then bounded by windows.

use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::HeaderMap;
use tollgate_streams::StreamFailure;

use crate::failure;

/// How much is held back, which is also the largest DATA frame that every peer takes (RFC 9113 section 4.2).
const HELD_MAX: usize = 16 * 1024;

/// Body bytes on their way to h2.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    held: BytesMut,
    /// What is held was to be handed over, and waits for a window.
    pushing: bool,
}

impl Outgoing {
    /// Takes bytes to hold, as many as there is room for.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HELD_MAX - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX
    }

    /// Whether bytes wait for a window that were to be handed over.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pushing && !self.held.is_empty()
    }

    /// Forgets what is held.
    pub(crate) fn clear(&mut self) {
        self.held = BytesMut::new();
    }

    /// Hands over what the window allows, without being woken for the rest.
    pub(crate) fn push_now(&mut self, stream: &mut SendStream<Bytes>) -> Result<(), StreamFailure> {
        self.pushing = true;
        while !self.held.is_empty() {
            let window = self.window(stream);
            if window == 0 {
                break;
            }
            self.hand_over(stream, window, false)?;
        }
        Ok(())
    }

    /// Hands over all that is held, and with it the end of the message where `end` says so.
    pub(crate) fn poll_push(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
        end: bool,
    ) -> Poll<Result<(), StreamFailure>> {
        self.pushing = true;
        let mut ended = false;
        while !self.held.is_empty() {
            let window = match self.window(stream) {
                0 => ready!(poll_window(cx, stream))?,
                window => window,
            };
            ended = self.hand_over(stream, window, end)?;
        }
        if end && !ended {
            stream.send_data(Bytes::new(), true).map_err(|error| of_sending(stream, &error))?;
        }
        Poll::Ready(Ok(()))
    }

    /// How much may be handed over of what is held.
    fn window(&self, stream: &mut SendStream<Bytes>) -> usize {
        stream.reserve_capacity(self.held.len());
        stream.capacity()
    }

    /// Hands over `window` bytes at most; true when the message is ended with them.
    fn hand_over(
        &mut self,
        stream: &mut SendStream<Bytes>,
        window: usize,
        end: bool,
    ) -> Result<bool, StreamFailure> {
        let all = window >= self.held.len();
        let bytes = if all { std::mem::take(&mut self.held) } else { self.held.split_to(window) }.freeze();
        stream.send_data(bytes, end && all).map_err(|error| of_sending(stream, &error))?;
        Ok(end && all)
    }
}

fn poll_window(cx: &mut Context<'_>, stream: &mut SendStream<Bytes>) -> Poll<Result<usize, StreamFailure>> {
    match ready!(stream.poll_capacity(cx)) {
        Some(Ok(window)) => Poll::Ready(Ok(window)),
        Some(Err(error)) => Poll::Ready(Err(of_sending(stream, &error))),
        None => Poll::Ready(Err(of_closed(stream))),
    }
}

/// Why nothing can be sent. h2 calls it a mistake of its user when the stream is closed.
fn of_sending(stream: &mut SendStream<Bytes>, error: &h2::Error) -> StreamFailure {
    if error.reason().is_none() && !error.is_io() { of_closed(stream) } else { failure::of_stream(error) }
}

/// Why a stream is closed: by a reset, whose code tells more, or with its connection.
fn of_closed(stream: &mut SendStream<Bytes>) -> StreamFailure {
    match stream.poll_reset(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Reason::REFUSED_STREAM)) => StreamFailure::Refused,
        Poll::Ready(Ok(reason)) => StreamFailure::Reset(u32::from(reason).into()),
        Poll::Ready(Err(error)) => failure::of_stream(&error),
        Poll::Pending => StreamFailure::ConnectionLost,
    }
}

/// Sends the trailers that end a message.
pub(crate) fn send_trailers(
    stream: &mut SendStream<Bytes>,
    trailers: HeaderMap,
) -> Result<(), StreamFailure> {
    stream.send_trailers(trailers).map_err(|error| of_sending(stream, &error))
}
