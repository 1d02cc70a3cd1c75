//! Listening sockets with the options a worker needs.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketType, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// What a listening socket is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel holds until they are accepted.
    pub backlog: i32,
    /// Hand connections over only once the client has sent something, or after a second
    /// (`TCP_DEFER_ACCEPT`).
    pub defer_accept: bool,
}

/// A socket that another process has opened, by its kind.
#[derive(Debug)]
pub enum Passable {
    /// Takes connections of the network.
    Tcp(TcpListener),
    /// Takes datagrams of the network.
    Udp(UdpSocket),
    /// Takes connections of this machine.
    Unix(UnixListener),
    /// Nothing that listens.
    Other(OwnedFd),
}

/// Tells of what kind a socket is.
///
/// # Errors
///
/// Where it is no socket.
pub fn sort(socket: OwnedFd) -> io::Result<Passable> {
    let (domain, kind) = (sockopt::socket_domain(&socket)?, sockopt::socket_type(&socket)?);
    let is_network = domain == AddressFamily::INET || domain == AddressFamily::INET6;
    let listens = kind == SocketType::STREAM && sockopt::socket_acceptconn(&socket)?;
    Ok(match (is_network, listens) {
        (true, true) => Passable::Tcp(socket.into()),
        (true, false) if kind == SocketType::DGRAM => Passable::Udp(socket.into()),
        (false, true) if domain == AddressFamily::UNIX => Passable::Unix(socket.into()),
        _ => Passable::Other(socket),
    })
}

/// Binds a listening socket that shares its address with those of the other workers
/// (`SO_REUSEPORT`). Accepted sockets inherit `TCP_NODELAY` from it.
pub fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if options.defer_accept {
        set_defer_accept(&socket, true)?;
    }
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// Gives a socket that listens already, since another program has bound it, the options of one of our own.
///
/// # Errors
///
/// Where it is no socket that could listen for connections.
pub fn adopt(socket: TcpListener, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    set_defer_accept(&socket, options.defer_accept)?;
    // Of one that listens already this changes the queue's length, and leaves what is in it.
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// Whether somebody else already listens on this address. With `SO_REUSEPORT` a bind would succeed
/// beside another process of the same user, and the kernel would give it a share of the connections.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe crate sets TCP_DEFER_ACCEPT; a fifth of the cost of a short connection hangs on it"
)]
fn set_defer_accept(socket: &Socket, on: bool) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let seconds = libc::c_int::from(on);
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the option's value is a
    // C int that outlives the call, passed with its own size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn set_defer_accept(_: &Socket, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ListenOptions, adopt, check_free, listen};

    #[test]
    fn a_socket_of_another_program_is_taken_with_what_it_has_queued() {
        let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(theirs.local_addr().unwrap()).unwrap();
        for defer_accept in [false, true, false] {
            let again = theirs.try_clone().unwrap();
            adopt(again, ListenOptions { backlog: 16, defer_accept }).unwrap();
        }
        let ours = adopt(theirs, ListenOptions { backlog: 16, defer_accept: false }).unwrap();
        let (_, peer) = ours.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let empty = ours.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(empty, Err(std::io::ErrorKind::WouldBlock));
    }

    #[test]
    fn workers_share_an_address_and_others_are_told_that_it_is_taken() {
        for defer_accept in [false, true] {
            let options = ListenOptions { backlog: 16, defer_accept };
            let first = listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
            let address = first.local_addr().unwrap();
            let second = listen(address, options).unwrap();
            assert_eq!(second.local_addr().unwrap(), address);
            assert!(check_free(address).is_err());
        }
    }
}
