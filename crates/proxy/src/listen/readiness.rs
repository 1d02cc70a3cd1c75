//! Hearing of connections without accepting them through the reactor, which would make each of them
//! known to it at once; see [`crate::socket::Socket`] for what that saves.

use std::io;
use std::net::TcpListener;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A listening socket that the reactor watches.
#[expect(unsafe_code, reason = "tokio has no safe way to watch a listener without accepting through it")]
pub fn watched(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: what is asked for is that the descriptor stays open and the same as long as the `AsyncFd`
    // lives. A `TcpListener` owns its descriptor, gives it to nobody, and closes it when it is dropped,
    // which the `AsyncFd` that owns it does after it has deregistered.
    let watched = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
