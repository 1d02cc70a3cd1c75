//! From a URL to a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tollgate_tls::{Certificate, ClientSettings, Connector, Problem, Roots};

use crate::error::Error;
use crate::stream::Stream;
use crate::url::{Scheme, Url};

/// For so many names sessions of TLS are kept to be resumed.
const RESUMED_NAMES: usize = 64;

/// So many of a name's addresses are tried.
const ADDRESSES_MAX: usize = 8;

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
    timeout: Duration,
}

impl Dialer {
    /// The protocol is as in ALPN. Servers by TLS must agree to it if `must_agree`.
    pub(crate) fn new(
        security: Security,
        protocol: &[u8],
        must_agree: bool,
        timeout: Duration,
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
        Ok(Self { tls: Arc::new(tls), timeout })
    }

    /// Resolves, connects and makes the handshake, all within the time for connecting.
    pub(crate) async fn dial(&self, url: &Url) -> Result<Stream, Error> {
        let late = |_| Error::Timeout { what: "connection", after: self.timeout };
        let deadline = Instant::now() + self.timeout;
        let addresses = timeout_at(deadline, resolve(url)).await.map_err(late)??;
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

async fn resolve(url: &Url) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = url.host().parse::<IpAddr>() {
        return Ok(vec![(address, url.port()).into()]);
    }
    let failed = |why: &str| Error::Resolve { host: url.host().into(), why: why.into() };
    // The system's resolver, on a thread for what blocks.
    let found = tokio::net::lookup_host((url.host(), url.port())).await;
    let found: Vec<_> = found.map_err(|error| failed(&error.to_string()))?.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(failed("the name has no address")) } else { Ok(found) }
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
