//! TLS to the directory, as hyper wants it: a TLS connection of `tollgate-tls` over a socket of tokio.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tollgate_tls::{Connector, Session, Wire};

/// A TLS connection that was made.
#[derive(Debug)]
pub(crate) struct TlsStream {
    wire: Tcp,
    tls: Session,
}

impl TlsStream {
    /// Makes the handshake with a host (a name or an address, without port).
    pub(crate) async fn connect(tcp: TcpStream, connector: &Connector, host: &str) -> Result<Self, String> {
        let mut tls = connector.connect(host).map_err(|failure| failure.to_string())?;
        let mut wire = Tcp(tcp);
        let handshake = std::future::poll_fn(|cx| tls.poll_handshake(cx, &mut wire));
        handshake.await.map_err(|failure| failure.to_string())?;
        Ok(Self { wire, tls })
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        let received = ready!(tls.poll_recv(cx, wire, buffer.initialize_unfilled()))?;
        buffer.advance(received);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { wire, tls } = &mut *self;
        tls.poll_send(cx, wire, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        tls.poll_flush(cx, wire)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        ready!(tls.poll_close(cx, wire))?;
        Pin::new(&mut wire.0).poll_shutdown(cx)
    }
}

#[derive(Debug)]
struct Tcp(TcpStream);

impl Wire for Tcp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
}
