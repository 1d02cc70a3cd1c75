//! Probes: asking an endpoint whether it works. A file each, and a row in [`PROBES`].

pub mod dial;
pub mod driver;
mod failure;
pub mod grpc;
pub mod http;
pub mod state;
pub mod target;
pub mod tcp;

pub use dial::{Dial, Dialled, ProbeStream, TcpDial};
pub use driver::{ProbeRoom, run_probes};
pub use failure::ProbeFailure;
pub use grpc::GrpcProbe;
pub use http::{ExpectedBody, HttpProbe, HttpProbeSettings, HttpProbeSettingsError};
pub use state::{Pace, ProbeState, Thresholds};
pub use target::ProbeTarget;
pub use tcp::TcpProbe;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The answer of a probe, to be awaited.
pub type ProbeAnswer<'a> = Pin<Box<dyn Future<Output = Result<(), ProbeFailure>> + Send + 'a>>;

/// Asks one endpoint once whether it works.
pub trait Probe: fmt::Debug + Send + Sync {
    /// Asks. Ends within `timeout`, also when the endpoint stays silent.
    fn run<'a>(&'a self, target: &'a ProbeTarget, timeout: Duration) -> ProbeAnswer<'a>;
}

/// What an upstream's endpoints are asked, and when.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    /// What is asked.
    pub probe: Arc<dyn Probe>,
    /// Time from the end of one probe to the start of the next, give or take the jitter.
    pub interval: Duration,
    /// The same while the latest outcomes speak against the verdict.
    pub fast: Duration,
    /// The same while the endpoint is down and its probes agree.
    pub slow: Duration,
    /// The random part of these times, in percent of them: so much more or less.
    pub jitter_percent: u32,
    /// How long one probe may take.
    pub timeout: Duration,
    /// How many outcomes in a row make a verdict.
    pub thresholds: Thresholds,
    /// Another port than the endpoint's.
    pub port: Option<u16>,
    /// A new endpoint is not used before a probe has passed.
    pub start_down: bool,
}

impl ProbePlan {
    /// This probe with the default times: every 5 s give or take a tenth, 2 s at most, up after 2, down after 3.
    pub fn new(probe: Arc<dyn Probe>) -> Self {
        let interval = Duration::from_secs(5);
        Self {
            probe,
            interval,
            fast: interval,
            slow: interval,
            jitter_percent: 10,
            timeout: Duration::from_secs(2),
            thresholds: Thresholds::default(),
            port: None,
            start_down: false,
        }
    }

    /// The time to the next probe, without its jitter.
    pub fn time(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Usual => self.interval,
            Pace::Fast => self.fast,
            Pace::Slow => self.slow,
        }
    }
}

/// One probe as the document, the reference and the tests know it.
#[derive(Clone, Copy, Debug)]
pub struct ProbeRow {
    /// Its name in the document.
    pub name: &'static str,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// Makes one with default settings.
    pub make: fn() -> Arc<dyn Probe>,
}

/// All probes.
pub const PROBES: &[ProbeRow] = &[
    ProbeRow {
        name: "grpc",
        doc: "Asks by the gRPC health protocol whether a service is serving.",
        make: || Arc::new(GrpcProbe::default()),
    },
    ProbeRow {
        name: "http",
        doc: "Sends a request over HTTP/1.1 and expects one of some statuses.",
        make: || Arc::new(HttpProbe::default()),
    },
    ProbeRow {
        name: "tcp",
        doc: "Opens a connection and closes it.",
        make: || Arc::new(TcpProbe::default()),
    },
];

/// The probe of this name.
pub fn probe(name: &str) -> Option<&'static ProbeRow> {
    PROBES.iter().find(|row| row.name == name)
}

#[cfg(test)]
#[path = "probes/suite.rs"]
mod suite;
