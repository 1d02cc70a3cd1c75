//! One direction of a connection.

use std::task::{Context, Poll};

use tollgate_runtime::splice::Pipe;

use crate::buffers::{Buffers, HEADROOM, RECEIVE};
use crate::socket::Socket;
use crate::worker::Worker;

/// What was received at once in so many bytes may be part of something large.
const LARGE: usize = 16 * 1024;
/// After so many bytes in large pieces, bytes move inside the kernel instead of being copied.
const SPLICE_FROM: usize = RECEIVE;
/// What moves at once inside the kernel in fewer bytes than this would better be copied: that takes a call less.
const SMALL: usize = 4 * 1024;
/// After so many small pieces one after the other, bytes are copied again.
const SMALL_PIECES: u8 = 2;
/// How many pieces a direction moves before the other has its turn.
const PIECES: u32 = 16;

/// One direction of a connection: bytes from one socket to the other, and then the end.
///
/// Nothing is received before everything that was received has been sent, so it holds at most what is received at
/// once, and a slow taker slows the sender down.
#[derive(Debug, Default)]
pub struct Way {
    /// How many bytes were received.
    pub bytes: u64,
    phase: Phase,
    waiting: Vec<u8>,
    sent: usize,
    pipe: Option<Pipe>,
    run: usize,
    splices: bool,
    small_pieces: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// More may come.
    #[default]
    Open,
    /// The sender has said that it will send nothing more.
    Ended,
    /// The taker was told so.
    Shut,
}

/// How far a direction got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Something has moved.
    pub any: bool,
    /// There may be more to move now.
    pub more: bool,
}

/// Which side of a direction is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The one that sends.
    Sender,
    /// The one that takes.
    Taker,
}

impl Way {
    /// A direction that begins with bytes that are there already; so many of them were received.
    pub fn beginning_with(bytes: Vec<u8>, received: u64) -> Self {
        Self { waiting: bytes, bytes: received, ..Self::default() }
    }

    /// Whether everything, the end included, has been passed on.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Shut
    }

    /// Whether bytes have been received that are not sent.
    pub fn has_waiting(&self) -> bool {
        self.sent < self.waiting.len() || self.pipe.as_ref().is_some_and(|pipe| pipe.held() > 0)
    }

    /// Nobody takes what comes this way any more.
    pub fn give_up(&mut self) {
        let bytes = self.bytes;
        *self = Self { bytes, phase: Phase::Shut, ..Self::default() };
    }

    /// Moves bytes as far as they go now, up to a fair number of them.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        buffers: &mut Buffers,
        from: &mut Socket,
        to: &mut Socket,
    ) -> Result<Moved, Broken> {
        let mut any = false;
        for _ in 0..PIECES {
            match self.send(cx, to)? {
                Poll::Ready(sent) => any |= sent,
                Poll::Pending => return Ok(Moved { any, more: false }),
            }
            match self.phase {
                Phase::Open => {}
                Phase::Shut => return Ok(Moved { any, more: false }),
                // A taker that cannot be told is gone, and its own direction shows it.
                Phase::Ended if to.poll_shutdown(cx).is_ready() => {
                    self.phase = Phase::Shut;
                    return Ok(Moved { any: true, more: false });
                }
                Phase::Ended => return Ok(Moved { any, more: false }),
            }
            let received = match self.splices && from.can_splice() && to.can_splice() {
                true => self.splice(cx, worker, from),
                false => self.copy(cx, buffers, from, to),
            };
            match received? {
                Poll::Ready(()) => any = true,
                Poll::Pending => {
                    self.rest(worker);
                    return Ok(Moved { any, more: false });
                }
            }
        }
        Ok(Moved { any, more: true })
    }

    /// Sends what has been received. Ready tells whether there was anything.
    fn send(&mut self, cx: &mut Context<'_>, to: &mut Socket) -> Result<Poll<bool>, Broken> {
        let mut any = false;
        while self.sent < self.waiting.len() {
            match to.poll_send(cx, &self.waiting[self.sent..]) {
                Poll::Ready(Ok(sent)) => self.sent += sent,
                Poll::Ready(Err(_)) => return Err(Broken::Taker),
                Poll::Pending => return Ok(Poll::Pending),
            }
            any = true;
        }
        if any {
            (self.waiting, self.sent) = (Vec::new(), 0);
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held() > 0) {
            match to.poll_splice_out(cx, pipe) {
                Poll::Ready(Ok(_)) => any = true,
                Poll::Ready(Err(_)) => return Err(Broken::Taker),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(any))
    }

    /// Receives into the worker's buffer and sends from there; what is not taken at once waits.
    fn copy(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut Buffers,
        from: &mut Socket,
        to: &mut Socket,
    ) -> Result<Poll<()>, Broken> {
        let room = buffers.room(HEADROOM);
        let count = match from.poll_recv(cx, room) {
            Poll::Ready(Ok(0)) => {
                self.phase = Phase::Ended;
                return Ok(Poll::Ready(()));
            }
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Err(Broken::Sender),
            Poll::Pending => return Ok(Poll::Pending),
        };
        self.bytes += count as u64;
        self.run = if count >= LARGE { self.run + count } else { 0 };
        self.splices = self.run >= SPLICE_FROM;
        let sent = match to.poll_send(cx, &room[..count]) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(_)) => return Err(Broken::Taker),
            Poll::Pending => 0,
        };
        if sent < count {
            self.waiting.extend_from_slice(&room[sent..count]);
        }
        Ok(Poll::Ready(()))
    }

    /// Moves bytes into a pipe. Without descriptors for one they are copied.
    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Socket,
    ) -> Result<Poll<()>, Broken> {
        if self.pipe.is_none() {
            self.pipe = worker.kept_pipe().or_else(|| Pipe::new().ok());
        }
        let Some(pipe) = &mut self.pipe else {
            self.copy_again();
            return Ok(Poll::Ready(()));
        };
        match from.poll_splice_in(cx, pipe, u64::MAX) {
            Poll::Ready(Ok(0)) => self.phase = Phase::Ended,
            Poll::Ready(Ok(count)) => {
                self.bytes += count as u64;
                self.small_pieces = if count < SMALL { self.small_pieces + 1 } else { 0 };
                if self.small_pieces >= SMALL_PIECES {
                    self.copy_again();
                }
            }
            Poll::Ready(Err(_)) => return Err(Broken::Sender),
            Poll::Pending => return Ok(Poll::Pending),
        }
        Ok(Poll::Ready(()))
    }

    fn copy_again(&mut self) {
        (self.splices, self.run, self.small_pieces) = (false, 0, 0);
    }

    /// Nothing comes for now: an empty pipe serves others meanwhile. Nothing is waiting here.
    fn rest(&mut self, worker: &Worker) {
        if let Some(pipe) = self.pipe.take() {
            worker.keep_pipe(pipe);
        }
    }
}
