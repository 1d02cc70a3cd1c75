//! What the API tells: types that are written as JSON here and read again by the verbs of the program, and
//! how they are made from the running process.

mod acme;
mod certificates;
mod comparison;
mod latency;
mod log_line;
mod overload;
mod process;
mod recorder;
mod sources;
mod traffic;
mod upstreams;

pub use acme::{AcmeCertificate, AcmeError};
pub use certificates::CertificateStatus;
pub use comparison::{TrafficExample, TrafficGroup, TrafficReport};
pub use latency::{Bucket, Latency, Quantiles};
pub use log_line::{LogLine, LoggedExchange, LoggedRequest, LoggedTimings};
pub use overload::{CircuitStatus, PlacesStatus};
pub use process::{Build, ConfigStatus, ProcessStatus, Reload};
pub use recorder::{Keeps, RecorderStatus};
pub use sources::SourceStatus;
pub use traffic::{Classes, ListenerStatus, ReasonCount, RouteChoice, RouteStatus, Routes};
pub use upstreams::{EndpointPart, EndpointState, EndpointStatus, UpstreamStatus};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_runtime::Clock;

use crate::Api;

/// The whole state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The program that runs.
    pub build: Build,
    /// The process.
    pub process: ProcessStatus,
    /// The document in force.
    pub config: ConfigStatus,
    /// What takes connections, in the document's order.
    pub listeners: Vec<ListenerStatus>,
    /// Ended exchanges by reason, without the reasons that did not occur.
    pub exchanges: Vec<ReasonCount>,
    /// The routes that were asked for.
    pub routes: Routes,
    /// The upstreams, in the document's order.
    pub upstreams: Vec<UpstreamStatus>,
    /// Where endpoints come from besides the document, by upstream.
    #[serde(default)]
    pub sources: Vec<SourceStatus>,
    /// The certificates that are served with.
    pub certificates: Vec<CertificateStatus>,
    /// The certificates that are got by ACME, in the document's order.
    #[serde(default)]
    pub acme: Vec<AcmeCertificate>,
}

impl Status {
    /// The state now, with at most `limit` of the chosen routes.
    pub(crate) fn of(api: &Api, routes: RouteChoice, limit: usize) -> Self {
        let process = api.process();
        let current = process.current();
        let (snapshot, shards) = (&current.snapshot, &current.shards);
        let now_ms = Clock::new().now_ms();
        let upstreams = snapshot.upstreams.iter().enumerate();
        Self {
            build: Build::of_this(),
            process: ProcessStatus::of(process),
            config: ConfigStatus::of(&api.instance.config_state(), api.instance.on_trial_until_ms(), now_ms),
            listeners: traffic::listeners(&current),
            exchanges: traffic::exchanges(shards),
            routes: traffic::routes(snapshot, shards, routes, limit),
            upstreams: upstreams.map(|(i, u)| UpstreamStatus::of(u, i, shards, now_ms)).collect(),
            sources: api.instance.sources().into_iter().map(SourceStatus::of).collect(),
            certificates: certificates::certificates(process),
            acme: api.instance.acme().status().into_iter().map(AcmeCertificate::of).collect(),
        }
    }
}
