//! The table of reloads.

use super::table::Table;
use crate::run::reload::{Figures, Reloaded};
use crate::run::results::Spread;

const HEAD: &[&str] = &[
    "scenario",
    "reloads",
    "seconds",
    "slowest",
    "req/s",
    "req/s kept",
    "quiet p99.9 ms",
    "p99.9 ms",
    "ratio",
    "longest ms",
    "MiB before",
    "after",
    "peak",
];

/// How it is to be read.
pub(super) const READING: &str = "Tollgate alone, reloaded by SIGHUP with another answer on one route. Seconds run from \
the signal to that route's new answer. p99.9 is that of the second that begins with the signal (of a longer reload: of its \
worst second), the quiet one the median of the three seconds before; \"req/s kept\" is the requests of that second to those \
of a quiet one. Medians over the reloads. Full load: each of the connections sends its next request once it has its \
answer. The share of it: requests fall due at a fixed rate, and their latency counts from when they were due. The load is \
spread over 1,000 of the routes.";

/// One line for each row.
pub(super) fn table(reloads: &[Reloaded]) -> Table {
    let mut table = Table::new(HEAD, 1);
    for reloaded in reloads {
        table.push(match &reloaded.outcome {
            Ok(figures) => line(reloaded.row.title, figures),
            Err(_) => {
                let mut cells = vec![format!("{} INVALID", reloaded.row.title)];
                cells.resize(HEAD.len(), String::new());
                cells
            }
        });
    }
    table
}

fn line(title: &str, figures: &Figures) -> Vec<String> {
    let felt = figures.latencies.as_ref();
    let of = |digits: usize, value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.digits$}"));
    let median = |digits, spread: Option<Spread>| of(digits, spread.map(|spread| spread.median));
    vec![
        title.to_owned(),
        figures.reloads.to_string(),
        median(2, Some(figures.seconds)),
        of(2, Some(figures.seconds.high)),
        of(0, felt.map(|felt| felt.rate)),
        median(2, felt.map(|felt| felt.throughput)),
        median(2, felt.map(|felt| felt.quiet_ms)),
        median(2, felt.map(|felt| felt.around_ms)),
        median(2, felt.map(|felt| felt.ratio)),
        of(2, felt.map(|felt| felt.longest_ms)),
        of(0, Some(figures.memory.before)),
        of(0, Some(figures.memory.after)),
        of(0, Some(figures.memory.peak)),
    ]
}
