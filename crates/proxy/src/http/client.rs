//! A client's connection.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tollgate_message::Version;
use tollgate_runtime::TimerKey;
use tollgate_streams::MessageStream;

use super::secured::Secured;
use crate::link::Link;
use crate::listen::ConnectionGuard;
use crate::listening::Listening;
use crate::socket::Socket;
use crate::worker::Worker;

/// A client's connection between and during exchanges. Small, since many of them do nothing.
pub struct Client {
    /// What carries its messages.
    pub link: Link,
    /// The version that all its messages have; `None` where each tells its own.
    pub version: Option<Version>,
    /// What its TLS handshake told; `None` for a plain connection.
    pub secured: Option<Rc<Secured>>,
    /// Who is at the other end; an IPv4 address as such, however it came in.
    pub peer: IpAddr,
    /// The listener that took it.
    pub listener: Rc<Listening>,
    /// Bytes received and not used: the start of a head, or requests sent ahead. Without memory when
    /// empty; at most what is received at once, or the largest head.
    pub leftover: Vec<u8>,
    /// The connection's deadline.
    pub timer: TimerKey,
    /// The port of the other end.
    pub peer_port: u16,
    /// The port that it came to, where its link cannot tell.
    pub port: u16,
    /// Where the client connected to, where a PROXY header has told.
    pub told_destination: Option<Box<SocketAddr>>,
    /// How many requests it has carried.
    pub served: u32,
    /// The client has said that it will send nothing more.
    pub half_closed: bool,
    /// `leftover` is the start of a head that needs more bytes.
    pub partial: bool,
    /// Counts the connection at its listener.
    pub guard: ConnectionGuard,
}

impl Client {
    /// A connection that was just accepted.
    pub fn new(
        link: impl Into<Link>,
        peer: SocketAddr,
        listener: Rc<Listening>,
        guard: ConnectionGuard,
    ) -> Self {
        let worker = listener.worker();
        let timer = worker.wheel.borrow_mut().insert();
        worker.open.connections.set(worker.open.connections.get() + 1);
        Self {
            link: link.into(),
            version: None,
            secured: None,
            peer: peer.ip().to_canonical(),
            listener,
            leftover: Vec::new(),
            timer,
            peer_port: peer.port(),
            port: 0,
            told_destination: None,
            served: 0,
            half_closed: false,
            partial: false,
            guard,
        }
    }

    /// One exchange's stream of a connection that this client has.
    pub fn stream(&self, stream: Box<dyn MessageStream>, version: Version) -> Self {
        let listener = self.listener.clone();
        let mut client = Self::new(stream, self.address(), listener, ConnectionGuard::uncounted());
        client.version = Some(version);
        client.secured = self.secured.clone();
        client.port = self.port;
        client.told_destination = self.told_destination.clone();
        client
    }

    /// The address of the other end.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.peer, self.peer_port)
    }

    /// The address that the client connected to, as far as that is known.
    pub fn destination(&self) -> Option<SocketAddr> {
        match (&self.told_destination, &self.link) {
            (Some(told), _) => Some(**told),
            (None, Link::Bytes(socket)) => socket.local_address(),
            (None, Link::Stream(_)) => {
                Some(SocketAddr::new(self.listener.settings().address.ip(), self.port))
            }
        }
    }

    /// The port that the client came to; 0 if the kernel does not tell.
    pub fn local_port(&self) -> u16 {
        match &self.link {
            Link::Bytes(socket) => socket.local_port(),
            Link::Stream(_) => self.port,
        }
    }

    /// Hands over the connection itself to what serves all its streams.
    pub fn take_socket(&mut self) -> Option<Socket> {
        self.port = self.local_port();
        match &mut self.link {
            Link::Bytes(socket) => Some(std::mem::replace(socket, Socket::lost())),
            Link::Stream(_) => None,
        }
    }

    /// The worker that serves the connection.
    pub fn worker(&self) -> &Rc<Worker> {
        self.listener.worker()
    }

    /// Since when its worker drains or its listener is gone, in the clock's milliseconds: it ends with the
    /// exchange it is in.
    pub fn draining_since(&self) -> Option<u64> {
        self.worker().draining_since.get().or_else(|| self.listener.closing_since())
    }

    /// Until when it may wait for its next request although it is to end, by the clock; 0 where it may not.
    pub fn waits_end(&self) -> u64 {
        match self.listener.closing_since() {
            None => self.worker().waits_end(),
            Some(_) => 0,
        }
    }

    /// Whether the connection has carried as many requests as it may.
    pub fn is_worn(&self) -> bool {
        let published = self.worker().published.borrow();
        published.snapshot.http.requests_per_connection.is_some_and(|max| self.served >= max)
    }

    /// Keeps bytes that belong to later.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.leftover.extend_from_slice(bytes);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let worker = self.worker();
        worker.wheel.borrow_mut().remove(self.timer);
        worker.connection_ended();
    }
}
