//! How probes reach an endpoint: over plain TCP, or as whoever made the upstream says.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{ProbeFailure, ProbeTarget};

/// A connection that a probe asks over.
pub trait ProbeStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ProbeStream for T {}

/// A connection to come.
pub type Dialled<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ProbeStream>>> + Send + 'a>>;

/// Opens the connections that probes ask over. An upstream that is spoken to by TLS, or with a PROXY header, is
/// probed so too.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection on which the probe can begin. Whoever asks bounds the time.
    fn dial<'a>(&'a self, target: &'a ProbeTarget) -> Dialled<'a>;
}

/// Plain TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial<'a>(&'a self, target: &'a ProbeTarget) -> Dialled<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(target.address).await?;
            Ok(Box::new(stream) as Box<dyn ProbeStream>)
        })
    }
}

/// Dials until `deadline`; `timeout` is what the failure says.
pub(super) async fn dial(
    dial: &dyn Dial,
    target: &ProbeTarget,
    timeout: Duration,
    deadline: Instant,
) -> Result<Box<dyn ProbeStream>, ProbeFailure> {
    match timeout_at(deadline, dial.dial(target)).await {
        Ok(dialled) => dialled.map_err(|error| ProbeFailure::from_connect(&error)),
        Err(_) => Err(ProbeFailure::ConnectTimeout(timeout)),
    }
}
