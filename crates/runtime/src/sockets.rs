//! Listening sockets with the options a worker needs.

use std::io;
use std::net::{SocketAddr, TcpListener};

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
        set_defer_accept(&socket)?;
    }
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
fn set_defer_accept(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let seconds: libc::c_int = 1;
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
fn set_defer_accept(_: &Socket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ListenOptions, check_free, listen};

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
