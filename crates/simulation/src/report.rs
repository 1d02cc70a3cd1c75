//! What a simulation found.

mod json;

use std::fmt::Write;

use tollgate_telemetry::histogram::{Histogram, Sum};
use tollgate_upstream::breaker::Circuit;
use tollgate_upstream::health::UpstreamEvent;
use tollgate_upstream::health::events::KEPT;

use crate::engine::Given;
use crate::request::End;
use crate::tallies::{Sample, Share, Span, Tallies};
use crate::{page, table};

/// The quantiles that are told, with their words.
pub(crate) const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// What became of the requests of a simulation.
#[derive(Debug)]
pub struct Report {
    /// The upstream's name.
    pub upstream: String,
    /// The seed.
    pub seed: u64,
    /// For how long requests came, in microseconds.
    pub duration_us: u64,
    /// All of it.
    pub whole: Row,
    /// From one change to the next.
    pub phases: Vec<Row>,
    /// By the second, or by more where it is long.
    pub intervals: Vec<Row>,
    /// The endpoints, in the document's order.
    pub endpoints: Vec<Part>,
    /// The groups of callers.
    pub callers: Vec<Part>,
    /// Retries that the budget refused.
    pub retries_refused: u64,
    /// What happened, with the time in microseconds: changes, endpoints' health, the circuit.
    pub happened: Vec<(u64, String)>,
    /// What stood at the end of each interval.
    pub(crate) samples: Vec<Sample>,
    /// Bounds in microseconds of the time in which the circuit was not closed.
    pub(crate) open: Vec<(u64, u64)>,
}

/// What became of the requests that arrived in a part of the time.
#[derive(Clone, Debug)]
pub struct Row {
    /// From when on, in microseconds.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// What changed when it began, in words.
    pub label: String,
    /// How many requests arrived.
    pub arrived: u64,
    /// How many got a response that is no failure.
    pub answered: u64,
    /// How many retries they had.
    pub retries: u64,
    /// How the others ended: reasons' codes, `status_503` for a response that was passed on, `unfinished`. Most first.
    pub failed: Vec<(String, u64)>,
    /// What 50, 90, 99 and 99.9 of a hundred answered requests took at most, in microseconds; `None` where there are none.
    pub latency_us: [Option<u64>; 4],
    /// What 99 of a hundred of those that waited in the queue waited at most, in microseconds.
    pub waited_p99_us: Option<u64>,
    /// How many attempts each endpoint had.
    pub attempts: Vec<u64>,
    /// How many requests of each group arrived, and how many of them were answered.
    pub callers: Vec<(u64, u64)>,
}

/// What one endpoint or one group of callers had.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Attempts, or requests.
    pub count: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many attempts were under way on average (0 for callers).
    pub in_flight: f64,
    /// As those of [`Row`], of what did not fail.
    pub latency_us: [Option<u64>; 4],
}

impl Report {
    pub(crate) fn of(given: Given<'_>, tallies: Tallies) -> Self {
        let Given { upstream, scenario, .. } = given;
        let events = of_upstream(given);
        let happened = happened(given, &events);
        let label = |from_us: u64| {
            let changes = scenario.changes.iter().filter(|change| change.at_us == from_us);
            changes.map(|change| change.words.as_str()).collect::<Vec<_>>().join("; ")
        };
        let name = |(_, endpoint): (u32, &tollgate_upstream::Endpoint)| endpoint.name().to_string();
        let names: Vec<String> = upstream.endpoints().map(name).collect();
        let callers: Vec<String> = scenario.callers.iter().map(|caller| caller.name.clone()).collect();
        let duration_us = scenario.duration_us;
        let spans = &tallies.phases;
        Self {
            upstream: upstream.name().to_string(),
            seed: scenario.seed,
            duration_us,
            whole: Row::of(&spans.iter().collect::<Vec<_>>(), String::new()),
            phases: spans.iter().map(|span| Row::of(&[span], label(span.from_us))).collect(),
            intervals: tallies.intervals.iter().map(|span| Row::of(&[span], String::new())).collect(),
            endpoints: parts(&names, spans, &tallies.endpoint_latency, |span| &span.endpoints, duration_us),
            callers: parts(&callers, spans, &tallies.caller_latency, |span| &span.callers, duration_us),
            retries_refused: tallies.retries_refused,
            open: open_times(&events, duration_us),
            samples: tallies.samples.into_iter().filter(|sample| sample.at_us <= duration_us).collect(),
            happened,
        }
    }

    /// As a table for people.
    pub fn to_table(&self) -> String {
        table::write(self)
    }

    /// As a page for a browser, which needs nothing from anywhere else.
    pub fn to_page(&self, title: &str) -> String {
        page::write(self, title)
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        json::write(self)
    }
}

