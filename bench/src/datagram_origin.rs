//! The origin of the UDP row: it sends each datagram back.

use anyhow::Result;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};

/// No datagram is longer.
const LONGEST: usize = 64 << 10;

/// Echoes until the process is ended. Says `listening ADDRESS` on stdout first.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    writeln!(io::stdout().lock(), "listening {}", socket.local_addr()?)?;
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer) {
            // Whoever is gone misses no reply.
            Ok((count, from)) => drop(socket.send_to(&buffer[..count], from)),
            // A refusal that an earlier reply met.
            Err(error) if [ErrorKind::ConnectionRefused, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
