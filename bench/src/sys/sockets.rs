//! Non-blocking TCP sockets on loopback.

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
const BACKLOG: i32 = 4096;

/// What one attempt to receive or send brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// That many bytes, never zero.
    Bytes(usize),
    /// Nothing now; an event will tell.
    Later,
    /// The peer has sent its last byte (receiving only).
    End,
}

/// A listening socket with a deep queue; accepted sockets inherit TCP_NODELAY.
pub(crate) fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream_socket(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The address that a socket is bound to.
pub(crate) fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    SocketAddr::try_from(net::getsockname(socket)?).map_err(io::Error::from)
}

/// The next connection in the queue, or none.
pub(crate) fn accept(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match net::accept_with(listener, FLAGS) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Begins a connection. The socket becomes writable, or carries an error, once that is decided.
pub(crate) fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream_socket(address)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Makes closing this socket send a reset: neither side keeps it in TIME_WAIT, so ports do not run out.
pub(crate) fn reset_on_close(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
}

/// The error that a connection attempt ended with, if it did.
pub(crate) fn pending_error(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::socket_error(socket)??)
}

/// Receives what is there, up to the room in `buffer`.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Moved> {
    moved(net::recv(socket, buffer, RecvFlags::empty()).map(|(_, count)| count), Moved::End)
}

/// Drops up to `buffer.len()` received bytes inside the kernel: TCP with MSG_TRUNC copies nothing.
pub(crate) fn discard(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Moved> {
    moved(net::recv(socket, buffer, RecvFlags::TRUNC).map(|(_, count)| count), Moved::End)
}

/// Sends what fits.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<Moved> {
    moved(net::send(socket, bytes, SendFlags::NOSIGNAL), Moved::Later)
}

/// A port that was free a moment ago. For programs that cannot tell which one the kernel gave them.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn stream_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(net::socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

fn moved(result: Result<usize, Errno>, zero: Moved) -> io::Result<Moved> {
    match result {
        Ok(0) => Ok(zero),
        Ok(count) => Ok(Moved::Bytes(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::Later),
        Err(error) => Err(error.into()),
    }
}
