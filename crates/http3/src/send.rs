//! The sending direction of a request stream.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use quinn::{SendStream, WriteError};

use crate::adapter::varint;
use crate::frames::{headers_frame, put_data_header};

/// Bytes that are held of a stream whose client or connection takes no more. What quinn holds besides is bounded
/// by the client's window and by [`Settings::send_window`](crate::Settings::send_window).
const HELD: usize = 64 << 10;

/// Frames on their way to quinn.
pub(crate) struct Sender {
    stream: SendStream,
    /// Frames that are written but not handed over.
    out: BytesMut,
    /// What is being handed over.
    leaving: Bytes,
    finished: bool,
    /// Who waits, so that what is handed over without a wait goes on.
    waker: Option<Waker>,
}

impl Sender {
    pub(crate) fn new(stream: SendStream) -> Self {
        Self { stream, out: BytesMut::new(), leaving: Bytes::new(), finished: false, waker: None }
    }

    /// Where frames are written to.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Takes bytes of a body as a DATA frame, as many as there is room for.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, WriteError>> {
        if self.held() >= HELD {
            ready!(self.poll_drive(cx))?;
        }
        self.remember(cx);
        let length = bytes.len().min(HELD - self.held().min(HELD - 1));
        self.out.reserve(length + 9);
        put_data_header(&mut self.out, length);
        self.out.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    /// Hands over what is held. Ready when nothing is held any more.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.remember(cx);
        loop {
            if self.leaving.is_empty() {
                if self.out.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                self.leaving = self.out.split().freeze();
            }
            // The future holds nothing but the stream and what it takes from, so that it can be made anew.
            let writing = self.stream.write_chunks(std::slice::from_mut(&mut self.leaving));
            ready!(pin!(writing).poll(cx))?;
        }
    }

    /// Hands over what the connection takes now; whoever polled last is woken when it takes more.
    pub(crate) fn drive(&mut self) {
        if self.held() > 0 {
            let waker = self.waker.clone();
            let waker = waker.as_ref().unwrap_or(Waker::noop());
            // An error is met again by whoever sends next.
            let _ = self.poll_drive(&mut Context::from_waker(waker));
        }
    }

    /// Ends the message behind what is held. Ready when all is handed over.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        ready!(self.poll_drive(cx))?;
        if !self.finished {
            self.stream.finish()?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn held(&self) -> usize {
        self.out.len() + self.leaving.len()
    }

    /// Ready when the client wants no more, with false when it has all.
    pub(crate) fn stopped(&self) -> impl Future<Output = bool> + 'static {
        let stopped = self.stream.stopped();
        async move { !matches!(stopped.await, Ok(None)) }
    }

    pub(crate) fn reset(&mut self, code: u64) {
        if !self.finished {
            let _ = self.stream.reset(varint(code));
        }
        self.out = BytesMut::new();
        self.leaving = Bytes::new();
    }

    pub(crate) fn into_stream(self) -> SendStream {
        self.stream
    }

    fn remember(&mut self, cx: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }
}

/// What an error of sending is to the forward loop, where it is not the connection's end.
pub(crate) fn is_cancel(error: &WriteError) -> bool {
    matches!(error, WriteError::Stopped(_))
}

/// The frame of an answer without a body: QPACK by hand, since h3 writes none for a request it could not read.
pub(crate) fn bare_answer(status: u16) -> Bytes {
    // A literal with the name of the static table's entry 24 (:status), and its entry 4 (content-length: 0).
    let mut section = vec![0, 0, 0x5f, 24 - 15, 3];
    section.extend_from_slice(status.to_string().as_bytes());
    section.push(0xc0 | 4);
    headers_frame(&section)
}

/// An error for what the caller did wrong, or what cannot be sent in HTTP/3.
pub(crate) fn unsendable(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, detail)
}
