//! From host names to addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Finds the addresses of host names. Tests and `check` bring their own, so that nothing asks the network.
pub trait Resolve {
    /// All addresses of a name.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver: the hosts file and DNS, as other programs see them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

/// Takes any name for an address that leads nowhere: for documents that are looked at and not run.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResolver;

impl Resolve for NoResolver {
    fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))])
    }
}
