//! What the workers counted. Routes, upstreams and endpoints without traffic are left out of most families,
//! so that the text stays small where there are very many.

use std::sync::Arc;

use tollgate_decision::Reason;

use super::{Writer, flows, secured, sessions};
use crate::endpoints::EndpointTotals;
use crate::families::{self, Family};
use crate::histogram::{Histogram, Sparse, Sum};
use crate::outcomes::{self, Outcomes};
use crate::recent::Recent;
use crate::shard::{Counter, ListenerSeries, RouteTraffic, Shard, UpstreamSeries};

/// The label values of a shard's indexes.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By route index.
    pub routes: Vec<String>,
    /// By upstream index.
    pub upstreams: Vec<String>,
    /// By listener index.
    pub listeners: Vec<String>,
}

/// What is remembered from scrape to scrape.
#[derive(Debug, Default)]
pub struct Recents {
    routes: Recent,
    upstreams: Recent,
}

/// What is known of an endpoint at the moment of the scrape.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// Its upstream's name.
    pub upstream: String,
    /// Its upstream's index.
    pub upstream_index: usize,
    /// Its address as the document writes it.
    pub endpoint: String,
    /// Its identity, under which the workers count.
    pub id: u64,
    /// Its weight, the operator's included.
    pub weight: u32,
    /// Whether the operator has drained it.
    pub drained: bool,
    /// Attempts at it now.
    pub in_flight: u64,
    /// Whether its health allows to pick it.
    pub healthy: bool,
    /// Whether outlier detection has taken it out.
    pub ejected: bool,
    /// How many of its probes failed; `None` where it has none.
    pub probes_failed: Option<u64>,
}

