//! A socket with TLS on it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use tollgate_tls::{Session, Wire};

use super::Socket;

/// How many bytes of several parts leave in one send.
const GATHERED: usize = 64 * 1024;

/// A socket with TLS on it.
#[derive(Debug)]
pub struct Secured {
    /// What is below.
    pub wire: Under,
    /// What stands between.
    pub session: Session,
}

/// A socket, and what was received on it before it was known to carry TLS.
#[derive(Debug)]
pub struct Under {
    /// The socket.
    pub socket: Socket,
    /// What comes first; without memory once it has been taken.
    pub early: Vec<u8>,
}

impl Wire for Under {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.early.is_empty() {
            return self.socket.poll_recv(cx, buf);
        }
        let len = self.early.len().min(buf.len());
        buf[..len].copy_from_slice(&self.early[..len]);
        self.early = self.early.split_off(len);
        Poll::Ready(Ok(len))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, bytes)
    }
}

thread_local! {
    /// One buffer for all connections of a worker, at most [`GATHERED`] long.
    static PARTS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Secured {
    /// Puts TLS on a socket.
    pub fn new(wire: Under, session: Session) -> Self {
        Self { wire, session }
    }

    /// Whether an idle connection is open and nothing has come on it but what TLS itself says.
    pub fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.session.poll_recv(&mut cx, &mut self.wire, &mut [0; 1]).is_pending()
    }

    /// Sends the parts as one, so that they share a record.
    pub fn poll_send_parts(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [part] = parts {
            return self.session.poll_send(cx, &mut self.wire, part);
        }
        let mut gathered = PARTS.take();
        gathered.clear();
        for part in parts {
            let room = GATHERED - gathered.len();
            gathered.extend_from_slice(&part[..part.len().min(room)]);
        }
        let sent = self.session.poll_send(cx, &mut self.wire, &gathered);
        PARTS.set(gathered);
        sent
    }
}
