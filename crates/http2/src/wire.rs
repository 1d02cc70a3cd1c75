//! The byte stream under h2: watches what comes in, gathers what goes out.
//!
//! h2 flushes after each DATA frame that it does not copy. Here a flush only counts once the connection has
//! nothing more to say: what all streams produced in one turn leaves in one write, and in few TLS records.

use std::cell::{RefCell, RefMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frames::{Scan, Scanner};
use crate::guard::Guard;

/// How much output is gathered before more is refused.
const GATHERED_MAX: usize = 64 * 1024;
/// What is allocated at once for output.
const GATHERED_STEP: usize = 8 * 1024;
/// How many heads are let through until those before them were accepted. Bounds the memory of heads that
/// are large once they are decoded, and lets the first be served before the last is read.
const HEADS_AT_ONCE: usize = 16;
/// How much is remembered of what was written last: enough for a GOAWAY with h2's word for its reason.
const TAIL_MAX: usize = 64;
/// How much is read of a connection that has ended.
const LINGER_MAX: usize = 1024 * 1024;

/// The watch over a client's bytes.
struct Watch {
    scanner: Scanner,
    guard: Rc<Guard>,
    quota: usize,
    /// A head was held back since [`Wire::let_heads_pass`].
    held_back: bool,
    flooded: bool,
}

struct Inner<T> {
    io: T,
    /// Bytes that were read and not passed on yet.
    carried: Bytes,
    output: BytesMut,
    /// Whether flushes wait for [`Wire::poll_send_gathered`].
    gathers: bool,
    /// Whether a write was refused since the last flush.
    refused: bool,
    tail: Vec<u8>,
    watch: Option<Watch>,
    lingered: usize,
}

/// A shared handle of the byte stream; h2 has one, its driver another.
pub(crate) struct Wire<T>(Rc<RefCell<Inner<T>>>);

impl<T> Clone for Wire<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// A wire whose first bytes were read already; watched where there is a guard.
    pub(crate) fn new(io: T, already_read: Bytes, guard: Option<Rc<Guard>>) -> Self {
        let watch = guard.map(|guard| Watch {
            scanner: Scanner::new(),
            guard,
            quota: HEADS_AT_ONCE,
            held_back: false,
            flooded: false,
        });
        Self(Rc::new(RefCell::new(Inner {
            io,
            carried: already_read,
            output: BytesMut::new(),
            gathers: false,
            refused: false,
            tail: Vec::new(),
            watch,
            lingered: 0,
        })))
    }

    /// From now on output is gathered until [`Wire::poll_send_gathered`].
    pub(crate) fn gather(&self) {
        self.0.borrow_mut().gathers = true;
    }

    /// Sends all that was gathered.
    pub(crate) fn poll_send_gathered(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_drain(cx)
    }

    /// Whether output waits for the peer to take it.
    pub(crate) fn has_output(&self) -> bool {
        !self.0.borrow().output.is_empty()
    }

    /// Whether a write was refused since this was asked last: then h2 has frames that it did not look at.
    pub(crate) fn take_refused(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().refused)
    }

    /// Lets the next heads pass; true where some were held back.
    pub(crate) fn let_heads_pass(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        let Some(watch) = inner.watch.as_mut() else { return false };
        watch.quota = HEADS_AT_ONCE;
        std::mem::take(&mut watch.held_back)
    }

    /// How many heads of new streams were passed on.
    pub(crate) fn heads(&self) -> u64 {
        self.0.borrow().watch.as_ref().map_or(0, |watch| watch.scanner.heads())
    }

    /// Whether `needle` is among the bytes that were written last.
    pub(crate) fn wrote_last(&self, needle: &str) -> bool {
        self.0.borrow().tail.windows(needle.len()).any(|window| window == needle.as_bytes())
    }

    /// Sends what is left and reads what still comes, to throw it away: a socket that is closed with bytes
    /// unread would take the last frames back. Ready when the peer has closed, or sent too much.
    pub(crate) fn poll_linger(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.borrow_mut();
        let sent = inner.poll_drain(cx);
        if let Poll::Ready(Err(_)) = sent {
            return Poll::Ready(());
        }
        if sent.is_ready() && Pin::new(&mut inner.io).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut inner.io).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() && inner.lingered < LINGER_MAX => {
                    inner.lingered += buf.filled().len();
                }
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Inner<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
        }
        // An idle connection keeps no buffer.
        if self.output.capacity() > 0 {
            self.output = BytesMut::new();
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Makes room for output, by sending where there is none.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.output.len() >= GATHERED_MAX {
            let drained = self.poll_drain(cx)?;
            if drained.is_pending() && self.output.len() >= GATHERED_MAX {
                self.refused = true;
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(GATHERED_MAX - self.output.len()))
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.output.capacity() == 0 {
            self.output.reserve(GATHERED_STEP.max(bytes.len()));
        }
        self.output.extend_from_slice(bytes);
    }

    fn remember(&mut self) {
        if self.watch.is_some() {
            self.tail.clear();
            let start = self.output.len().saturating_sub(TAIL_MAX);
            self.tail.extend_from_slice(&self.output[start..]);
        }
    }

    /// Looks at the bytes that were just read, and takes away those that are not to be passed on.
    fn watch(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let Some(watch) = self.watch.as_mut() else { return };
        let bytes = &buf.filled()[start..];
        let passed = match watch.scanner.scan(bytes, &mut watch.quota, &watch.guard) {
            Scan::All => return,
            Scan::Flood(passed) => {
                watch.flooded = true;
                passed
            }
            Scan::Until(passed) => {
                watch.held_back = true;
                self.carried = [&bytes[passed..], &self.carried[..]].concat().into();
                passed
            }
        };
        buf.set_filled(start + passed);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        if inner.watch.as_ref().is_some_and(|watch| watch.flooded || watch.held_back) {
            return Poll::Pending;
        }
        let start = buf.filled().len();
        if inner.carried.is_empty() {
            ready!(Pin::new(&mut inner.io).poll_read(cx, buf))?;
        } else {
            let taken = inner.carried.len().min(buf.remaining());
            buf.put_slice(&inner.carried.split_to(taken));
        }
        if buf.filled().len() == start {
            return Poll::Ready(Ok(()));
        }
        inner.watch(buf, start);
        // Nothing to pass on is not the end: the driver looks at the watch when h2 has come to rest.
        if buf.filled().len() == start { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner: RefMut<'_, Inner<T>> = self.0.borrow_mut();
        let mut room = ready!(inner.poll_room(cx))?;
        let mut taken = 0;
        for slice in slices {
            let bytes = &slice[..slice.len().min(room)];
            inner.push(bytes);
            taken += bytes.len();
            room -= bytes.len();
        }
        inner.remember();
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        if inner.gathers { Poll::Ready(Ok(())) } else { inner.poll_drain(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}
