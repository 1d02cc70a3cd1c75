//! A client's connection.

use std::net::IpAddr;
use std::rc::Rc;

use tollgate_runtime::TimerKey;

use crate::listen::ConnectionGuard;
use crate::listening::Listening;
use crate::socket::Socket;
use crate::worker::Worker;

/// A client's connection between and during exchanges. Small, since many of them do nothing.
pub struct Client {
    /// The connection.
    pub socket: Socket,
    /// Who is at the other end; an IPv4 address as such, however it came in.
    pub peer: IpAddr,
    /// The listener that took it.
    pub listener: Rc<Listening>,
    /// Bytes received and not used: the start of a head, or requests sent ahead. Without memory when
    /// empty; at most what is received at once, or the largest head.
    pub leftover: Vec<u8>,
    /// The connection's deadline.
    pub timer: TimerKey,
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
    pub fn new(socket: Socket, peer: IpAddr, listener: Rc<Listening>, guard: ConnectionGuard) -> Self {
        let worker = listener.worker();
        let timer = worker.wheel.borrow_mut().insert();
        worker.open.connections.set(worker.open.connections.get() + 1);
        Self {
            socket,
            peer,
            listener,
            leftover: Vec::new(),
            timer,
            served: 0,
            half_closed: false,
            partial: false,
            guard,
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
