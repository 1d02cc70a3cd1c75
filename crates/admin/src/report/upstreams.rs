//! Upstreams and their endpoints.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_telemetry::Shard;
use tollgate_telemetry::histogram::Sum;
use tollgate_telemetry::shard::{Counter, UpstreamSeries};
use tollgate_upstream::{Endpoint, Exclusion, Upstream, View};

use super::{CircuitStatus, Latency, PlacesStatus};

/// An upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Its endpoints, in the document's order.
    pub endpoints: Vec<EndpointStatus>,
    /// So few endpoints are usable that unhealthy ones are used as well.
    pub panicking: bool,
    /// Why no endpoint can be picked; null where one can.
    pub vacancy: Option<String>,
    /// How many requests are at it, where that is limited.
    #[serde(default)]
    pub places: Option<PlacesStatus>,
    /// Its circuit breaker, if it has one.
    #[serde(default)]
    pub circuit: Option<CircuitStatus>,
    /// How many requests are held since there was no endpoint for them.
    #[serde(default)]
    pub held: u32,
    /// Attempts beyond the first of their exchange.
    pub retries: u64,
    /// Retries that the budget refused.
    pub retries_refused: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Connections that could not be opened.
    pub connects_failed: u64,
    /// Attempts that took an idle connection.
    pub connections_reused: u64,
    /// From sending an attempt to the first byte of its response.
    pub first_byte: Latency,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointStatus {
    /// Its upstream.
    pub upstream: String,
    /// Its name: host and port as in the document.
    pub endpoint: String,
    /// Where it is connected to.
    pub address: String,
    /// Its share of the exchanges, relative to the others'.
    pub weight: u32,
    /// The document's weight; `weight` is another one if the operator has set it.
    pub document_weight: u32,
    /// Whether the operator has drained it.
    pub drained: bool,
    /// Whether it gets exchanges, and if not what kind of reason there is.
    pub state: EndpointState,
    /// The reason in words; null for one that gets exchanges in good health.
    pub why: Option<String>,
    /// Exchanges at it now.
    pub in_flight: u32,
    /// How many may be at it at once; null for any number.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Ended attempts at it.
    pub attempts: u64,
    /// Attempts among them that failed.
    pub failed_attempts: u64,
    /// Attempts that failed since the last that did not.
    pub consecutive_failures: u32,
}

/// Whether an endpoint gets exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It does.
    Usable,
    /// Its probes fail.
    Down,
    /// Outlier detection took it out for a while.
    Ejected,
    /// The operator took it out.
    Drained,
    /// The upstream has it no more; what runs at it finishes.
    Removed,
    /// It has no weight.
    NoWeight,
}

impl EndpointState {
    /// The word for it, as in the JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Drained => "drained",
            Self::Removed => "removed",
            Self::NoWeight => "no_weight",
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl UpstreamStatus {
    pub(super) fn of(upstream: &Upstream, index: usize, shards: &[Arc<Shard>], now_ms: u64) -> Self {
        let mut view = View::default();
        view.refresh(upstream, now_ms);
        let series = || shards.iter().filter_map(|shard| shard.upstreams.get(index));
        let total = |counter: fn(&UpstreamSeries) -> &Counter| series().map(|s| counter(s).get()).sum();
        let mut first_byte = Sum::default();
        series().for_each(|series| series.first_byte.add_to(&mut first_byte));
        let endpoints = EndpointStatus::of_view(upstream, &view, &series().collect::<Vec<_>>(), now_ms);
        Self {
            name: upstream.name().to_string(),
            endpoints: endpoints.into_iter().map(|(_, status)| status).collect(),
            panicking: view.is_panicking(),
            vacancy: view.members().is_empty().then(|| view.vacancy().to_string()),
            places: upstream.admission().map(PlacesStatus::of),
            circuit: upstream.breaker().map(|breaker| CircuitStatus::of(breaker, now_ms)),
            held: upstream.holds().requests(),
            retries: total(|s| &s.retries),
            retries_refused: total(|s| &s.retries_refused),
            connections_opened: total(|s| &s.connections_opened),
            connects_failed: total(|s| &s.connects_failed),
            connections_reused: total(|s| &s.connections_reused),
            first_byte: Latency::of(&first_byte),
        }
    }
}

impl EndpointStatus {
    /// All endpoints of an upstream, with their indexes.
    pub(crate) fn all(
        upstream: &Upstream,
        index: usize,
        shards: &[Arc<Shard>],
        now_ms: u64,
    ) -> Vec<(u32, Self)> {
        let series: Vec<_> = shards.iter().filter_map(|shard| shard.upstreams.get(index)).collect();
        let mut view = View::default();
        view.refresh(upstream, now_ms);
        Self::of_view(upstream, &view, &series, now_ms)
    }

    fn of_view(
        upstream: &Upstream,
        view: &View,
        series: &[&Arc<UpstreamSeries>],
        now_ms: u64,
    ) -> Vec<(u32, Self)> {
        // One that was removed is told of until its last exchange has ended.
        let endpoints = upstream.endpoints().filter(|(_, e)| !e.is_removed() || e.in_flight() > 0);
        let status = |(index, endpoint): (u32, &Endpoint)| {
            let mut status = Self::of(upstream, endpoint, view, index, now_ms);
            let ended = series.iter().filter_map(|series| series.endpoints.get(endpoint.id().number()));
            for ended in ended {
                let failed: u64 = ended.failures().map(|(_, count)| count).sum();
                status.failed_attempts += failed;
                status.attempts += failed + ended.succeeded.get();
            }
            (index, status)
        };
        endpoints.map(status).collect()
    }

    fn of(upstream: &Upstream, endpoint: &Endpoint, view: &View, index: u32, now_ms: u64) -> Self {
        let exclusion = view.exclusion(index);
        let state = match exclusion {
            None => EndpointState::Usable,
            Some(Exclusion::Removed) => EndpointState::Removed,
            Some(Exclusion::Drained) => EndpointState::Drained,
            Some(Exclusion::WeightZero) => EndpointState::NoWeight,
            Some(Exclusion::ProbeDown) => EndpointState::Down,
            Some(Exclusion::Ejected { .. }) => EndpointState::Ejected,
        };
        let why = exclusion.map(|exclusion| {
            let why = match exclusion {
                // When it is over says more than the time since the start that it is over at.
                Exclusion::Ejected { until_ms } => {
                    let left_ms = until_ms.saturating_sub(now_ms);
                    format!("ejected after failures, for {:.1}s more", left_ms as f64 / 1000.0)
                }
                other => other.to_string(),
            };
            let used = view.is_panicking() && !exclusion.is_meant();
            if used { format!("{why}; used, since too few others are left") } else { why }
        });
        Self {
            upstream: upstream.name().to_string(),
            endpoint: endpoint.name().to_string(),
            address: endpoint.address().to_string(),
            weight: endpoint.weight(),
            document_weight: endpoint.document_weight(),
            drained: endpoint.is_drained(),
            state,
            why,
            in_flight: endpoint.in_flight(),
            limit: endpoint.cap(),
            attempts: 0,
            failed_attempts: 0,
            consecutive_failures: endpoint.consecutive_failures(),
        }
    }
}
