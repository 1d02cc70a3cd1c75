//! The report as a page with plots, for a browser.

mod plot;

use std::fmt::Write;

use crate::report::{QUANTILES, Report, Row, moment, percent, rate, time};
use plot::{Line, Plot};

/// Endpoints and groups that have a line of their own.
const MOST_LINES: usize = 12;
const COLOURS: [&str; 12] = [
    "#2563eb", "#dc2626", "#16a34a", "#d97706", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#475569",
    "#b45309", "#0d9488", "#9333ea",
];

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#1e293b;background:#fff}\
h1{font-size:1.4em}h2{font-size:1.1em;margin:1.6em 0 .4em}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #e2e8f0}td:first-child,th:first-child,.words{text-align:left}td:first-child{white-space:nowrap}\
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#475569}.key{margin-right:1.2em;white-space:nowrap}\
.key i{display:inline-block;width:1.2em;height:3px;vertical-align:middle;margin-right:.4em}pre{white-space:pre-wrap}\
@media(prefers-color-scheme:dark){body{background:#0f172a;color:#e2e8f0}td,th{border-color:#334155}svg text{fill:#94a3b8}}";

pub(crate) fn write(report: &Report, title: &str) -> String {
    let mut out = String::new();
    let title = escaped(title);
    // Writing to a text does not fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p>{} requests to <code>{}</code> in {}, seed {}.</p>\n",
        report.whole.arrived,
        escaped(&report.upstream),
        time(report.duration_us),
        report.seed
    );
    rows(report, &mut out);
    plots(report, &mut out);
    happened(report, &mut out);
    out.push_str("</body></html>\n");
    out
}

fn rows(report: &Report, out: &mut String) {
    out.push_str("<table><tr><th></th><th>offered/s</th><th>answered/s</th><th>failed</th>");
    for (_, word) in QUANTILES {
        let _ = write!(out, "<th>{word}</th>");
    }
    out.push_str("<th>waited p99</th><th>retries</th><th class=\"words\">since</th></tr>\n");
    row("all", &report.whole, out);
    if report.phases.len() > 1 {
        for phase in &report.phases {
            row(&format!("{} – {}", moment(phase.from_us), moment(phase.to_us)), phase, out);
        }
    }
    out.push_str("</table>\n");
    if !report.whole.failed.is_empty() {
        out.push_str("<h2>Failed, by reason</h2>\n<table>\n");
        for (word, count) in &report.whole.failed {
            let share = percent(*count, report.whole.arrived);
            let _ = writeln!(
                out,
                "<tr><td><code>{}</code></td><td>{count}</td><td>{share}</td></tr>",
                escaped(word)
            );
        }
        out.push_str("</table>\n");
    }
}

fn row(name: &str, row: &Row, out: &mut String) {
    let seconds = row.seconds();
    let _ = write!(
        out,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
        escaped(name),
        rate(row.arrived, seconds),
        rate(row.answered, seconds),
        percent(row.failures(), row.arrived)
    );
    for us in row.latency_us.iter().chain([&row.waited_p99_us]) {
        let _ = write!(out, "<td>{}</td>", us.map_or_else(|| "–".to_owned(), time));
    }
    let _ = writeln!(
        out,
        "<td>{}</td><td class=\"words\">{}</td></tr>",
        percent(row.retries, row.arrived),
        escaped(&row.label)
    );
}

fn plots(report: &Report, out: &mut String) {
    let rows = &report.intervals;
    let per_second = |count: fn(&Row) -> u64| -> Vec<Option<f64>> {
        rows.iter().map(|row| Some(count(row) as f64 / row.seconds())).collect()
    };
    let plot = |title: &str, unit, logarithmic| Plot::new(report, title, unit, logarithmic);
    let mut requests = plot("Requests a second", "", false);
    requests.add(Line::new("offered", "#94a3b8", per_second(|row| row.arrived)));
    requests.add(Line::new("answered", "#16a34a", per_second(|row| row.answered)));
    requests.add(Line::new("failed", "#dc2626", per_second(Row::failures)));
    requests.add(Line::new("retries", "#d97706", per_second(|row| row.retries)));
    requests.write(out);
    let mut latency = plot("Latency of what was answered", "us", true);
    for (at, ((_, word), colour)) in
        QUANTILES.iter().zip(["#16a34a", "#0891b2", "#d97706", "#dc2626"]).enumerate()
    {
        let points = rows.iter().map(|row| row.latency_us[at].map(|us| us as f64)).collect();
        latency.add(Line::new(word, colour, points));
    }
    latency.write(out);
    let mut endpoints = plot("Attempts a second by endpoint", "", false);
    for (at, (part, colour)) in report.endpoints.iter().zip(COLOURS).enumerate().take(MOST_LINES) {
        let points = rows.iter().map(|row| Some(row.attempts[at] as f64 / row.seconds())).collect();
        endpoints.add(Line::new(&part.name, colour, points));
    }
    endpoints.write(out);
    if report.callers.len() > 1 {
        let mut callers = plot("Answered a second by caller", "", false);
        for (at, (part, colour)) in report.callers.iter().zip(COLOURS).enumerate().take(MOST_LINES) {
            let points = rows.iter().map(|row| Some(row.callers[at].1 as f64 / row.seconds())).collect();
            callers.add(Line::new(&part.name, colour, points));
        }
        callers.write(out);
    }
    let mut standing = plot("Under way at the end of each interval", "", false);
    let samples = |count: fn(&crate::tallies::Sample) -> u64| -> Vec<Option<f64>> {
        report.samples.iter().map(|sample| Some(count(sample) as f64)).collect()
    };
    standing.add(Line::new("at endpoints", "#2563eb", samples(|sample| sample.in_flight)));
    standing.add(Line::new("in the queue", "#dc2626", samples(|sample| sample.queued)));
    standing.add(Line::new("active retries", "#d97706", samples(|sample| u64::from(sample.retries))));
    standing.write(out);
}

fn happened(report: &Report, out: &mut String) {
    if report.happened.is_empty() {
        return;
    }
    out.push_str("<h2>What happened</h2>\n<table>\n");
    for (at_us, words) in &report.happened {
        let seconds = *at_us as f64 / 1e6;
        let _ = writeln!(out, "<tr><td>{seconds:.3}s</td><td class=\"words\">{}</td></tr>", escaped(words));
    }
    out.push_str("</table>\n");
}

/// As text of a page: names come from the document.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            sign => out.push(sign),
        }
    }
    out
}
