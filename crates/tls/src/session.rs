//! One connection's TLS, on either side.

mod engine;
mod handshake;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{CommonState, HandshakeKind, ProtocolVersion};

use crate::acceptor::Acceptor;
use crate::failure::{self, HandshakeFailure};
use crate::wire::{Outbox, Wire, with_received, with_sent};
use engine::{Engine, Sink, Stop, Task};

/// How many plain bytes one send takes at most: four full records, which leave in one send of the wire.
const TAKEN_AT_ONCE: usize = 4 * 16 * 1024;

/// The longest record there can be (RFC 8446 section 5.2), with its header.
const RECORD: usize = 5 + 16 * 1024 + 256;

/// How many bytes may wait for the rest of what they belong to: a handshake message of 64 KiB, which rustls
/// does not exceed, in its records.
const INCOMPLETE: usize = 128 * 1024;

/// One connection's TLS, on either side.
///
/// While a connection is idle, a session holds rustls' state and nothing else; all buffers are lent by the
/// thread for the time of a call. What may wait in it is bounded: at most 64 KiB of plain bytes are taken and
/// encrypted before the wire must have taken them all, and at most as much is received as the caller's buffer
/// is long (a record, where that is longer).
pub struct Session(Box<Inner>);

struct Inner {
    stage: Stage,
    /// Received, but not complete.
    incoming: Vec<u8>,
    /// Encrypted, but not sent.
    outgoing: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// Decrypted, but not asked for.
    plain: Vec<u8>,
    /// How much of it is handed out.
    read: usize,
    /// The name that the client asked for, or that the server must have.
    server_name: Option<Box<str>>,
    /// The protocol that the peer must have agreed to.
    must_speak: Option<Arc<[u8]>>,
    /// What waits to be sent are tickets, which may go out with the first response.
    held: bool,
    /// Something came in.
    began: bool,
    peer_closed: bool,
    closed: bool,
}

/// How far a session is.
enum Stage {
    /// A server that has not seen the whole first message.
    Hello(Arc<Acceptor>),
    /// The acceptor is there for a server only.
    Running(Box<Engine>, Option<Arc<Acceptor>>),
    /// It ended by an error.
    Failed,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server_name", &self.0.server_name)
            .field("version", &self.version())
            .field("pending", &self.wants_flush())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A server's session.
    pub(crate) fn server(acceptor: Arc<Acceptor>) -> Self {
        Self::new(Stage::Hello(acceptor), None, None)
    }

    /// A client's session.
    pub(crate) fn client(
        connection: rustls::client::UnbufferedClientConnection,
        name: &str,
        must_speak: Option<Arc<[u8]>>,
    ) -> Result<Self, HandshakeFailure> {
        let stage = Stage::Running(Box::new(Engine::Client(connection)), None);
        let mut session = Self::new(stage, Some(name.into()), must_speak);
        session.0.run()?;
        Ok(session)
    }

    fn new(stage: Stage, server_name: Option<Box<str>>, must_speak: Option<Arc<[u8]>>) -> Self {
        Self(Box::new(Inner {
            stage,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            plain: Vec::new(),
            read: 0,
            server_name,
            must_speak,
            held: false,
            began: false,
            peer_closed: false,
            closed: false,
        }))
    }

