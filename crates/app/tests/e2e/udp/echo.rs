//! An endpoint that answers each datagram with its name and the same bytes, and clients of it.

use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;

use tollgate_testkit::PATIENCE;

/// What ends an endpoint.
const STOP: &[u8] = b"stop this endpoint";

/// An endpoint that echoes until it is stopped or dropped.
pub struct Echo {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub fn start(name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut bytes = vec![0; 70_000];
            loop {
                let (length, from) = match socket.recv_from(&mut bytes) {
                    Ok(received) => received,
                    // An answer met nobody.
                    Err(_) => continue,
                };
                if &bytes[..length] == STOP {
                    return;
                }
                let _ = socket.send_to(&[name.as_bytes(), b":", &bytes[..length]].concat(), from);
            }
        });
        Self { address, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Once this returns, its machine refuses what is sent to it.
    pub fn stop(self) {}
}

impl Drop for Echo {
    fn drop(&mut self) {
        let teller = UdpSocket::bind("127.0.0.1:0").unwrap();
        let told = teller.send_to(STOP, self.address);
        if told.is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// A client of this address, and of nobody else.
pub fn client(address: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends a datagram and waits for the next one.
pub fn ask(client: &UdpSocket, question: &[u8]) -> Vec<u8> {
    client.send(question).unwrap();
    receive(client)
}

/// Waits for the next datagram.
pub fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 70_000];
    let length = client.recv(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}
