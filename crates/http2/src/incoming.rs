//! The body of a message that is received, with the window opened as it is taken.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use tollgate_streams::StreamFailure;
use tollgate_streams::text::trailers_to_lines;

use crate::failure;

/// What is received of one message: its head as text first, then its body, then its trailers.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Head text that is still to be taken.
    head: Bytes,
    chunk: Bytes,
    trailers: Vec<u8>,
    trailers_max: usize,
    ended: bool,
}

impl Incoming {
    /// A message with this head text, perhaps without a body.
    pub(crate) fn new(head: Vec<u8>, ended: bool, trailers_max: usize) -> Self {
        Self { head: head.into(), chunk: Bytes::new(), trailers: Vec::new(), trailers_max, ended }
    }

    /// Puts head text in front of what is received.
    pub(crate) fn set_head(&mut self, head: Vec<u8>) {
        self.head = head.into();
    }

    /// Takes head text where there is any.
    pub(crate) fn take_head(&mut self, buf: &mut [u8]) -> Option<usize> {
        (!self.head.is_empty()).then(|| take(&mut self.head, buf))
    }

    /// Whether the message has ended and all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.head.is_empty() && self.chunk.is_empty()
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    /// Receives body bytes; 0 at the end. Fills as much of `buf` as has arrived.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut RecvStream,
        buf: &mut [u8],
    ) -> Poll<Result<usize, h2::Error>> {
        let mut filled = 0;
        while filled < buf.len() {
            if !self.chunk.is_empty() {
                let taken = take(&mut self.chunk, &mut buf[filled..]);
                // Fails only where more is released than was received.
                let _ = stream.flow_control().release_capacity(taken);
                filled += taken;
                continue;
            }
            if self.ended {
                break;
            }
            match stream.poll_data(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.chunk = chunk;
                    self.ended = stream.is_end_stream();
                }
                Poll::Ready(Some(Err(error))) if filled == 0 => return Poll::Ready(Err(error)),
                Poll::Ready(None) if filled == 0 => {
                    ready!(self.poll_trailers(cx, stream))?;
                    self.ended = true;
                }
                _ if filled == 0 => return Poll::Pending,
                // What has arrived is given first; the rest is found again at the next call.
                _ => break,
            }
        }
        Poll::Ready(Ok(filled))
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut RecvStream,
    ) -> Poll<Result<(), h2::Error>> {
        if let Some(fields) = ready!(stream.poll_trailers(cx))?
            && trailers_to_lines(&fields, self.trailers_max, &mut self.trailers).is_err()
        {
            return Poll::Ready(Err(h2::Reason::PROTOCOL_ERROR.into()));
        }
        Poll::Ready(Ok(()))
    }
}

fn take(from: &mut Bytes, buf: &mut [u8]) -> usize {
    let taken = from.len().min(buf.len());
    buf[..taken].copy_from_slice(&from[..taken]);
    from.advance(taken);
    if from.is_empty() {
        // Gives the memory back, which an empty rest would hold.
        *from = Bytes::new();
    }
    taken
}

/// The failure of a stream while a message is received.
pub(crate) fn failure_of(error: &h2::Error) -> StreamFailure {
    match error.reason() {
        // Made here, of trailers that cannot be passed on.
        Some(_) if !error.is_reset() && !error.is_go_away() => {
            StreamFailure::Malformed("trailers are malformed")
        }
        _ => failure::of_stream(error),
    }
}
