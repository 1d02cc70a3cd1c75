//! Opens a connection and closes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::dial::{Dial, TcpDial, dial};
use super::{Probe, ProbeAnswer, ProbeTarget};

/// Passes when the endpoint accepts a connection, and where it is one of TLS, when its handshake is done.
#[derive(Clone, Debug)]
pub struct TcpProbe {
    dial: Arc<dyn Dial>,
}

impl Default for TcpProbe {
    /// Plain TCP.
    fn default() -> Self {
        Self { dial: Arc::new(TcpDial) }
    }
}

impl TcpProbe {
    /// A probe over connections of another kind.
    #[must_use]
    pub fn over(self, dial: Arc<dyn Dial>) -> Self {
        Self { dial }
    }
}

impl Probe for TcpProbe {
    fn run<'a>(&'a self, target: &'a ProbeTarget, timeout: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move { dial(&*self.dial, target, timeout, Instant::now() + timeout).await.map(drop) })
    }
}
