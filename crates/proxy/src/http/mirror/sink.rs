//! The client of a copy: takes whatever comes and says nothing.

use std::io;
use std::task::{Context, Poll};

use tollgate_streams::{MessageStream, StreamFailure};

/// How many bytes of an answer are taken. A mirror that sends more is no use to anybody, and costs.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// Where answers to copies go.
#[derive(Debug, Default)]
pub struct Sink {
    taken: usize,
}

impl MessageStream for Sink {
    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        // The request was complete when it was copied.
        Poll::Ready(Ok(0))
    }

    fn take_trailers(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn poll_send(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.taken = self.taken.saturating_add(bytes.len());
        match self.taken > ANSWER_MAX {
            true => Poll::Ready(Err(StreamFailure::Reset(0).into())),
            false => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn flush(&mut self) {}

    fn poll_finish(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_cancelled(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn reset(&mut self) {}
}
