//! How probes reach the endpoints of upstreams that are not spoken to over plain TCP.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tollgate_proxy::snapshot::ProxyHeader;
use tollgate_proxy::socket::Socket;
use tollgate_tls::Connector;
use tollgate_upstream::probes::{Dial, Dialled, ProbeStream, ProbeTarget};

/// A version 2 header of the PROXY protocol for a connection of the sender's own (section 2.2, LOCAL).
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// The same in version 1 (section 2.1).
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// Connects as the upstream's requests do: with a PROXY header, and with TLS.
#[derive(Debug)]
pub struct UpstreamDial {
    /// The header that connections begin with; it says that nobody is behind them.
    pub proxy_header: Option<ProxyHeader>,
    /// How they are encrypted.
    pub tls: Option<Arc<Connector>>,
}

impl Dial for UpstreamDial {
    fn dial<'a>(&'a self, target: &'a ProbeTarget) -> Dialled<'a> {
        Box::pin(async move {
            let mut stream = TcpStream::connect(target.address).await?;
            match self.proxy_header {
                Some(ProxyHeader::V1) => stream.write_all(UNKNOWN).await?,
                Some(ProxyHeader::V2) => stream.write_all(LOCAL).await?,
                None => {}
            }
            let mut socket = Socket::new(stream);
            if let Some(connector) = &self.tls {
                let failed = |failure: tollgate_tls::HandshakeFailure| io::Error::other(failure.to_string());
                socket.secure(connector.connect(target.host()).map_err(failed)?, Vec::new());
                poll_fn(|cx| socket.poll_handshake(cx)).await.map_err(failed)?;
            }
            Ok(Box::new(socket) as Box<dyn ProbeStream>)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::UpstreamDial;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tollgate_proxy::snapshot::ProxyHeader;
    use tollgate_upstream::probes::{Dial, ProbeTarget};

    #[tokio::test]
    async fn probes_say_that_nobody_is_behind_them() {
        for (version, expected) in [
            (ProxyHeader::V1, &b"PROXY UNKNOWN\r\n"[..]),
            (ProxyHeader::V2, b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = ProbeTarget { name: "a:1".into(), address: listener.local_addr().unwrap() };
            let dial = UpstreamDial { proxy_header: Some(version), tls: None };
            drop(dial.dial(&target).await.unwrap());
            let mut received = Vec::new();
            listener.accept().await.unwrap().0.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, expected);
        }
    }
}
