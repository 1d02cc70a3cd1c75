//! The Prometheus text format (version 0.0.4).

use std::fmt::Write;
use std::sync::Arc;

use tollgate_decision::Reason;

use crate::histogram::{Histogram, Sum};
use crate::shard::{Counter, RouteSeries, Shard};

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

/// What is known of an endpoint at the moment of the scrape.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// Its upstream's name.
    pub upstream: String,
    /// Its address as the document writes it.
    pub endpoint: String,
    /// Requests at it now.
    pub in_flight: u64,
    /// Whether it may be picked.
    pub healthy: bool,
}

/// Writes metrics into a text. Each family is begun once and then gets its series.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// The text so far.
    pub fn finish(self) -> String {
        self.text
    }

    /// Begins a family. `kind` is `counter`, `gauge` or `histogram`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes one series.
    pub fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.text.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.text, " {value}");
    }

    /// Writes a histogram of seconds.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], sum: &Sum) {
        let (bucket, count) = (format!("{name}_bucket"), sum.count());
        let bounded = |bound: &str, below: u64, writer: &mut Self| {
            let with_bound: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            writer.series(&bucket, &with_bound, below);
        };
        for (bound_us, below) in sum.cumulative() {
            bounded(&format!("{}", bound_us as f64 / 1e6), below, self);
        }
        bounded("+Inf", count, self);
        self.series(&format!("{name}_sum"), labels, sum.sum_us as f64 / 1e6);
        self.series(&format!("{name}_count"), labels, count);
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        if labels.is_empty() {
            return;
        }
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        self.text.push('}');
    }
}

/// Writes all that the workers' shards hold. Routes and upstreams without traffic are left out, so
/// that the text stays small with very many routes.
pub fn write_shards(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    write_routes(writer, shards, names);
    write_reasons(writer, shards);
    write_upstreams(writer, shards, names);
    write_listeners(writer, shards, names);
}

/// Writes the endpoints' state.
pub fn write_endpoints(writer: &mut Writer, endpoints: &[EndpointState]) {
    writer.family("tollgate_endpoint_healthy", "gauge", "Whether an endpoint may be picked.");
    for e in endpoints {
        let labels = [("upstream", e.upstream.as_str()), ("endpoint", e.endpoint.as_str())];
        writer.series("tollgate_endpoint_healthy", &labels, u8::from(e.healthy));
    }
    writer.family("tollgate_endpoint_active_requests", "gauge", "Requests at an endpoint now.");
    for e in endpoints {
        let labels = [("upstream", e.upstream.as_str()), ("endpoint", e.endpoint.as_str())];
        writer.series("tollgate_endpoint_active_requests", &labels, e.in_flight);
    }
}

fn write_routes(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    let used = |index: usize| shards.iter().any(|s| s.routes[index].duration().is_some());
    let count = shards.first().map_or(0, |s| s.routes.len());
    let routes: Vec<(usize, &str)> = (0..count)
        .filter(|i| used(*i))
        .map(|i| (i, names.routes.get(i).map_or("", String::as_str)))
        .collect();

    const DURATION: &str = "http_server_request_duration_seconds";
    writer.family(
        DURATION,
        "histogram",
        "Time from the first byte of a request to the last of its response.",
    );
    for (index, name) in &routes {
        let sum = added(shards, |s| s.routes[*index].duration());
        writer.histogram(DURATION, &[("http_route", name)], &sum);
    }
    const RESPONSES: &str = "tollgate_responses_total";
    writer.family(RESPONSES, "counter", "Responses by route and status class; class none had no response.");
    for (index, name) in &routes {
        for (class, label) in ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].iter().enumerate() {
            let class_of = |r: &RouteSeries| r.classes[class].get();
            let total: u64 = shards.iter().map(|s| class_of(&s.routes[*index])).sum();
            if total > 0 {
                writer.series(RESPONSES, &[("http_route", name), ("class", label)], total);
            }
        }
    }
}

