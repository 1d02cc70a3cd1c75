//! One side of an exchange: a connection of its own that carries HTTP/1.1, or a stream of a multiplexed one.
//! The forward loop knows no other difference between protocols.

use std::io;
use std::task::{Context, Poll, ready};

use tollgate_decision::Reason;
use tollgate_runtime::splice::Pipe;
use tollgate_streams::{MessageStream, StreamFailure};

use crate::http::Refusal;
use crate::socket::Socket;

/// What carries a message.
pub enum Link {
    /// A connection of its own: HTTP/1.1 with its framing.
    Bytes(Socket),
    /// A stream that frames bodies itself.
    Stream(Carried),
}

/// A stream, and whether its sending side is over.
pub struct Carried {
    stream: Box<dyn MessageStream>,
    finished: bool,
}

impl From<Socket> for Link {
    fn from(socket: Socket) -> Self {
        Self::Bytes(socket)
    }
}

impl From<Box<dyn MessageStream>> for Link {
    fn from(stream: Box<dyn MessageStream>) -> Self {
        Self::Stream(Carried { stream, finished: false })
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(socket) => socket.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Link {
    /// Whether bodies are framed beside the bytes instead of in them.
    #[inline]
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Whether the reactor knows it, so that it wakes who waits for it.
    pub fn is_registered(&self) -> bool {
        match self {
            Self::Bytes(socket) => socket.is_registered(),
            Self::Stream(_) => true,
        }
    }

    /// Receives into `buf`; 0 means that nothing more will come.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Bytes(socket) => socket.poll_recv(cx, buf),
            Self::Stream(carried) => carried.stream.poll_recv(cx, buf),
        }
    }

    /// Sends bytes; may take fewer than given.
    #[inline]
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Bytes(socket) => socket.poll_send(cx, bytes),
            Self::Stream(carried) => carried.stream.poll_send(cx, bytes),
        }
    }

    /// Hands over what is held back; to be called before waiting.
    #[inline]
    pub fn flush(&mut self, cx: &mut Context<'_>) {
        match self {
            // An error shows when something is sent or received.
            Self::Bytes(socket) => drop(socket.poll_flush(cx)),
            Self::Stream(carried) => carried.stream.flush(),
        }
    }

    /// Ends the message that is sent, where its end is told beside the bytes.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<io::Result<()>> {
        match self {
            Self::Bytes(socket) => socket.poll_flush(cx),
            Self::Stream(carried) if carried.finished => Poll::Ready(Ok(())),
            Self::Stream(carried) => {
                ready!(carried.stream.poll_finish(cx, trailers))?;
                carried.finished = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The trailers of a message that has ended, where they are told beside the bytes.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        match self {
            Self::Bytes(_) => Vec::new(),
            Self::Stream(carried) => carried.stream.take_trailers(),
        }
    }

    /// Says that nothing more will be sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Bytes(socket) => socket.poll_shutdown(cx),
            Self::Stream(_) => self.poll_finish(cx, b""),
        }
    }

    /// Ready when a stream was cancelled by its other side. Bytes tell it when they are received.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Bytes(_) => Poll::Pending,
            Self::Stream(carried) => carried.stream.poll_cancelled(cx),
        }
    }

    /// Whether the connection is open and nothing has arrived on it; see [`Socket::is_alive`].
    pub fn is_alive(&self) -> bool {
        match self {
            Self::Bytes(socket) => socket.is_alive(),
            Self::Stream(_) => true,
        }
    }

    /// The socket, where bytes can move inside the kernel.
    #[inline]
    pub fn splices(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Bytes(socket) if socket.can_splice() => Some(socket),
            _ => None,
        }
    }

    /// Sends what `pipe` holds; may take less.
    pub fn poll_splice_out(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        match self.splices() {
            Some(socket) => socket.poll_splice_out(cx, pipe),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Cuts it short, so that the other side cannot take what it got for the whole.
    pub fn cut(&mut self) {
        match self {
            Self::Bytes(socket) => socket.reset_on_close(),
            Self::Stream(carried) => carried.stream.reset(),
        }
    }

    /// Why a client's side ended before its time.
    pub fn client_gone(&self) -> Reason {
        match self {
            Self::Bytes(_) => Reason::ClientClosed,
            Self::Stream(_) => Reason::ClientReset,
        }
    }
}

/// What is told of an endpoint's connection that failed; `None` where it just ended.
pub fn upstream_failure(error: &io::Error) -> Option<Refusal> {
    // In TLS 1.3 an endpoint refuses a client's certificate, or its lack of one, after the handshake.
    if let Some(detail) = tollgate_tls::refusal(error) {
        return Some(Refusal { reason: Reason::UpstreamTlsFailed, detail: Some(detail) });
    }
    stream_reason(error).map(Refusal::from)
}

fn stream_reason(error: &io::Error) -> Option<Reason> {
    match StreamFailure::of(error)? {
        StreamFailure::Refused => Some(Reason::UpstreamRefusedStream),
        StreamFailure::Reset(_) => Some(Reason::UpstreamReset),
        StreamFailure::Malformed(_) => Some(Reason::BadResponse),
        StreamFailure::Unsendable(_) => Some(Reason::BadTarget),
        StreamFailure::ConnectionLost => None,
    }
}