/// What outlier detection has done in an upstream.
#[derive(Clone, Debug)]
pub struct EjectionState {
    /// The upstream's name.
    pub upstream: String,
    /// It only tells what it would do.
    pub shadow: bool,
    /// The rules that are on, and how often they have ejected.
    pub totals: Vec<(&'static str, u64)>,
}

/// Writes what outlier detection has done.
pub fn write_ejections(writer: &mut Writer, upstreams: &[EjectionState]) {
    for (family, shadow) in [(&families::EJECTIONS, false), (&families::SHADOW_EJECTIONS, true)] {
        writer.family(family);
        for upstream in upstreams.iter().filter(|upstream| upstream.shadow == shadow) {
            for (rule, total) in &upstream.totals {
                writer.series(family, &[("upstream", &*upstream.upstream), ("rule", rule)], total);
            }
        }
    }
}

/// Writes all that the workers' shards hold, the endpoints' series aside.
pub fn write_shards(
    writer: &mut Writer,
    shards: &[Arc<Shard>],
    names: &Names,
    recents: &Recents,
    now_ms: u64,
) {
    write_listeners(writer, shards, names);
    secured::write_handshakes(writer, shards, names);
    write_reasons(writer, shards);
    write_routes(writer, shards, names, (&recents.routes, now_ms));
    write_upstreams(writer, shards, names, (&recents.upstreams, now_ms));
}

fn write_listeners(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    type Value = fn(&ListenerSeries) -> u64;
    let families: [(&Family, Value); 5] = [
        (&families::ACCEPTED, |l| l.accepted.get()),
        (&families::OPEN, |l| open(&l.accepted, &l.closed)),
        (&families::CARRIED_RECEIVED, |l| l.received_bytes.get()),
        (&families::CARRIED_SENT, |l| l.sent_bytes.get()),
        (&families::ACTIVE, |l| open(&l.begun, &l.ended)),
    ];
    for (family, value) in families {
        writer.family(family);
        for (index, name) in names.listeners.iter().enumerate() {
            let total: u64 = shards.iter().map(|s| value(&s.listeners[index])).sum();
            writer.series(family, &[("listener", name)], total);
        }
    }
    flows::write_listeners(writer, shards, names);
}

/// The end is read first: what ends in between must not seem to have ended before it began.
fn open(begun: &Counter, ended: &Counter) -> u64 {
    let ended = ended.get();
    begun.get().saturating_sub(ended)
}

fn write_reasons(writer: &mut Writer, shards: &[Arc<Shard>]) {
    writer.family(&families::EXCHANGES);
    for reason in Reason::ALL {
        let total: u64 = shards.iter().map(|s| s.reason(*reason).get()).sum();
        let labels = [("reason", reason.code()), ("side", reason.side().label())];
        writer.series(&families::EXCHANGES, &labels, total);
    }
}

fn write_routes(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names, recent: (&Recent, u64)) {
    let count = shards.first().map_or(0, |s| s.routes.len());
    let traffic = |index: usize| shards.iter().filter_map(move |s| s.routes[index].traffic());
    let used = (0..count).filter(|index| traffic(*index).next().is_some());
    // The last one, for requests without a route, has no name and so no label.
    let used: Vec<(usize, &str)> =
        used.map(|index| (index, names.routes.get(index).map_or("", String::as_str))).collect();

    writer.family(&families::SERVER_DURATION);
    for (index, name) in &used {
        let label = ("http_route", *name);
        write_outcomes(writer, &families::SERVER_DURATION, label, traffic(*index).map(|t| &t.outcomes));
    }
    let durations: Vec<(&str, Sparse)> =
        used.iter().map(|(index, name)| (*name, added(traffic(*index).map(|t| &t.durations)))).collect();
    write_quantiles(writer, &families::ROUTE_DURATION, "http_route", &durations, recent);
    type Bytes = fn(&RouteTraffic) -> &Counter;
    let families: [(&Family, Bytes); 2] =
        [(&families::REQUEST_SIZE, |t| &t.received_bytes), (&families::RESPONSE_SIZE, |t| &t.sent_bytes)];
    for (family, bytes) in families {
        writer.family(family);
        for ((index, name), (_, counted)) in used.iter().zip(&durations) {
            let total: u64 = traffic(*index).map(|t| bytes(t).get()).sum();
            writer.summary(family, &[("http_route", name)], total, counted.count());
        }
    }
}

fn write_upstreams(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names, recent: (&Recent, u64)) {
    let of = |index: usize| shards.iter().map(move |s| &s.upstreams[index]);
    writer.family(&families::CLIENT_DURATION);
    for (index, name) in names.upstreams.iter().enumerate() {
        let outcomes = shards.iter().map(|s| &s.upstreams[index].outcomes);
        write_outcomes(writer, &families::CLIENT_DURATION, ("upstream", name), outcomes);
    }
    let waits = names.upstreams.iter().enumerate();
    let waits =
        waits.map(|(i, name)| (name.as_str(), added(shards.iter().map(|s| &s.upstreams[i].first_byte))));
    let waits: Vec<(&str, Sparse)> = waits.filter(|(_, wait)| wait.count() > 0).collect();
    write_quantiles(writer, &families::FIRST_BYTE, "upstream", &waits, recent);
    type Pick = fn(&UpstreamSeries) -> &Counter;
    let families: [(&Family, Pick); 10] = [
        (&families::UPSTREAM_RECEIVED, |u| &u.received_bytes),
        (&families::UPSTREAM_SENT, |u| &u.sent_bytes),
        (&families::RETRIES, |u| &u.retries),
        (&families::RETRIES_REFUSED, |u| &u.retries_refused),
        (&families::HEDGES, |u| &u.hedges),
        (&families::HEDGES_WON, |u| &u.hedges_won),
        (&families::CONNECTIONS_OPENED, |u| &u.connections_opened),
        (&families::CONNECTS_FAILED, |u| &u.connects_failed),
        (&families::CONNECTIONS_REUSED, |u| &u.connections_reused),
        (&families::CONNECTIONS_STALE, |u| &u.connections_stale),
    ];
    for (family, pick) in families {
        writer.family(family);
        for (index, name) in names.upstreams.iter().enumerate() {
            let total: u64 = of(index).map(|series| pick(series).get()).sum();
            writer.series(family, &[("upstream", name)], total);
        }
    }
    sessions::write(writer, shards, names);
    flows::write_upstreams(writer, shards, names);
}

fn write_outcomes<'a>(
    writer: &mut Writer,
    family: &Family,
    name: (&str, &str),
    all: impl Iterator<Item = &'a Outcomes>,
) {
    let mut sums = Vec::new();
    all.for_each(|outcomes| outcomes::add(&mut sums, outcomes));
    for (outcome, durations) in &sums {
        let labels = [
            name,
            ("http_request_method", outcome.method_label()),
            ("http_response_status_code", &outcome.status_label()),
            ("error_type", outcome.failure.map_or("", Reason::code)),
        ];
        writer.histogram(family, &labels, durations);
    }
}