fn write_reasons(writer: &mut Writer, shards: &[Arc<Shard>]) {
    const NAME: &str = "tollgate_exchanges_total";
    writer.family(NAME, "counter", "Ended exchanges by reason and side at fault.");
    for reason in Reason::ALL {
        let total: u64 = shards.iter().map(|s| s.reason(*reason).get()).sum();
        writer.series(NAME, &[("reason", reason.code()), ("side", reason.side().label())], total);
    }
}

fn write_upstreams(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    const FIRST_BYTE: &str = "http_client_request_duration_seconds";
    writer.family(FIRST_BYTE, "histogram", "Time from sending an attempt to the first byte of its response.");
    for (index, name) in names.upstreams.iter().enumerate() {
        let sum = added(shards, |s| Some(&s.upstreams[index].first_byte));
        if sum.count() > 0 {
            writer.histogram(FIRST_BYTE, &[("upstream", name)], &sum);
        }
    }
    type Pick = fn(&crate::shard::UpstreamSeries) -> &Counter;
    let families: [(&str, &str, Pick); 5] = [
        ("tollgate_upstream_retries_total", "Attempts beyond the first of their exchange.", |u| &u.retries),
        ("tollgate_upstream_retries_refused_total", "Retries that the budget refused.", |u| {
            &u.retries_refused
        }),
        ("tollgate_upstream_connections_opened_total", "Connections opened.", |u| &u.connections_opened),
        ("tollgate_upstream_connects_failed_total", "Connections that could not be opened.", |u| {
            &u.connects_failed
        }),
        ("tollgate_upstream_connections_reused_total", "Attempts on an idle connection.", |u| {
            &u.connections_reused
        }),
    ];
    for (family, help, pick) in families {
        writer.family(family, "counter", help);
        for (index, name) in names.upstreams.iter().enumerate() {
            let total: u64 = shards.iter().map(|s| pick(&s.upstreams[index]).get()).sum();
            writer.series(family, &[("upstream", name)], total);
        }
    }
}

fn write_listeners(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    writer.family("tollgate_connections_accepted_total", "counter", "Client connections accepted.");
    for (index, name) in names.listeners.iter().enumerate() {
        let total: u64 = shards.iter().map(|s| s.listeners[index].accepted.get()).sum();
        writer.series("tollgate_connections_accepted_total", &[("listener", name)], total);
    }
    writer.family("tollgate_connections_open", "gauge", "Client connections open now.");
    for (index, name) in names.listeners.iter().enumerate() {
        let open: u64 = shards
            .iter()
            .map(|s| s.listeners[index].accepted.get().saturating_sub(s.listeners[index].closed.get()))
            .sum();
        writer.series("tollgate_connections_open", &[("listener", name)], open);
    }
}

fn added<'a>(shards: &'a [Arc<Shard>], pick: impl Fn(&'a Shard) -> Option<&'a Histogram>) -> Sum {
    let mut sum = Sum::default();
    shards.iter().filter_map(|s| pick(s)).for_each(|h| h.add_to(&mut sum));
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_added_up_and_labels_escaped() {
        let shards = [Arc::new(Shard::new(1, 1, 1)), Arc::new(Shard::new(1, 1, 1))];
        for shard in &shards {
            shard.route(Some(0)).record(200, 1_500);
            shard.reason(Reason::Forwarded).add(1);
            shard.listeners[0].accepted.add(2);
            shard.listeners[0].closed.add(1);
        }
        shards[0].route(None).record(404, 10);
        let names = Names {
            routes: vec!["a\"b".into()],
            upstreams: vec!["u".into()],
            listeners: vec![":8080".into()],
        };
        let mut writer = Writer::default();
        write_shards(&mut writer, &shards, &names);
        let text = writer.finish();
        for line in [
            "http_server_request_duration_seconds_count{http_route=\"a\\\"b\"} 2",
            "http_server_request_duration_seconds_sum{http_route=\"a\\\"b\"} 0.003",
            "http_server_request_duration_seconds_bucket{http_route=\"a\\\"b\",le=\"0.002048\"} 2",
            "http_server_request_duration_seconds_bucket{http_route=\"a\\\"b\",le=\"0.001024\"} 0",
            "tollgate_responses_total{http_route=\"\",class=\"4xx\"} 1",
            "tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"} 2",
            "tollgate_connections_open{listener=\":8080\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
