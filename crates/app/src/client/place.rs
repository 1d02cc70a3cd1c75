//! Where the running instance may be.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A unix socket.
    Socket(PathBuf),
    /// Host and port.
    Network(String),
}

impl Place {
    /// `http://HOST:PORT`, also without the scheme.
    pub fn parse(address: &str) -> Result<Self> {
        if address.starts_with("https://") {
            bail!("`{address}`: the admin API speaks plain HTTP; write http://HOST:PORT");
        }
        let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || authority.contains('/') {
            bail!("`{address}` is no address of an admin API: write http://HOST:PORT");
        }
        Ok(Self::Network(authority.to_owned()))
    }

    /// The value of `Host`.
    pub fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Network(authority) => authority,
        }
    }

    /// Connects.
    pub async fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Socket(path) => Stream::Unix(UnixStream::connect(path).await?),
            Self::Network(authority) => Stream::Tcp(TcpStream::connect(authority).await?),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Network(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// A connection of either kind.
pub enum Stream {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn addresses_are_understood_or_refused() {
        for address in ["http://127.0.0.1:9901", "127.0.0.1:9901", "http://127.0.0.1:9901/"] {
            assert_eq!(Place::parse(address).unwrap(), Place::Network("127.0.0.1:9901".into()));
        }
        assert_eq!(Place::parse("http://[::1]:1").unwrap().to_string(), "http://[::1]:1");
        for address in ["", "http://a", "https://a:1", "http://a:1/metrics", "a:x", "a:70000"] {
            assert!(Place::parse(address).is_err(), "{address}");
        }
    }
}
