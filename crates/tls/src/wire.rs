//! What a session is driven over, and the memory that a worker lends to all its sessions.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

/// The bytes below TLS: a socket, as far as a session needs it.
pub trait Wire {
    /// Receives into `buf`, which is never empty; 0 means that the peer has closed its side.
    ///
    /// # Errors
    /// What the socket reports.
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Sends as many of the bytes as the socket takes. `bytes` is never empty.
    ///
    /// # Errors
    /// What the socket reports.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
}

thread_local! {
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SENT: Cell<Outbox> = const { Cell::new(Outbox::new()) };
}

/// A buffer of at least `len` bytes that the thread's sessions use one after the other, so that a session
/// keeps no buffer of its own. What is in it is left over from others: only what was written may be read.
pub(crate) fn with_received<T>(len: usize, use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = RECEIVED.take();
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let result = use_it(&mut buffer);
    RECEIVED.set(buffer);
    result
}

/// The same for what is sent. It is empty at first.
pub(crate) fn with_sent<T>(use_it: impl FnOnce(&mut Outbox) -> T) -> T {
    let mut outbox = SENT.take();
    let result = use_it(&mut outbox);
    outbox.len = 0;
    SENT.set(outbox);
    result
}

/// Ciphertext on its way out. The space behind it was zeroed once, not each time.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    len: usize,
}

impl Outbox {
    const fn new() -> Self {
        Self { bytes: Vec::new(), len: 0 }
    }

    /// What is to be sent.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.space()[..bytes.len()].copy_from_slice(bytes);
        self.wrote(bytes.len());
    }

    /// Where to write what follows.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    /// Makes room for this many bytes.
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.bytes.len() < self.len + more {
            self.bytes.resize(self.len + more, 0);
        }
    }

    /// So many bytes of the space have been written.
    pub(crate) fn wrote(&mut self, written: usize) {
        self.len += written;
    }
}
