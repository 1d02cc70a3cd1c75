//! Opens a connection and closes it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Probe, ProbeAnswer, ProbeFailure};
use crate::endpoint::Endpoint;

/// Passes when the endpoint accepts a connection.
#[derive(Clone, Copy, Debug)]
pub struct TcpProbe;

impl Probe for TcpProbe {
    fn run<'a>(&'a self, endpoint: &'a Endpoint, timeout: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move { connect(endpoint, timeout, Instant::now() + timeout).await.map(drop) })
    }
}

/// Connects until `deadline`; `timeout` is what the failure says.
pub(super) async fn connect(
    endpoint: &Endpoint,
    timeout: Duration,
    deadline: Instant,
) -> Result<TcpStream, ProbeFailure> {
    match timeout_at(deadline, TcpStream::connect(endpoint.address())).await {
        Ok(connected) => connected.map_err(|error| ProbeFailure::from_connect(&error)),
        Err(_) => Err(ProbeFailure::ConnectTimeout(timeout)),
    }
}
