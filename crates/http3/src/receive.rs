//! The receiving direction of a request stream.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};

use crate::adapter::{poll_chunk, varint};
use crate::frames::{BadFrames, FrameReader, Piece};

/// Frames as quinn has them. Nothing is read ahead: what is not asked for stays in quinn, which is bounded by the
/// window that the client was given.
pub(crate) struct Receiver {
    stream: RecvStream,
    frames: FrameReader,
    ended: bool,
}

/// What comes next on the stream.
pub(crate) enum Next {
    Piece(Piece),
    End,
}

/// Why nothing more comes.
pub(crate) enum Cut {
    Frames(BadFrames),
    /// The client cancelled the stream.
    Cancelled,
    Lost(quinn::ConnectionError),
    /// The stream was stopped by Tollgate.
    Stopped,
}

impl Receiver {
    pub(crate) fn new(stream: RecvStream, max_fields: u64) -> Self {
        Self { stream, frames: FrameReader::new(max_fields), ended: false }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Cut>> {
        loop {
            if self.ended {
                return Poll::Ready(Ok(Next::End));
            }
            if let Some(piece) = self.frames.next().map_err(Cut::Frames)? {
                return Poll::Ready(Ok(Next::Piece(piece)));
            }
            match ready!(poll_chunk(&mut self.stream, cx)) {
                Ok(Some(chunk)) => self.frames.feed(chunk),
                Ok(None) => {
                    self.frames.end().map_err(Cut::Frames)?;
                    self.ended = true;
                }
                Err(ReadError::Reset(_)) => return Poll::Ready(Err(Cut::Cancelled)),
                Err(ReadError::ConnectionLost(error)) => return Poll::Ready(Err(Cut::Lost(error))),
                Err(_) => return Poll::Ready(Err(Cut::Stopped)),
            }
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn is_early(&self) -> bool {
        self.stream.is_0rtt()
    }

    pub(crate) fn id(&self) -> u64 {
        self.stream.id().into()
    }

    /// Tells the client to send no more.
    pub(crate) fn stop(&mut self, code: u64) {
        if !self.ended {
            let _ = self.stream.stop(varint(code));
        }
    }
}

/// Moves bytes from `from` to `buf`; tells how many.
pub(crate) fn take(from: &mut Bytes, buf: &mut [u8]) -> usize {
    let length = from.len().min(buf.len());
    from.copy_to_slice(&mut buf[..length]);
    length
}
