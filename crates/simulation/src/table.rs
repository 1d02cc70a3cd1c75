//! The report as tables of text.

use std::fmt::Write;

use crate::report::{Part, QUANTILES, Report, Row, moment, percent, rate, time};

/// How many phases, and how many of what happened, are written out.
const MOST_PHASES: usize = 24;
const MOST_HAPPENED: usize = 40;

pub(crate) fn write(report: &Report) -> String {
    let mut out = String::new();
    let endpoints = report.endpoints.len();
    let plural = if endpoints == 1 { "" } else { "s" };
    let length = time(report.duration_us);
    // Writing to a text does not fail, here and below.
    let _ = writeln!(
        out,
        "{}: {endpoints} endpoint{plural}, {} requests in {length}, seed {}\n",
        report.upstream, report.whole.arrived, report.seed
    );
    rows(report, &mut out);
    if !report.whole.failed.is_empty() {
        out.push('\n');
        failures(report, &mut out);
    }
    out.push('\n');
    parts("endpoint", &report.endpoints, report, &mut out);
    if report.callers.len() > 1 {
        out.push('\n');
        parts("caller", &report.callers, report, &mut out);
    }
    happened(report, &mut out);
    out
}

fn rows(report: &Report, out: &mut String) {
    let mut lines =
        vec![titles(&["", "offered/s", "answered/s", "failed"], &["waited p99", "retries"], &["since"])];
    lines.push(row("all", &report.whole));
    if report.phases.len() > 1 {
        for phase in report.phases.iter().take(MOST_PHASES) {
            let name = format!("{} - {}", moment(phase.from_us), moment(phase.to_us));
            lines.push(row(&name, phase));
        }
    }
    align(&lines, out);
    if report.phases.len() > MOST_PHASES {
        let _ = writeln!(out, "({} more phases: see --json or --html)", report.phases.len() - MOST_PHASES);
    }
}

fn titles(before: &[&str], after: &[&str], last: &[&str]) -> Vec<String> {
    let quantiles = QUANTILES.iter().map(|(_, word)| *word);
    let words =
        before.iter().copied().chain(quantiles).chain(after.iter().copied()).chain(last.iter().copied());
    words.map(str::to_owned).collect()
}

fn row(name: &str, row: &Row) -> Vec<String> {
    let mut cells = vec![
        name.to_owned(),
        rate(row.arrived, row.seconds()),
        rate(row.answered, row.seconds()),
        percent(row.failures(), row.arrived),
    ];
    cells.extend(row.latency_us.iter().map(|us| or_none(*us)));
    cells.push(or_none(row.waited_p99_us));
    cells.push(percent(row.retries, row.arrived));
    cells.push(row.label.clone());
    cells
}

fn failures(report: &Report, out: &mut String) {
    let mut lines = vec![vec!["failed".to_owned(), "requests".to_owned(), "share".to_owned()]];
    for (word, count) in &report.whole.failed {
        lines.push(vec![word.clone(), count.to_string(), percent(*count, report.whole.arrived)]);
    }
    align(&lines, out);
    if report.retries_refused > 0 {
        let _ = writeln!(out, "retries that the budget refused: {}", report.retries_refused);
    }
}

fn parts(title: &str, parts: &[Part], report: &Report, out: &mut String) {
    let of_endpoints = title == "endpoint";
    let what = if of_endpoints { "attempts/s" } else { "offered/s" };
    let after: &[&str] = if of_endpoints { &["in flight"] } else { &[] };
    let mut lines = vec![titles(&[title, what, "share", "failed"], after, &[])];
    let total = parts.iter().map(|part| part.count).sum();
    for part in parts {
        let mut cells = vec![
            part.name.clone(),
            rate(part.count, report.duration_us as f64 / 1e6),
            percent(part.count, total),
            percent(part.failed, part.count),
        ];
        cells.extend(part.latency_us.iter().map(|us| or_none(*us)));
        if of_endpoints {
            cells.push(format!("{:.1}", part.in_flight));
        }
        lines.push(cells);
    }
    align(&lines, out);
}

fn happened(report: &Report, out: &mut String) {
    if report.happened.is_empty() {
        return;
    }
    out.push_str("\nwhat happened\n");
    for (at_us, words) in report.happened.iter().take(MOST_HAPPENED) {
        let _ = writeln!(out, "{:>9.3}s  {words}", *at_us as f64 / 1e6);
    }
    if report.happened.len() > MOST_HAPPENED {
        let _ = writeln!(out, "({} more: see --json or --html)", report.happened.len() - MOST_HAPPENED);
    }
}

fn or_none(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), time)
}

/// Columns of the same width, the first and whatever is words to the left.
fn align(lines: &[Vec<String>], out: &mut String) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_words = |column: usize| column == 0 || lines[0].get(column).is_some_and(|title| title == "since");
    for line in lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = match is_words(column) {
                true => write!(text, "{gap}{cell:<width$}"),
                false => write!(text, "{gap}{cell:>width$}"),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}
