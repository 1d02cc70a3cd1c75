//! Listening sockets that are passed from one process to the next, or come from a service manager.
//!
//! What is passed are the very sockets, with the connections that the kernel has queued on them: if the next process
//! bound its own beside them, those on the old ones would be reset when these close.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

pub use tollgate_http3::{Before, Instance, SecretKey};
use tollgate_proxy::snapshot::Listener;
use tollgate_runtime::sockets::{Passable, sort};

/// A listening socket on its way.
#[derive(Debug)]
pub struct Passed {
    /// The socket.
    pub socket: OwnedFd,
    /// Where the document said that it was to listen, perhaps at port 0; `None` if there was none.
    pub wanted: Option<SocketAddr>,
    /// The listener's name in the document; empty if there was none.
    pub listener: String,
    /// What else it takes to go on with HTTP/3 on it.
    pub quic: Option<PassedQuic>,
}

/// What the processes at a socket that takes HTTP/3 share.
#[derive(Debug)]
pub struct PassedQuic {
    /// What its connections' ids and resets are made with.
    pub key: SecretKey,
    /// Whose connections may still be open on it, and the ways there.
    pub before: Vec<Before>,
}

/// Sockets that this process has got, until listeners take them.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<Held<TcpListener>>,
    udp: Vec<Held<UdpSocket>>,
}

#[derive(Debug)]
struct Held<S> {
    socket: S,
    bound: SocketAddr,
    wanted: Option<SocketAddr>,
    listener: String,
    quic: Option<PassedQuic>,
}

impl Inherited {
    /// What came, each sorted by its kind. Those that are neither for connections nor for datagrams of the network are
    /// given back.
    ///
    /// # Errors
    ///
    /// Where one of them is no socket.
    pub fn new(passed: Vec<Passed>) -> io::Result<(Self, Vec<Passable>)> {
        let (mut inherited, mut others) = (Self::default(), Vec::new());
        for Passed { socket, wanted, listener, quic } in passed {
            match sort(socket)? {
                Passable::Tcp(socket) => {
                    let bound = socket.local_addr()?;
                    inherited.tcp.push(Held { socket, bound, wanted, listener, quic });
                }
                Passable::Udp(socket) => {
                    let bound = socket.local_addr()?;
                    inherited.udp.push(Held { socket, bound, wanted, listener, quic });
                }
                other => others.push(other),
            }
        }
        Ok((inherited, others))
    }

    /// The sockets for connections of this listener: all of one address, in the order in which they came.
    pub fn take_tcp(&mut self, listener: &Listener) -> Vec<TcpListener> {
        take(&mut self.tcp, listener).into_iter().map(|held| held.socket).collect()
    }

    /// The sockets for datagrams of this listener, and for each what it takes to go on with HTTP/3.
    pub fn take_udp(&mut self, listener: &Listener) -> (Vec<UdpSocket>, Vec<Option<PassedQuic>>) {
        take(&mut self.udp, listener).into_iter().map(|held| (held.socket, held.quic)).unzip()
    }

    /// Takes the socket for connections at this address, of which there is one.
    pub fn take_one(&mut self, wanted: SocketAddr, name: &str) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|held| held.is_for(wanted, name))?;
        Some(self.tcp.remove(place).socket)
    }

    /// Where the sockets for connections listen that nobody has taken.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().map(|held| held.bound).collect()
    }

    /// Where the sockets for datagrams listen that nobody has taken.
    pub fn udp_addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|held| held.bound).collect()
    }
}

impl<S> Held<S> {
    /// At port 0 many listeners may stand in the document, so there the name tells.
    fn is_for(&self, address: SocketAddr, name: &str) -> bool {
        match address.port() {
            0 => self.wanted == Some(address) && self.listener == name,
            _ => self.bound == address,
        }
    }
}

fn take<S>(held: &mut Vec<Held<S>>, listener: &Listener) -> Vec<Held<S>> {
    let found = held.iter().find(|held| held.is_for(listener.address, &listener.name));
    let Some(bound) = found.map(|held| held.bound) else { return Vec::new() };
    held.extract_if(.., |held| held.bound == bound).collect()
}
