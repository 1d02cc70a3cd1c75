//! Upstreams: named groups of endpoints with their balancer, health, retry budget and connection pools.
//!
//! What worker threads share is in [`Upstream`] and its [`Endpoint`]s, and is atomics only. What a
//! worker keeps for itself is a [`View`] per upstream and a [`Pool`] of idle connections. One exchange
//! walks them in this order:
//!
//! 1. [`View::refresh_shared`]: one load and two compares unless the health of an endpoint changed;
//! 2. [`Upstream::pick`]: the balancer chooses among the endpoints of the view, or says why it cannot;
//! 3. [`Upstream::begin`]: counts the exchange in flight at the endpoint until the guard is dropped;
//! 4. [`Pool::take`], and [`Pool::put`] when the connection is idle again;
//! 5. [`Upstream::report_success`] or [`Upstream::report_failure`], which may eject the endpoint, and
//!    [`Upstream::report_latency`] for balancers that pick by it;
//! 6. [`Upstream::try_retry`] and [`BackOff`] before another attempt.
//!
//! Everything here but the probes is pure: time comes in as `now_ms` (monotonic milliseconds since the
//! process started), randomness as `seed`. The same arguments give the same choice, so that a choice
//! can be explained afterwards by making it again.

pub mod admission;
pub mod back_off;
pub mod balancers;
mod balancing;
pub mod breaker;
pub mod endpoint;
pub mod health;
pub mod hold;
mod key_hash;
pub mod latency;
pub mod loads;
pub mod members;
pub mod pool;
pub mod probes;
pub mod quantile;
mod random;
pub mod retry_budget;
mod schedule;
pub mod session;
mod slots;
pub mod slow_start;
pub mod tables;
pub mod upstream;
mod version;
pub mod view;

pub use admission::{
    AdaptiveSettings, Admission, AdmissionSettings, AdmissionStatus, Class, Entry, Permit, QueueSettings,
    Refused, Ticket, Waited, Waiting,
};
pub use back_off::BackOff;
pub use balancers::{BALANCERS, Balancer, BalancerRow, BalancerSettings, BoundedLoad, Pick, PickKey};
pub use breaker::{
    Breaker, BreakerEvent, BreakerSettings, BreakerStatus, Circuit, Leave, Outcome, SlowSettings, Trial,
};
pub use endpoint::{Endpoint, EndpointId, InFlight, Labels, Traits};
pub use health::{
    Cause, EjectionCause, Failure, FailurePercentage, Health, HealthEvent, HealthEvents, OutlierSettings,
    ProbeHealth, Rule, SuccessRate, UpstreamEvent, Why,
};
pub use hold::{Held, HoldLimits, Holds};
pub use key_hash::key_hash;
pub use latency::Decay;
pub use loads::{Load, Loads, NotedLoads, RecordedLoads};
pub use members::{Member, OperatorMembers, Origin, Removal, Source};
pub use pool::{Pool, PoolCounts, PoolSettings};
pub use probes::{PROBES, Probe, ProbeFailure, ProbePlan, ProbeRow, run_probes};
pub use retry_budget::{ActiveRetry, RetryBudget, RetryBudgetSettings};
pub use session::Preferred;
pub use slow_start::SlowStart;
pub use upstream::{KnownHealth, MembersChange, NotAdded, Standing, Upstream, UpstreamSettings};
pub use view::{Exclusion, IfNone, Locality, Subset, Vacancy, View};
