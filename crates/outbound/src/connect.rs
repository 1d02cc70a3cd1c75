//! From a URL to a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
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
        let mut what = "address";
        let dialed = timeout(self.timeout, self.dial_telling(url, &mut what)).await;
        dialed.unwrap_or(Err(Error::Timeout { what, after: self.timeout }))
    }

    /// Tells what is being waited for.
    async fn dial_telling(&self, url: &Url, what: &mut &'static str) -> Result<Stream, Error> {
        let addresses = self.resolver.resolve(url).await?;
        *what = "connection";
        let to = || url.authority().into();
        let tcp = connect(&addresses, self.timeout).await;
        let tcp = tcp.map_err(|error| Error::Connect { to: to(), why: error.to_string().into() })?;
        // Answers are awaited one by one: holding small segments back would only cost time.
        let _ = tcp.set_nodelay(true);
        if url.scheme() == Scheme::Http {
            return Ok(Stream::plain(tcp));
        }
        *what = "TLS handshake";
        let shaken = Stream::secure(tcp, &self.tls, url.host()).await;
        shaken.map_err(|failure| Error::Tls { to: to(), why: failure.to_string().into() })
    }
}

/// Tries one address after the other. Each has its share of the time, so that one that does not answer leaves some
/// for those after it.
async fn connect(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let share = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        };
    }
    Err(failure)
}