    /// Receives plain bytes into `buf`; 0 where the peer has closed its side in an orderly way (a
    /// `close_notify` alert), or `buf` is empty. To be called once the handshake is done.
    ///
    /// What TLS itself must say (an alert, the client's last handshake message) is sent before it waits.
    ///
    /// # Errors
    /// `UnexpectedEof` where the peer went without closing, so that what was received may have been cut
    /// short; `InvalidData` with a [`rustls::Error`] where it broke the protocol ([`describe_error`] tells
    /// what happened); else what the wire reports.
    ///
    /// [`describe_error`]: crate::describe_error
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if inner.has_plaintext() {
            return Poll::Ready(Ok(inner.hand_out(buf)));
        }
        if inner.peer_closed {
            return Poll::Ready(Ok(0));
        }
        loop {
            // An error of the way out shows when something is sent; what came in is still worth having.
            if !inner.held {
                let _ = inner.poll_drain(cx, wire);
            }
            let filled = ready!(inner.poll_more(cx, wire, buf))?;
            if filled > 0 || inner.peer_closed {
                if !inner.held {
                    let _ = inner.poll_drain(cx, wire);
                }
                return Poll::Ready(Ok(filled));
            }
        }
    }

    /// Encrypts plain bytes and sends them: how many were taken, at most 64 KiB. What is handed over in one
    /// call leaves in one send of the wire, in records of up to 16 KiB. What the wire did not take waits in
    /// the session ([`Session::wants_flush`]), and nothing more is taken while it does.
    ///
    /// # Errors
    /// What the wire reports; `InvalidData` where the session cannot send any more.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0;
        if !inner.held {
            ready!(inner.poll_drain(cx, wire))?;
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if inner.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = &bytes[..bytes.len().min(TAKEN_AT_ONCE)];
        Poll::Ready(inner.encrypt_and_send(cx, wire, Task::Encrypt(taken)).map(|()| taken.len()))
    }

    /// Ready when all that was taken is handed to the wire, tickets that wait for the first response too.
    ///
    /// # Errors
    /// What the wire reports.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        self.0.poll_drain(cx, wire)
    }

    /// Tells the peer that nothing more will be sent (a `close_notify` alert). Ready when that and all before
    /// it is handed to the wire. The wire may then be shut down.
    ///
    /// # Errors
    /// What the wire reports.
    pub fn poll_close(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        let inner = &mut *self.0;
        if !inner.held {
            ready!(inner.poll_drain(cx, wire))?;
        }
        if !inner.closed {
            inner.closed = true;
            if matches!(&inner.stage, Stage::Running(engine, _) if !engine.common().is_handshaking()) {
                inner.encrypt_and_send(cx, wire, Task::Close)?;
            }
        }
        inner.poll_drain(cx, wire)
    }

    /// Whether something waits to be sent that must not wait for more: the wire is to be waited for, and
    /// [`Session::poll_flush`] called.
    pub fn wants_flush(&self) -> bool {
        !self.0.held && self.0.waits()
    }

    /// Whether decrypted bytes wait to be received. A socket's readiness tells nothing about those.
    pub fn has_plaintext(&self) -> bool {
        self.0.has_plaintext()
    }

    /// The name that the client asked for (SNI), in lower case, or the name that the server must have. It is
    /// known as soon as the first message is, also where the handshake fails.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The application protocol that was agreed upon.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.common()?.alpn_protocol()
    }

    /// The version that was agreed upon, as OpenSSL writes it.
    pub fn version(&self) -> Option<&'static str> {
        match self.common()?.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    /// The cipher suite that was agreed upon, by its name at IANA.
    pub fn cipher(&self) -> Option<&'static str> {
        self.common()?.negotiated_cipher_suite()?.suite().as_str()
    }

    /// Whether an earlier session was resumed.
    pub fn resumed(&self) -> bool {
        self.common().and_then(CommonState::handshake_kind) == Some(HandshakeKind::Resumed)
    }

    /// The peer's own certificate, as DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer_chain().next()
    }

    /// The certificates that the peer showed, as DER: its own, then those that it showed beside it. A resumed
    /// session has those of the first one.
    pub fn peer_chain(&self) -> impl Iterator<Item = &[u8]> {
        let chain = self.common().and_then(CommonState::peer_certificates).unwrap_or_default();
        chain.iter().map(AsRef::as_ref)
    }

    fn common(&self) -> Option<&CommonState> {
        match &self.0.stage {
            Stage::Running(engine, _) => Some(engine.common()),
            Stage::Hello(_) | Stage::Failed => None,
        }
    }
}

impl Inner {
    fn has_plaintext(&self) -> bool {
        self.read < self.plain.len()
    }