fn write_quantiles(
    writer: &mut Writer,
    family: &Family,
    label: &str,
    counted: &[(&str, Sparse)],
    (recent, now_ms): (&Recent, u64),
) {
    writer.family(family);
    for ((name, all), window) in counted.iter().zip(recent.since_before(now_ms, counted)) {
        writer.quantiles(family, &[(label, name)], all, &window);
    }
}

fn added<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Sparse {
    let mut sum = Sum::default();
    histograms.for_each(|histogram| histogram.add_to(&mut sum));
    sum.sparse()
}

/// Writes what is known of the endpoints, which stand by upstream.
pub fn write_endpoints(writer: &mut Writer, shards: &[Arc<Shard>], endpoints: &[EndpointState]) {
    write_usable(writer, endpoints);
    type Value = fn(&EndpointState) -> u64;
    let families: [(&Family, Value); 4] = [
        (&families::ENDPOINT_HEALTHY, |e| u64::from(e.healthy)),
        (&families::ENDPOINT_DRAINED, |e| u64::from(e.drained)),
        (&families::ENDPOINT_WEIGHT, |e| u64::from(e.weight)),
        (&families::ENDPOINT_ACTIVE, |e| e.in_flight),
    ];
    for (family, value) in families {
        writer.family(family);
        for e in endpoints {
            writer.series(family, &[("upstream", &e.upstream), ("endpoint", &e.endpoint)], value(e));
        }
    }
    writer.family(&families::PROBES_FAILED);
    for e in endpoints {
        let labels = [("upstream", &*e.upstream), ("endpoint", &*e.endpoint)];
        e.probes_failed.inspect(|failed| writer.series(&families::PROBES_FAILED, &labels, failed));
    }
    let totals: Vec<EndpointTotals> = endpoints.iter().map(|e| totals(shards, e)).collect();
    writer.family(&families::ENDPOINT_ATTEMPTS);
    for (e, totals) in endpoints.iter().zip(&totals) {
        for (reason, count) in &totals.attempts {
            let labels = [("upstream", &*e.upstream), ("endpoint", &*e.endpoint), ("reason", reason)];
            writer.series(&families::ENDPOINT_ATTEMPTS, &labels, count);
        }
    }
    writer.family(&families::ENDPOINT_FIRST_BYTE);
    for (e, totals) in endpoints.iter().zip(&totals).filter(|(_, totals)| totals.answered > 0) {
        let labels = [("upstream", &*e.upstream), ("endpoint", &*e.endpoint)];
        let sum = totals.first_byte_us as f64 / 1e6;
        writer.summary(&families::ENDPOINT_FIRST_BYTE, &labels, sum, totals.answered);
    }
}

fn write_usable(writer: &mut Writer, endpoints: &[EndpointState]) {
    let upstreams: Vec<&[EndpointState]> =
        endpoints.chunk_by(|a, b| a.upstream_index == b.upstream_index).collect();
    type Counts = fn(&EndpointState) -> bool;
    let families: [(&Family, Counts); 3] = [
        (&families::ENDPOINTS, |e| e.weight > 0),
        (&families::ENDPOINTS_USABLE, |e| e.weight > 0 && e.healthy && !e.drained),
        (&families::ENDPOINTS_EJECTED, |e| e.ejected),
    ];
    for (family, counts) in families {
        writer.family(family);
        for endpoints in &upstreams {
            let count = endpoints.iter().filter(|e| counts(e)).count();
            writer.series(family, &[("upstream", &endpoints[0].upstream)], count);
        }
    }
}

/// What all workers counted for an endpoint.
pub fn totals(shards: &[Arc<Shard>], endpoint: &EndpointState) -> EndpointTotals {
    let mut totals = EndpointTotals::default();
    for shard in shards {
        let upstream = shard.upstreams.get(endpoint.upstream_index);
        if let Some(series) = upstream.and_then(|upstream| upstream.endpoints.get(endpoint.id)) {
            totals.add(&series);
        }
    }
    totals
}
