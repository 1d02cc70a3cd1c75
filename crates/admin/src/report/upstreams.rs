//! Upstreams and their endpoints.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_telemetry::Shard;
use tollgate_telemetry::histogram::Sum;
use tollgate_telemetry::shard::{Counter, UpstreamSeries};
use tollgate_upstream::{Endpoint, Exclusion, Standing, Upstream, View};

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
    /// The weight that it is listed with; `weight` is another one if the operator has set it.
    pub document_weight: u32,
    /// Who lists it: `document`, `operator`, or the kind of discovery source that has found it; null where nobody does
    /// any more.
    pub origin: Option<String>,
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
    /// How it takes part.
    pub part: EndpointPart,
}

/// How an endpoint takes part in its upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointPart {
    /// Its tier: those of 0 are used first.
    pub priority: u32,
    /// Its zone; null where the document does not say.
    pub zone: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How much of its share it has so far, in percent, after it was new or away; null where it has all.
    pub warm_percent: Option<u32>,
}

impl EndpointPart {
    fn of(endpoint: &Endpoint, view: &View, index: u32) -> Self {
        let traits = endpoint.traits();
        Self {
            priority: traits.priority,
            zone: traits.zone.as_deref().map(str::to_owned),
            labels: traits.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            warm_percent: view.warmth(index).map(|warmth| (warmth * 100.0).round() as u32),
        }
    }
}

/// What there is to say, for people; nothing where all is as without saying.
impl fmt::Display for EndpointPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tier = (self.priority > 0).then(|| format!("tier {}", self.priority));
        let zone = self.zone.as_ref().map(|zone| format!("zone {zone}"));
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let warm = self.warm_percent.map(|percent| format!("warming up, {percent}%"));
        let told: Vec<String> = tier.into_iter().chain(zone).chain(labels).chain(warm).collect();
        f.write_str(&told.join(", "))
    }
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
    /// It could, and others are preferred: it is a backup, or in another zone.
    Spare,
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
            Self::Spare => "spare",
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
        let standings = upstream.standings();
        let standing = |index: u32| standings.get(index as usize).cloned().unwrap_or_default();
        let endpoints = upstream.endpoints().map(|(index, endpoint)| (index, endpoint, standing(index)));
        // One that was removed is told of until its last exchange has ended; what the operator has removed, until it
        // may come back.
        let told = endpoints.filter(|(_, e, standing)| {
            !e.is_removed() || e.in_flight() > 0 || standing.is_removed_by_operator
        });
        let status = |(index, endpoint, standing): (u32, &Endpoint, Standing)| {
            let mut status = Self::of(upstream, endpoint, view, index, now_ms);
            if standing.is_removed_by_operator {
                status.why = Some("removed by the operator".to_owned());
            }
            status.origin = standing.origin.map(|origin| origin.to_string());
            let ended = series.iter().filter_map(|series| series.endpoints.get(endpoint.id().number()));
            for ended in ended {
                let failed: u64 = ended.failures().map(|(_, count)| count).sum();
                status.failed_attempts += failed;
                status.attempts += failed + ended.succeeded.get();
            }
            (index, status)
        };
        told.map(status).collect()
    }

    fn of(upstream: &Upstream, endpoint: &Endpoint, view: &View, index: u32, now_ms: u64) -> Self {
        let exclusion = view.exclusion(index);
        let state = match exclusion {
            None => EndpointState::Usable,
            Some(Exclusion::Removed) => EndpointState::Removed,
            Some(Exclusion::Drained) => EndpointState::Drained,
            // Labels are asked for by routes: whoever looks at the whole upstream does not meet them.
            Some(Exclusion::WeightZero | Exclusion::OtherLabels) => EndpointState::NoWeight,
            Some(Exclusion::Standby | Exclusion::OtherZone) => EndpointState::Spare,
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
            if view.is_member(index) { format!("{why}; used, since too few others are left") } else { why }
        });
        Self {
            upstream: upstream.name().to_string(),
            endpoint: endpoint.name().to_string(),
            address: endpoint.address().to_string(),
            weight: endpoint.weight(),
            document_weight: endpoint.document_weight(),
            origin: None,
            drained: endpoint.is_drained(),
            state,
            why,
            in_flight: endpoint.in_flight(),
            limit: endpoint.cap(),
            attempts: 0,
            failed_attempts: 0,
            consecutive_failures: endpoint.consecutive_failures(),
            part: EndpointPart::of(endpoint, view, index),
        }
    }
}
