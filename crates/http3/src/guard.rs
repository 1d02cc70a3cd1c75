//! What the streams of a connection share: how it ended, and the budgets that attacks run into.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h3::error::Code;
use quinn::{SendStream, VarInt};
use tollgate_decision::Reason;
use tollgate_runtime::Clock;

use crate::adapter::varint;
use crate::ended::Ended;
use crate::frames::BadFrames;

/// How long failed streams count.
const PERIOD_MS: u64 = 30_000;

/// Frames that say nothing a connection may send, to begin with and for each request.
const FREE_FRAMES: i64 = 1000;
const FREE_FRAMES_PER_STREAM: i64 = 16;

/// One connection's state, shared by its streams.
pub(crate) struct Guard {
    quinn: quinn::Connection,
    ended: RefCell<Option<Ended>>,
    /// Request streams that are not dropped yet.
    open: Cell<usize>,
    /// Wakes the connection when a stream is over.
    waker: RefCell<Option<Waker>>,
    /// Streams whose end is sent but perhaps not acknowledged: what closes the connection would lose them.
    unacknowledged: RefCell<VecDeque<SendStream>>,
    free_frames: Cell<i64>,
    cancelled: Cell<u32>,
    provoked: Cell<u32>,
    clock: Clock,
    period_began_ms: Cell<u64>,
    max_cancelled: u32,
}

impl Guard {
    pub(crate) fn new(quinn: quinn::Connection, max_cancelled: u32) -> Rc<Self> {
        let clock = Clock::new();
        Rc::new(Self {
            quinn,
            ended: RefCell::new(None),
            open: Cell::new(0),
            waker: RefCell::new(None),
            unacknowledged: RefCell::new(VecDeque::new()),
            free_frames: Cell::new(FREE_FRAMES),
            cancelled: Cell::new(0),
            provoked: Cell::new(0),
            period_began_ms: Cell::new(clock.now_ms()),
            clock,
            max_cancelled,
        })
    }

    /// Ends the connection, unless it has ended; the first cause is the one that is told.
    pub(crate) fn fail(&self, reason: Reason, code: Code, detail: impl Into<String>) {
        let mut ended = self.ended.borrow_mut();
        if ended.is_none() && self.quinn.close_reason().is_none() {
            let cause = Ended::new(reason, detail);
            self.quinn.close(varint(code.value()), cause.detail.as_bytes());
            *ended = Some(cause);
        }
    }

    /// Ends the connection for frames that break its rules.
    pub(crate) fn bad_frames(&self, bad: BadFrames) {
        let (code, detail) = bad.code();
        let reason = if bad == BadFrames::TooLong { Reason::FrameFlood } else { Reason::ProtocolViolation };
        self.fail(reason, code, detail);
    }

    /// Why Tollgate ended the connection, if it did.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Why the connection ended, as an error of it says.
    pub(crate) fn explain(&self, error: &quinn::ConnectionError) -> Ended {
        self.ended().unwrap_or_else(|| Ended::after_handshake(error))
    }

    /// A frame came that says nothing.
    pub(crate) fn empty_frames(&self, frames: u32) {
        let left = self.free_frames.get() - i64::from(frames);
        self.free_frames.set(left);
        if left < 0 {
            self.fail(Reason::FrameFlood, Code::H3_EXCESSIVE_LOAD, "too many frames that say nothing");
        }
    }

    pub(crate) fn opened(&self) {
        self.open.set(self.open.get() + 1);
        self.free_frames.set((self.free_frames.get() + FREE_FRAMES_PER_STREAM).min(FREE_FRAMES));
    }

    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// A stream is over in this way; `sent` is what it was sent on, where its end is sent.
    pub(crate) fn closed(&self, outcome: Outcome, sent: Option<SendStream>) {
        self.open.set(self.open.get() - 1);
        match outcome {
            Outcome::Served => {
                self.cancelled.set(self.cancelled.get().saturating_sub(1));
                self.provoked.set(self.provoked.get().saturating_sub(1));
            }
            Outcome::Cancelled => {
                self.count(&self.cancelled, Reason::RapidReset, "too many streams were cancelled")
            }
            Outcome::Provoked => {
                self.count(&self.provoked, Reason::ProvokedReset, "too many streams were malformed")
            }
            Outcome::Reset => {}
        }
        if let Some(stream) = sent {
            self.remember(stream);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn count(&self, counter: &Cell<u32>, reason: Reason, detail: &str) {
        let now_ms = self.clock.now_ms();
        if now_ms - self.period_began_ms.get() > PERIOD_MS {
            self.period_began_ms.set(now_ms);
            self.cancelled.set(0);
            self.provoked.set(0);
        }
        counter.set(counter.get() + 1);
        if counter.get() > self.max_cancelled {
            self.fail(reason, Code::H3_EXCESSIVE_LOAD, detail);
        }
    }

    /// Keeps a stream until it is acknowledged. Looks at two old ones for each new one, so that they do not pile up;
    /// there are never more than the client may have open.
    fn remember(&self, stream: SendStream) {
        let mut streams = self.unacknowledged.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            if streams.front().is_some_and(|stream| poll_acknowledged(stream, &mut cx).is_ready()) {
                streams.pop_front();
            }
        }
        streams.push_back(stream);
    }

    /// Ready when all that was sent to the end is acknowledged.
    pub(crate) fn poll_acknowledged(
        &self,
        waiting: &mut Option<Acknowledgement>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut streams = self.unacknowledged.borrow_mut();
        while let Some(stream) = streams.front() {
            let future = waiting.get_or_insert_with(|| {
                let stopped = stream.stopped();
                Box::pin(async move { drop(stopped.await) })
            });
            if future.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            *waiting = None;
            streams.pop_front();
        }
        Poll::Ready(())
    }

    /// Has `cx` woken when a stream is over.
    pub(crate) fn wake_on_close(&self, cx: &Context<'_>) {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
    }
}

/// Waits until the client has a stream as a whole, or wants no more of it.
pub(crate) type Acknowledgement = std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn poll_acknowledged(stream: &SendStream, cx: &mut Context<'_>) -> Poll<()> {
    pin!(stream.stopped()).poll(cx).map(drop)
}

/// How a request stream went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// To its end.
    Served,
    /// The client cancelled it.
    Cancelled,
    /// The client broke the rules, so that it had to be reset.
    Provoked,
    /// Tollgate cut it short.
    Reset,
}

/// The code of a stream that is over early with nobody at fault.
pub(crate) fn no_error() -> VarInt {
    varint(Code::H3_NO_ERROR.value())
}
