//! One client connection and the exchange that is on it.

use super::Fault;
use super::channel::Channel;
use super::request::Requests;
use super::response::ResponseReader;
use crate::sys::epoll::Ready;
use crate::sys::sockets::{self, Moved};
use rustls::{ClientConfig, HandshakeKind};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// Received bytes are looked at in pieces of at most this; larger rests of bodies are dropped in the kernel.
const LOOK: usize = 64 << 10;

/// Step of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The handshake runs.
    Connecting,
    /// A request is out, or partly out.
    Exchanging,
    /// The response is complete and the proxy's FIN is awaited.
    AwaitingClose,
    /// Open and silent.
    Idle,
}

/// What an event led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing to tell.
    Waiting,
    /// The response is complete; the proxy closes next, if it was asked to.
    Complete,
    /// The proxy has closed as it was asked to.
    Closed,
}

/// A connection of the load.
pub(crate) struct Connection {
    channel: Channel,
    phase: Phase,
    /// No exchange has been completed yet.
    fresh: bool,
    reader: ResponseReader,
    /// The rest of a request that did not fit.
    unsent: Vec<u8>,
    /// Since when an answer, or the close, is awaited; none while nothing is.
    since: Option<Instant>,
}

impl Connection {
    /// Begins to connect, with TLS if there is a configuration for it.
    pub(crate) fn open(
        target: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        body: u64,
        now: Instant,
    ) -> io::Result<Self> {
        Ok(Self {
            channel: Channel::open(target, tls)?,
            fresh: true,
            phase: Phase::Connecting,
            reader: ResponseReader::new(body),
            unsent: Vec::new(),
            since: Some(now),
        })
    }

    /// The socket, to register it.
    pub(crate) fn socket(&self) -> &OwnedFd {
        self.channel.socket()
    }

    /// How the TLS handshake went, told once, when the first exchange is complete.
    pub(crate) fn handshake(&mut self) -> Result<Option<HandshakeKind>, Fault> {
        if std::mem::take(&mut self.fresh) { self.channel.handshake() } else { Ok(None) }
    }

    /// When the exchange, or with a connection per request the connect, began.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Sends the next request. `now` is taken as its start.
    pub(crate) fn request(&mut self, requests: &mut Requests, now: Instant) -> Result<(), Fault> {
        self.phase = Phase::Exchanging;
        self.since = Some(now);
        self.reader.restart();
        let bytes = requests.next();
        let sent = match self.channel.send(bytes).map_err(|error| closed(&error))? {
            Moved::Bytes(count) => count,
            Moved::Later | Moved::End => 0,
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Leaves the connection open and silent.
    pub(crate) fn rest(&mut self) {
        self.phase = Phase::Idle;
        self.since = None;
    }

    /// The response is complete; waits for the proxy to close.
    pub(crate) fn await_close(&mut self, now: Instant) {
        self.phase = Phase::AwaitingClose;
        self.since = Some(now);
    }

    /// Does what an event makes possible. `scratch` is at least as long as `LOOK`.
    pub(crate) fn advance(
        &mut self,
        ready: Ready,
        requests: &mut Requests,
        scratch: &mut [u8],
    ) -> Result<Step, Fault> {
        if self.phase == Phase::Connecting {
            if !ready.writable && !ready.closing {
                return Ok(Step::Waiting);
            }
            sockets::pending_error(self.channel.socket())
                .map_err(|error| Fault::Connect(error.to_string()))?;
            let since = self.since.unwrap_or_else(Instant::now);
            self.request(requests, since)?;
            return Ok(Step::Waiting);
        }
        if ready.writable {
            self.channel.flush().map_err(|error| closed(&error))?;
            self.send_rest()?;
        }
        if ready.readable { self.receive(ready.closing, scratch) } else { Ok(Step::Waiting) }
    }

    fn send_rest(&mut self) -> Result<(), Fault> {
        while !self.unsent.is_empty() {
            match self.channel.send(&self.unsent).map_err(|error| closed(&error))? {
                Moved::Bytes(count) => drop(self.unsent.drain(..count)),
                Moved::Later | Moved::End => break,
            }
        }
        Ok(())
    }

    /// Reads until the response is complete or nothing is left. A short read means that nothing is left,
    /// unless the peer is closing.
    fn receive(&mut self, closing: bool, scratch: &mut [u8]) -> Result<Step, Fault> {
        loop {
            let rest = self.reader.remaining().unwrap_or(0);
            let unseen = rest > LOOK as u64;
            let room = if unseen { scratch.len().min(rest as usize) } else { LOOK };
            let buffer = &mut scratch[..room];
            let moved = if unseen { self.channel.discard(buffer) } else { self.channel.receive(buffer) };
            match moved.map_err(|error| closed(&error))? {
                Moved::Later => return Ok(Step::Waiting),
                Moved::End if self.phase == Phase::AwaitingClose => return Ok(Step::Closed),
                Moved::End => return Err(Fault::Closed("FIN".to_owned())),
                Moved::Bytes(count) if self.phase != Phase::Exchanging => {
                    return Err(Fault::Protocol(format!("{count} bytes without a request")));
                }
                Moved::Bytes(count) => {
                    let complete = if unseen {
                        self.reader.skip(count as u64)?
                    } else {
                        self.reader.take(&buffer[..count])?
                    };
                    if complete {
                        return Ok(Step::Complete);
                    }
                    if count < room && !closing && self.channel.short_read_drains() {
                        return Ok(Step::Waiting);
                    }
                }
            }
        }
    }

    /// Whether the proxy has closed already, asked once the response was complete: its FIN may have come in
    /// the same event.
    pub(crate) fn closed_already(&mut self, scratch: &mut [u8]) -> Result<bool, Fault> {
        Ok(self.receive(true, scratch)? == Step::Closed)
    }
}

fn closed(error: &io::Error) -> Fault {
    Fault::Closed(error.to_string())
}
