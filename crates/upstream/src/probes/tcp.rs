//! Opens a connection and closes it.

use std::time::Duration;

use tokio::time::Instant;

use super::dial::{TcpDial, dial};
use super::{Probe, ProbeAnswer};
use crate::endpoint::Endpoint;

/// Passes when the endpoint accepts a connection.
#[derive(Clone, Copy, Debug)]
pub struct TcpProbe;

impl Probe for TcpProbe {
    fn run<'a>(&'a self, endpoint: &'a Endpoint, timeout: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move { dial(&TcpDial, endpoint, timeout, Instant::now() + timeout).await.map(drop) })
    }
}