    fn waits(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Hands out what was decrypted before.
    fn hand_out(&mut self, buf: &mut [u8]) -> usize {
        let rest = &self.plain[self.read..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if !self.has_plaintext() {
            (self.plain, self.read) = (Vec::new(), 0);
        }
        len
    }

    /// Receives once and decrypts what is complete: how much of `buf` is filled. 0 may mean that nothing was
    /// complete, or that the peer has closed.
    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let before = self.incoming.len();
        let most = buf.len().max(RECORD);
        with_received(before + most, |space| {
            let received = ready!(wire.poll_recv(cx, &mut space[before..before + most]))?;
            if received == 0 {
                let what = "the peer went without closing its TLS connection";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
            }
            self.began = true;
            space[..before].copy_from_slice(&self.incoming);
            let input = &mut space[..before + received];
            let mut sink = Sink { buf, filled: 0, rest: &mut self.plain };
            let Stage::Running(engine, _) = &mut self.stage else {
                return Poll::Ready(Err(failure::ended()));
            };
            let (used, stop) = with_sent(|out| {
                let (used, stop) = engine.run(input, &mut sink, Task::Nothing, out);
                self.outgoing.extend_from_slice(out.filled());
                self.held &= out.filled().is_empty();
                (used, stop)
            });
            let filled = sink.filled;
            self.keep_incoming(&space[used..before + received]);
            Poll::Ready(self.stopped(stop, cx, wire).map(|()| filled))
        })
    }

    /// Keeps what is not complete.
    fn keep_incoming(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(rest);
        }
    }

    /// Takes note of what stopped the engine.
    fn stopped(
        &mut self,
        stop: Result<Stop, rustls::Error>,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
    ) -> io::Result<()> {
        match stop {
            Ok(Stop::Blocked | Stop::Traffic | Stop::Exhausted) if self.incoming.len() <= INCOMPLETE => {
                Ok(())
            }
            Ok(Stop::PeerClosed | Stop::Closed) => {
                self.peer_closed = true;
                // Whatever came behind the closing alert is to be ignored (RFC 8446 section 6.1).
                self.incoming = Vec::new();
                Ok(())
            }
            Ok(_) => Err(self.failed(rustls::Error::PeerSentOversizedRecord, cx, wire)),
            Err(error) => Err(self.failed(error, cx, wire)),
        }
    }

    /// The session is over; the alert that says so leaves if the wire takes it at once.
    fn failed(&mut self, error: rustls::Error, cx: &mut Context<'_>, wire: &mut impl Wire) -> io::Error {
        let _ = self.poll_drain(cx, wire);
        self.stage = Stage::Failed;
        self.incoming = Vec::new();
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    /// Encrypts, and sends it with whatever was held back before it.
    fn encrypt_and_send(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
        task: Task<'_>,
    ) -> io::Result<()> {
        with_sent(|out| {
            let Stage::Running(engine, _) = &mut self.stage else {
                return Err(failure::ended());
            };
            out.push(&self.outgoing[self.sent..]);
            let mut sink = Sink { buf: &mut [], filled: 0, rest: &mut self.plain };
            let (used, stop) = engine.run(&mut self.incoming, &mut sink, task, out);
            self.incoming.drain(..used);
            (self.outgoing, self.sent, self.held) = (Vec::new(), 0, false);
            let sent = send(cx, wire, out)?;
            self.outgoing.extend_from_slice(&out.filled()[sent..]);
            match stop {
                Ok(Stop::Traffic) => Ok(()),
                // It is told by the next receive, too.
                Ok(Stop::PeerClosed | Stop::Closed) => {
                    self.peer_closed = true;
                    Err(io::ErrorKind::BrokenPipe.into())
                }
                Ok(Stop::Blocked | Stop::Exhausted) => Err(failure::ended()),
                Err(error) => Err(self.failed(error, cx, wire)),
            }
        })
    }

    /// Sends what waits.
    fn poll_drain(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        while self.waits() {
            let sent = ready!(wire.poll_send(cx, &self.outgoing[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        if self.sent > 0 {
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }
        self.held = false;
        Poll::Ready(Ok(()))
    }
}

/// Sends as much as the wire takes now.
fn send(cx: &mut Context<'_>, wire: &mut impl Wire, out: &Outbox) -> io::Result<usize> {
    let bytes = out.filled();
    let mut sent = 0;
    while sent < bytes.len() {
        match wire.poll_send(cx, &bytes[sent..]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(more)) => sent += more,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(sent)
}
