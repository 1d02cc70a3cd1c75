//! The report for programs.

use serde_json::{Map, Value, json};

use super::{Part, QUANTILES, Report, Row};
use crate::tallies::Sample;

pub(super) fn write(report: &Report) -> Value {
    let happened = report.happened.iter();
    json!({
        "upstream": report.upstream,
        "seed": report.seed,
        "duration_us": report.duration_us,
        "retries_refused": report.retries_refused,
        "whole": row(&report.whole, report),
        "phases": report.phases.iter().map(|phase| row(phase, report)).collect::<Vec<_>>(),
        "intervals": report.intervals.iter().map(|interval| row(interval, report)).collect::<Vec<_>>(),
        "endpoints": report.endpoints.iter().map(part).collect::<Vec<_>>(),
        "callers": report.callers.iter().map(part).collect::<Vec<_>>(),
        "happened": happened.map(|(at_us, words)| json!({ "at_us": at_us, "what": words })).collect::<Vec<_>>(),
        "samples": report.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

fn row(row: &Row, report: &Report) -> Value {
    let failed: Map<String, Value> =
        row.failed.iter().map(|(word, count)| (word.clone(), (*count).into())).collect();
    let attempts: Map<String, Value> = report
        .endpoints
        .iter()
        .zip(&row.attempts)
        .map(|(part, count)| (part.name.clone(), (*count).into()))
        .collect();
    let callers: Map<String, Value> = report
        .callers
        .iter()
        .zip(&row.callers)
        .map(|(part, (arrived, answered))| {
            (part.name.clone(), json!({ "arrived": arrived, "answered": answered }))
        })
        .collect();
    json!({
        "from_us": row.from_us,
        "to_us": row.to_us,
        "label": row.label,
        "arrived": row.arrived,
        "answered": row.answered,
        "retries": row.retries,
        "failed": failed,
        "latency_us": latency(&row.latency_us),
        "waited_p99_us": row.waited_p99_us,
        "attempts": attempts,
        "callers": callers,
    })
}

fn part(part: &Part) -> Value {
    json!({
        "name": part.name,
        "count": part.count,
        "failed": part.failed,
        "in_flight": (part.in_flight * 1000.0).round() / 1000.0,
        "latency_us": latency(&part.latency_us),
    })
}

fn sample(sample: &Sample) -> Value {
    json!({
        "at_us": sample.at_us,
        "queued": sample.queued,
        "in_flight": sample.in_flight,
        "retries": sample.retries,
        "circuit": sample.circuit.map(|circuit| circuit.word()),
    })
}

fn latency(quantiles: &[Option<u64>; 4]) -> Value {
    let pairs = QUANTILES.iter().zip(quantiles);
    Value::Object(pairs.map(|((_, word), us)| ((*word).to_owned(), (*us).into())).collect())
}
