//! The one place where exchanges touch sockets: receive into a buffer, send, splice, look whether the
//! other side is still there.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tollgate_runtime::splice::Pipe;
use tollgate_tls::{HandshakeFailure, Session};

mod secured;

use secured::{Secured, Under};

/// How many calls a socket serves before the reactor knows it: more than a short connection needs. They
/// do not count towards the turn of their task, so a client that never pauses would keep all others waiting.
const FRESH_CALLS: u8 = 8;

/// A connected TCP socket, with or without TLS on it.
///
/// One that was just accepted is not known to the reactor until there is something to wait for: a
/// client that sends one request and closes is served without the two system calls that make it known
/// and unknown, which is a tenth of such a connection's cost.
#[derive(Debug)]
pub struct Socket {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not blocking, unknown to the reactor; with the number of calls it may still serve like that.
    Fresh(std::net::TcpStream, u8),
    Registered(TcpStream),
    Secured(Box<Secured>),
    /// The reactor would not take it.
    Lost,
}

impl Socket {
    /// Takes over a stream that the reactor knows.
    pub fn new(stream: TcpStream) -> Self {
        Self { state: State::Registered(stream) }
    }

    /// Takes over a stream that was just accepted, and does not block.
    pub fn fresh(stream: std::net::TcpStream) -> Self {
        Self { state: State::Fresh(stream, FRESH_CALLS) }
    }

    /// No socket: what there was has gone elsewhere.
    pub fn lost() -> Self {
        Self { state: State::Lost }
    }

    /// Whether the reactor knows the socket. One that it does not know wakes nobody.
    pub fn is_registered(&self) -> bool {
        match &self.state {
            State::Registered(_) => true,
            State::Secured(secured) => secured.wire.socket.is_registered(),
            State::Fresh(..) | State::Lost => false,
        }
    }

    /// Speaks TLS on it from now on. `early` has been received already, and is the start of it.
    pub fn secure(&mut self, session: Session, early: Vec<u8>) {
        let socket = Self { state: std::mem::replace(&mut self.state, State::Lost) };
        self.state = State::Secured(Box::new(Secured::new(Under { socket, early }, session)));
    }

    /// The TLS session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Secured(secured) => Some(&secured.session),
            _ => None,
        }
    }

    /// Brings a TLS handshake forward; without TLS there is none.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeFailure>> {
        match &mut self.state {
            State::Secured(secured) => secured.session.poll_handshake(cx, &mut secured.wire),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Ready when all that was taken has been handed to the kernel.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Secured(secured) => secured.session.poll_flush(cx, &mut secured.wire),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Receives into `buf`; 0 means that the peer has closed its side.
    ///
    /// `poll_read` takes a short read as "nothing more is there", which saves the call that would
    /// only return `EAGAIN`. So `buf` should be larger than what is expected.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let State::Secured(secured) = &mut self.state {
            return secured.session.poll_recv(cx, &mut secured.wire, buf);
        }
        if let Some(stream) = self.fresh_call() {
            match rustix::net::recv(stream, &mut *buf, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Poll::Ready(result.map(|(received, _)| received).map_err(io::Error::from)),
            }
        }
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(self.registered()?).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Sends bytes; may take fewer than given.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let State::Secured(secured) = &mut self.state {
            return secured.session.poll_send(cx, &mut secured.wire, bytes);
        }
        if let Some(stream) = self.fresh_call() {
            match rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Poll::Ready(result.map_err(io::Error::from)),
            }
        }
        Pin::new(self.registered()?).poll_write(cx, bytes)
    }

    /// Says that nothing more will be sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Fresh(stream, _) => Poll::Ready(stream.shutdown(Shutdown::Write)),
            State::Secured(secured) => {
                ready!(secured.session.poll_close(cx, &mut secured.wire))?;
                secured.wire.socket.poll_shutdown(cx)
            }
            _ => Pin::new(self.registered()?).poll_shutdown(cx),
        }
    }

    /// Moves at most `limit` received bytes into `pipe`; 0 means that the peer has closed its side.
    pub fn poll_splice_in(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        limit: u64,
    ) -> Poll<io::Result<usize>> {
        let stream = self.registered()?;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_io(Interest::READABLE, || pipe.fill(stream.as_fd(), limit)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Sends what `pipe` holds; may take less.
    pub fn poll_splice_out(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let stream = self.registered()?;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || pipe.drain(stream.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether bytes can move between it and a pipe.
    pub fn can_splice(&self) -> bool {
        !matches!(self.state, State::Secured(_))
    }

    /// Whether an idle connection still looks alive, as far as the reactor has heard. Costs no system
    /// call unless something has arrived, and whatever arrives on an idle connection ends it: its
    /// close, or bytes nobody asked for.
    pub fn looks_alive(&mut self) -> bool {
        match &mut self.state {
            // Tickets come when they like, and are no answer to anything.
            State::Secured(secured) => secured.is_quiet(),
            State::Registered(stream) => {
                matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            _ => self.is_alive(),
        }
    }

    /// Asks the kernel whether the connection is open and nothing has arrived on it. One system call more
    /// than [`Socket::looks_alive`], for requests that could not be sent a second time.
    pub fn is_alive(&self) -> bool {
        if self.session().is_some_and(Session::has_plaintext) {
            return false;
        }
        let Some(socket) = self.as_fd() else { return false };
        let peeked = rustix::net::recv(socket, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(Errno::AGAIN))
    }

    /// The port on this side; 0 if the kernel does not tell.
    pub fn local_port(&self) -> u16 {
        self.local_address().map_or(0, |address| address.port())
    }

    /// The address on this side.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Fresh(stream, _) => stream.local_addr().ok(),
            State::Registered(stream) => stream.local_addr().ok(),
            State::Secured(secured) => secured.wire.socket.local_address(),
            State::Lost => None,
        }
    }

    /// Makes closing the socket reset the connection, so that the peer cannot take what it got for
    /// the whole.
    pub fn reset_on_close(&self) {
        if let Some(socket) = self.as_fd() {
            // If it fails the peer sees an ordinary close, which is all that can be done then.
            let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    /// The stream, for a call that the reactor need not know of.
    fn fresh_call(&mut self) -> Option<&std::net::TcpStream> {
        match &mut self.state {
            State::Fresh(stream, calls) if *calls > 0 => {
                *calls -= 1;
                Some(stream)
            }
            _ => None,
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Fresh(stream, _) => Some(stream.as_fd()),
            State::Registered(stream) => Some(stream.as_fd()),
            State::Secured(secured) => secured.wire.socket.as_fd(),
            State::Lost => None,
        }
    }

    /// The stream as the reactor knows it, made known first if it is not.
    fn registered(&mut self) -> io::Result<&mut TcpStream> {
        if let State::Fresh(..) = self.state
            && let State::Fresh(stream, _) = std::mem::replace(&mut self.state, State::Lost)
        {
            self.state = State::Registered(TcpStream::from_std(stream)?);
        }
        match &mut self.state {
            State::Registered(stream) => Ok(stream),
            State::Fresh(..) | State::Secured(_) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// For libraries that read and write their connection themselves.
impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Registered(stream) = &mut self.state {
            return Pin::new(stream).poll_read(cx, buf);
        }
        let received = ready!(self.poll_recv(cx, buf.initialize_unfilled()))?;
        buf.advance(received);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Secured(secured) => secured.poll_send_parts(cx, parts),
            _ => Pin::new(self.registered()?).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_flush(&mut self, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_shutdown(&mut self, cx)
    }
}
