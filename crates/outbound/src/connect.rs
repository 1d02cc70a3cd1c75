//! From a URL to a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tollgate_tls::{Certificate, ClientSettings, Connector, Problem, Roots};

use crate::error::Error;
use crate::resolve::Resolver;
use crate::stream::Stream;
use crate::url::{Scheme, Url};

/// For so many names sessions of TLS are kept to be resumed.
const RESUMED_NAMES: usize = 64;

/// Who is trusted, and what is shown to them.
#[derive(Clone, Debug)]
pub struct Security {
    /// Whose certificates are accepted.
    pub roots: Roots,
    /// The certificate that is shown to servers that ask for one.
    pub certificate: Option<Certificate>,
}

impl Security {
    /// Trusts the system's authorities, and shows nothing.
    pub fn system() -> Self {
        Self { roots: Roots::system(), certificate: None }
    }

    /// Trusts these authorities only, and shows nothing.
    pub fn with_roots(roots: Roots) -> Self {
        Self { roots, certificate: None }
    }
}

/// Makes connections that speak one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    tls: Arc<Connector>,
    resolver: Resolver,
    timeout: Duration,
}

impl Dialer {
    /// The protocol is as in ALPN. Servers by TLS must agree to it if `must_agree`.
    pub(crate) fn new(
        security: Security,
        protocol: &[u8],
        must_agree: bool,
        timeout: Duration,
        runtime: &Handle,
    ) -> Result<Self, Problem> {
        let tls = Connector::new(ClientSettings {
            roots: security.roots,
            name: None,
            alpn: Some(protocol.to_vec()),
            must_agree,
            certificate: security.certificate,
            insecure_accept_any_certificate: false,
            resumed_names: RESUMED_NAMES,
        })?;
        Ok(Self { tls: Arc::new(tls), resolver: Resolver::new(runtime.clone()), timeout })
    }

    /// Resolves, connects and makes the handshake, all within the time for connecting.
    pub(crate) async fn dial(&self, url: &Url) -> Result<Stream, Error> {
        let late = |_| Error::Timeout { what: "connection", after: self.timeout };
        let deadline = Instant::now() + self.timeout;
        let addresses = timeout_at(deadline, self.resolver.resolve(url)).await.map_err(late)??;
        let tcp = timeout_at(deadline, connect(&addresses, deadline)).await.map_err(late)?;
        let to = || url.authority().into();
        let tcp = tcp.map_err(|error| Error::Connect { to: to(), why: error.to_string().into() })?;
        // Answers are awaited one by one: holding small segments back would only cost time.
        let _ = tcp.set_nodelay(true);
        if url.scheme() == Scheme::Http {
            return Ok(Stream::plain(tcp));
        }
        let shaking = timeout_at(deadline, Stream::secure(tcp, &self.tls, url.host()));
        let shaken =
            shaking.await.map_err(|_| Error::Timeout { what: "TLS handshake", after: self.timeout })?;
        shaken.map_err(|failure| Error::Tls { to: to(), why: failure.to_string().into() })
    }
}

/// Tries one address after the other. One that does not answer leaves time for those after it.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        };
    }
    Err(failure)
}
