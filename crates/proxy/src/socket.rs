//! The one place where exchanges touch sockets: receive into a buffer, send, splice, look whether the
//! other side is still there.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tollgate_runtime::splice::Pipe;

/// A connected TCP socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Receives into `buf`; 0 means that the peer has closed its side.
    ///
    /// `poll_read` takes a short read as "nothing more is there", which saves the call that would
    /// only return `EAGAIN`. So `buf` should be larger than what is expected.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Sends bytes; may take fewer than given.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Says that nothing more will be sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Moves at most `limit` received bytes into `pipe`; 0 means that the peer has closed its side.
    pub fn poll_splice_in(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        limit: u64,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_io(Interest::READABLE, || pipe.fill(self.stream.as_fd(), limit)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Sends what `pipe` holds; may take less.
    pub fn poll_splice_out(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || pipe.drain(self.stream.as_fd(), more)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether an idle connection still looks alive, as far as the reactor has heard. Costs no system
    /// call unless something has arrived, and whatever arrives on an idle connection ends it: its
    /// close, or bytes nobody asked for.
    pub fn looks_alive(&self) -> bool {
        matches!(self.stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Asks the kernel whether the connection is open and nothing has arrived on it. One system call more
    /// than [`Socket::looks_alive`], for requests that could not be sent a second time.
    pub fn is_alive(&self) -> bool {
        let peeked =
            rustix::net::recv(self.stream.as_fd(), &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(error) if error == rustix::io::Errno::AGAIN)
    }

    /// The port on this side; 0 if the kernel does not tell.
    pub fn local_port(&self) -> u16 {
        self.stream.local_addr().map_or(0, |address| address.port())
    }

    /// Makes closing the socket reset the connection, so that the peer cannot take what it got for
    /// the whole.
    pub fn reset_on_close(&self) {
        // If it fails the peer sees an ordinary close, which is all that can be done then.
        let _ = self.stream.set_zero_linger();
    }
}