impl Row {
    fn of(spans: &[&Span], label: String) -> Self {
        let sum = |count: fn(&Span) -> u64| spans.iter().map(|span| count(span)).sum();
        let (mut latency, mut waited) = (Sum::default(), Sum::default());
        let mut failed: Vec<(String, u64)> = Vec::new();
        for span in spans {
            span.latency.add_to(&mut latency);
            span.waited.add_to(&mut waited);
            for (end, count) in span.ends.iter().filter(|(end, _)| *end != End::Answered) {
                let word = word(*end);
                match failed.iter_mut().find(|(known, _)| *known == word) {
                    Some((_, known)) => *known += count,
                    None => failed.push((word, *count)),
                }
            }
        }
        failed.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let by = |shares: fn(&Span) -> &[Share], count: fn(&Share) -> u64| {
            let mut sums = vec![0; spans.first().map_or(0, |span| shares(span).len())];
            for span in spans {
                sums.iter_mut().zip(shares(span)).for_each(|(sum, share)| *sum += count(share));
            }
            sums
        };
        let arrived = by(|span| &span.callers, |share| share.count);
        let answered = by(|span| &span.callers, |share| share.count.saturating_sub(share.failed));
        Self {
            from_us: spans.first().map_or(0, |span| span.from_us),
            to_us: spans.last().map_or(0, |span| span.to_us),
            label,
            arrived: sum(|span| span.arrived),
            answered: sum(|span| span.answered),
            retries: sum(|span| span.retries),
            failed,
            latency_us: quantiles(&latency),
            waited_p99_us: waited.quantile(0.99),
            attempts: by(|span| &span.endpoints, |share| share.count),
            callers: arrived.into_iter().zip(answered).collect(),
        }
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        (self.to_us.saturating_sub(self.from_us)).max(1) as f64 / 1e6
    }

    /// How many of its requests failed.
    pub fn failures(&self) -> u64 {
        self.failed.iter().map(|(_, count)| count).sum()
    }
}

fn parts(
    names: &[String],
    spans: &[Span],
    latencies: &[Histogram],
    shares: fn(&Span) -> &[Share],
    duration_us: u64,
) -> Vec<Part> {
    let part = |(at, (name, latency)): (usize, (&String, &Histogram))| {
        let sum = |count: fn(&Share) -> u64| spans.iter().map(|span| count(&shares(span)[at])).sum::<u64>();
        let mut total = Sum::default();
        latency.add_to(&mut total);
        Part {
            name: name.clone(),
            count: sum(|share| share.count),
            failed: sum(|share| share.failed),
            in_flight: sum(|share| share.busy_us) as f64 / duration_us.max(1) as f64,
            latency_us: quantiles(&total),
        }
    };
    names.iter().zip(latencies).enumerate().map(part).collect()
}

fn quantiles(sum: &Sum) -> [Option<u64>; 4] {
    QUANTILES.map(|(quantile, _)| sum.quantile(quantile))
}

fn word(end: End) -> String {
    match end {
        End::Answered => "answered".into(),
        End::Status(status) => format!("status_{status}"),
        End::Failed(reason) => reason.code().into(),
        End::Unfinished => "unfinished".into(),
    }
}

/// What its upstream told of itself.
fn of_upstream(given: Given<'_>) -> Vec<UpstreamEvent> {
    let is_of_it = |event: &UpstreamEvent| **event.upstream() == **given.upstream.name();
    given.health.since(0, KEPT, is_of_it).into_iter().map(|(_, event)| event).collect()
}

fn at_us(event: &UpstreamEvent) -> u64 {
    match event {
        UpstreamEvent::Health(event) => event.at_ms * 1000,
        UpstreamEvent::Circuit(event) => event.at_ms * 1000,
    }
}

fn happened(given: Given<'_>, events: &[UpstreamEvent]) -> Vec<(u64, String)> {
    let scenario = given.scenario;
    let changes = scenario.changes.iter().filter(|change| change.at_us <= scenario.duration_us);
    let mut happened: Vec<(u64, String)> =
        changes.map(|change| (change.at_us, format!("scenario: {}", change.words))).collect();
    happened.extend(events.iter().map(|event| (at_us(event), event.to_string())));
    happened.sort_by_key(|(at_us, _)| *at_us);
    happened
}

fn open_times(events: &[UpstreamEvent], duration_us: u64) -> Vec<(u64, u64)> {
    let mut times: Vec<(u64, u64)> = Vec::new();
    let mut since_us = None;
    for event in events {
        let UpstreamEvent::Circuit(event) = event else { continue };
        let at_us = event.at_ms * 1000;
        match event.turn.to() {
            Circuit::Closed => times.extend(since_us.take().map(|since_us| (since_us, at_us))),
            Circuit::Open | Circuit::HalfOpen => since_us = since_us.or(Some(at_us)),
        }
    }
    times.extend(since_us.map(|since_us| (since_us, duration_us)));
    times
}

/// A time as people read it: `850us`, `4.20ms`, `1.50s`.
pub(crate) fn time(us: u64) -> String {
    let mut out = String::new();
    // Writing to a text does not fail.
    let _ = match us {
        0..1_000 => write!(out, "{us}us"),
        1_000..10_000 => write!(out, "{:.2}ms", us as f64 / 1e3),
        10_000..100_000 => write!(out, "{:.1}ms", us as f64 / 1e3),
        100_000..1_000_000 => write!(out, "{:.0}ms", us as f64 / 1e3),
        1_000_000..100_000_000 => write!(out, "{:.2}s", us as f64 / 1e6),
        _ => write!(out, "{:.0}s", us as f64 / 1e6),
    };
    out
}

/// A moment, as briefly as it can be told.
pub(crate) fn moment(us: u64) -> String {
    match us {
        _ if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        _ => format!("{}s", us as f64 / 1e6),
    }
}

/// A rate as people read it.
pub(crate) fn rate(count: u64, seconds: f64) -> String {
    let rate = count as f64 / seconds;
    if rate >= 100.0 || count == 0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// A share in percent; nothing of nothing is nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => "0%".into(),
        _ => {
            let share = part as f64 * 100.0 / whole as f64;
            if share < 0.01 { "<0.01%".into() } else { format!("{share:.2}%") }
        }
    }
}
