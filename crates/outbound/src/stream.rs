//! A connection in the clear or by TLS, as hyper and h2 want it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tollgate_tls::{Connector, HandshakeFailure, Session, Wire};

/// A connection that was made.
#[derive(Debug)]
pub(crate) struct Stream {
    wire: Tcp,
    tls: Option<Box<Session>>,
}

impl Stream {
    /// A connection in the clear.
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self { wire: Tcp(tcp), tls: None }
    }

    /// Makes the handshake with a host (a name or an address, without port).
    pub(crate) async fn secure(
        tcp: TcpStream,
        connector: &Connector,
        host: &str,
    ) -> Result<Self, HandshakeFailure> {
        let mut tls = Box::new(connector.connect(host)?);
        let mut wire = Tcp(tcp);
        std::future::poll_fn(|cx| tls.poll_handshake(cx, &mut wire)).await?;
        Ok(Self { wire, tls: Some(tls) })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        let Some(tls) = tls else { return Pin::new(&mut wire.0).poll_read(cx, buffer) };
        let received = ready!(tls.poll_recv(cx, wire, buffer.initialize_unfilled()))?;
        buffer.advance(received);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { wire, tls } = &mut *self;
        match tls {
            Some(tls) => tls.poll_send(cx, wire, bytes),
            None => wire.poll_send(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        match tls {
            Some(tls) => tls.poll_flush(cx, wire),
            // The system's buffer sends by itself.
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { wire, tls } = &mut *self;
        if let Some(tls) = tls {
            ready!(tls.poll_close(cx, wire))?;
        }
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
