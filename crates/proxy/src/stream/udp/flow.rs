//! A flow: whose it is, where it goes, what it carried.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use tollgate_decision::Record;
use tollgate_runtime::datagrams::PacketAddress;
use tollgate_telemetry::shard::UpstreamSeries;
use tollgate_upstream::{EndpointId, InFlight, Permit, Upstream};

use crate::evidence::Evidence;
use crate::listen::ConnectionGuard;
use crate::snapshot::Snapshot;

/// What tells flows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowKey {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The address that it asked, where the listener is bound to all; replies come from there.
    pub local: Option<PacketAddress>,
}

/// Datagrams of one client, and the endpoint that gets them.
pub(super) struct Flow {
    pub key: FlowKey,
    /// Connected to the endpoint; `None` where that failed and the next datagram is to try another.
    pub socket: Option<OwnedFd>,
    pub counts: Counts,
    /// The endpoint sent more than was taken at once the last time.
    pub bursts: bool,
    /// The kernel joins what the endpoint sends.
    pub joins: bool,
    /// The last datagram was the client's.
    pub asks: bool,
    /// Which of the snapshots that the listener has seen its endpoint was last looked up in.
    pub epoch: u64,
    pub decision: Box<Decision>,
    /// Counts it towards the listener's limits.
    pub _admitted: ConnectionGuard,
}

/// What a flow carried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Datagrams from the client, and their bytes.
    pub received: (u64, u64),
    /// Datagrams to the client, and their bytes.
    pub sent: (u64, u64),
}

/// What was decided for a flow, and what is needed to tell of it.
pub(super) struct Decision {
    pub record: Record,
    pub evidence: Evidence,
    /// Endpoints that were tried.
    pub tried: Vec<u32>,
    /// The names of the endpoint of each attempt.
    pub names: Vec<Arc<str>>,
    pub place: Place,
    /// Its place at the upstream, where there is a cap.
    pub permit: Option<Permit>,
    /// Counts the flow at its endpoint.
    pub in_flight: Option<InFlight>,
    pub snapshot: Weak<Snapshot>,
    pub snapshot_number: u64,
    pub times: Times,
}

/// Where a flow's endpoint is found now.
pub(super) struct Place {
    pub upstream: Arc<Upstream>,
    pub endpoint: u32,
    /// `None` before one was picked.
    pub id: Option<EndpointId>,
    pub series: Arc<UpstreamSeries>,
}

/// When what happened, in the clock's microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub started_us: u64,
    pub attempt_us: u64,
    /// From the start to the first reply; 0 before it.
    pub first_reply_us: u64,
}

impl Flow {
    /// Whether anything came back from the endpoint under way.
    pub(super) fn is_answered(&self) -> bool {
        self.decision.record.kept_attempts().last().is_some_and(|attempt| attempt.first_byte_us > 0)
    }
}
