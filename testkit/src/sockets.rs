//! Addresses that do not answer as they should.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address that refuses connections for as long as the returned guard lives: its port is taken,
/// and nobody listens.
pub fn refusing() -> (SocketAddr, impl Sized) {
    let (socket, address) = bound();
    (address, socket)
}

/// An address whose queue is full, so that connections to it are neither accepted nor refused.
#[derive(Debug)]
pub struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    /// Fills the queue.
    pub fn new() -> Self {
        let (socket, address) = bound();
        socket.listen(0).unwrap();
        let mut queued = Vec::new();
        // The kernel takes one or two more than asked for; then connecting no longer succeeds.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue of {address} does not fill");
        }
        Self { address, _listener: socket.into(), _queued: queued }
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for Silent {
    fn default() -> Self {
        Self::new()
    }
}
