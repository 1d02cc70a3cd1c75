//! Sockets for datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use socket2::{Domain, Protocol, Socket, Type};

/// How many bytes the kernel is asked to hold for a listening socket; it may be told less by `rmem_max`.
const LISTEN_BUFFER: usize = 4 << 20;

/// Binds a socket for datagrams that shares its address with those of the other workers (`SO_REUSEPORT`): the
/// kernel gives all datagrams of one sender to the same of them. Of one that is bound to all addresses it is
/// told where each datagram was sent to.
pub fn listen(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(true)?;
    prepare(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Gives a socket that another program has bound the options of one of our own.
///
/// # Errors
///
/// Where it is no socket for datagrams.
pub fn adopt(socket: UdpSocket) -> io::Result<UdpSocket> {
    let address = socket.local_addr()?;
    let socket = Socket::from(socket);
    prepare(&socket, address)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if address.ip().is_unspecified() {
        let (level, option) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        };
        set(socket, level, option)?;
    }
    // What is less than asked for serves as well, only not as long a burst.
    let _ = socket.set_recv_buffer_size(LISTEN_BUFFER);
    let _ = socket.set_send_buffer_size(LISTEN_BUFFER);
    // Older kernels join nothing, which is slower and as right.
    let _ = join_received(socket);
    Ok(())
}

/// Whether somebody else already takes datagrams at this address. With `SO_REUSEPORT` a bind would succeed
/// beside another process of the same user, and the kernel would give it a share of the senders.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())
}

/// Lets the kernel join datagrams of one size that one sender sent at once (`UDP_GRO`).
pub fn join_received(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO)
}

/// A socket that only exchanges datagrams with this address, and is told when it refuses them.
pub fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// Watches a socket by an epoll instance: it names `key` once whenever something has come.
pub fn watch(instance: impl AsFd, socket: impl AsFd, key: u64) -> io::Result<()> {
    epoll::add(instance, socket, EventData::new_u64(key), EventFlags::IN | EventFlags::ET)?;
    Ok(())
}

#[expect(unsafe_code, reason = "no safe crate sets these options")]
fn set(socket: impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let socket = socket.as_fd();
    // SAFETY: the descriptor is open as long as it is borrowed, and the option's value is a C int that
    // outlives the call, passed with its own size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
