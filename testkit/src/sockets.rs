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

/// The machine's open IPv4 connections, a line an end, with what lies in their queues: tells who waits for whom
/// where nothing happens.
pub(crate) fn open_connections() -> String {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().skip(1).filter_map(connection).collect()
}

/// A line of the kernel's table, unless it stands for something else than an open connection.
fn connection(line: &str) -> Option<String> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    let state = match state {
        "01" => "open",
        "04" | "05" => "closed here",
        "08" => "closed there",
        _ => return None,
    };
    let port = |address: &str| u16::from_str_radix(address.split(':').nth(1)?, 16).ok();
    let (local, remote) = (port(local)?, port(remote)?);
    let (unsent, unread) = columns.next()?.split_once(':')?;
    let bytes = |column| u64::from_str_radix(column, 16).ok();
    let (unsent, unread) = (bytes(unsent)?, bytes(unread)?);
    Some(format!(":{local} to :{remote} {state}, {unsent} bytes unsent or unacknowledged, {unread} unread\n"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn bytes_that_nobody_reads_show_in_the_list_of_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        client.write_all(b"hello").unwrap();
        // Until they have arrived.
        assert_eq!(server.peek(&mut [0; 5]).unwrap(), 5);
        let (here, there) = (server.local_addr().unwrap().port(), client.local_addr().unwrap().port());
        let open = super::open_connections();
        let line = open.lines().find(|line| line.starts_with(&format!(":{here} to :{there} ")));
        assert!(line.is_some_and(|line| line.ends_with(" 5 unread")), "{open}");
    }
}
