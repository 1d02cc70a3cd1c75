//! A TLS listener that answers tls-alpn-01 and nothing else, with the certificates of `tollgate-tls`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tollgate_tls::{Acceptor, Certificates, ServerSettings, Wire};

/// Listens until the test ends.
pub(super) fn start(certificates: Arc<Certificates>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = Arc::new(Acceptor::new(ServerSettings::default(), certificates).unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut tls = acceptor.accept();
                tokio::spawn(async move {
                    let mut wire = Tcp(stream);
                    let shaken = std::future::poll_fn(|cx| tls.poll_handshake(cx, &mut wire)).await;
                    if shaken.is_ok() {
                        let _ = std::future::poll_fn(|cx| tls.poll_close(cx, &mut wire)).await;
                    }
                });
            }
        });
    });
    address
}

struct Tcp(TcpStream);

impl Wire for Tcp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<std::io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
}
