//! The results for people (aligned text, Markdown) and for programs (JSON).

mod table;

use crate::run::conditions::Conditions;
use crate::run::plan::{Cell, Figure, Row, Shape, Subject};
use crate::run::results::{Raw, Results, Spread, Verdict};
use anyhow::Result;
use serde::Serialize;
use table::Table;

/// Everything that is told at the end.
pub(crate) struct Report<'a> {
    /// The rows asked for.
    pub(crate) rows: &'a [&'static Row],
    /// All rounds.
    pub(crate) results: &'a Results,
    /// Under which conditions.
    pub(crate) conditions: &'a Conditions,
    /// How to get the programs that are missing.
    pub(crate) missing: &'a [String],
}

const FIGURES: &[&str] = &[
    "scenario",
    "program",
    "CPU µs/req",
    "of it user",
    "req/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "peak MiB",
    "idle KiB/conn",
    "to HAProxy",
    "to nginx",
    "to floor",
    "to bare",
];

const CLAIMS: &[&str] =
    &["scenario", "Tollgate against", "limit", "measured", "lowest to highest", "verdict"];

/// How the tables are to be read.
const READING: &str = "Medians over the rounds. CPU is user and system time of all processes of the program; ratios \
(CPU, or memory for idle connections) are taken inside each round. \"bare\" is Tollgate's own row without what the row \
adds. Latency is that of a saturated proxy on a shared machine: read it as an order of magnitude.";

impl Report<'_> {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![self.conditions.lines().join("\n"), self.figures().text(), self.claims().text()];
        parts.extend(self.notes());
        parts.join("\n\n")
    }

    /// For a file in the repository.
    pub(crate) fn markdown(&self) -> String {
        let bullets = |lines: Vec<String>| lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
        let mut text = format!(
            "# Benchmark results\n\nWritten by `cargo xtask bench --save`.\n\n{}\n{READING}\n\n{}\n## Targets\n\n{}",
            bullets(self.conditions.lines()),
            self.figures().markdown(),
            self.claims().markdown()
        );
        let notes = self.notes();
        if !notes.is_empty() {
            text.push_str(&format!("\n## Notes\n\n{}", bullets(notes)));
        }
        text
    }

    /// For programs: conditions, every single measurement, ratios and verdicts.
    pub(crate) fn json(&self) -> Result<String> {
        let document = Document {
            conditions: self.conditions,
            missing: self.missing,
            measurements: self.results.raw(),
            targets: self.judged().map(|(row, judged)| Claim { scenario: row.name, judged }).collect(),
        };
        Ok(serde_json::to_string_pretty(&document)?)
    }

    fn figures(&self) -> Table {
        let mut table = Table::new(FIGURES, 2);
        for row in self.rows {
            for (index, cell) in row.cells().enumerate() {
                let title = if index == 0 { row.title } else { "" };
                table.push(self.figures_of(row, cell, title));
            }
        }
        table
    }

    fn figures_of(&self, row: &Row, cell: Cell, title: &str) -> Vec<String> {
        let busy = row.figure == Figure::Cpu;
        let value = |shown: bool, digits: usize, of: fn(&crate::run::cell::Measure) -> f64| {
            let spread = self.results.spread(cell, of).filter(|_| shown);
            spread.map_or_else(String::new, |spread| format!("{:.digits$}", spread.median))
        };
        let name = match self.results.problem(cell) {
            Some(_) => format!("{} INVALID", cell.subject),
            None => cell.subject.to_string(),
        };
        let mut cells = vec![
            title.to_owned(),
            name,
            value(busy, 1, |measure| measure.cpu_us),
            value(busy, 1, |measure| measure.user_us),
            value(busy, 0, |measure| measure.rate),
            value(busy, 2, |measure| measure.p50_ms),
            value(busy, 2, |measure| measure.p99_ms),
            value(busy, 2, |measure| measure.p999_ms),
            value(true, 1, |measure| measure.peak_mib),
            value(!busy, 2, |measure| measure.idle_kib.unwrap_or(0.0)),
        ];
        cells.extend(references(row.shape).map(|against| self.ratio_text(row, cell, against)));
        cells
    }

    fn ratio_text(&self, row: &Row, cell: Cell, against: Option<Cell>) -> String {
        let against = against.filter(|against| *against != cell);
        let ratio = against.and_then(|against| self.results.ratio(cell, against, row.figure));
        ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median))
    }

    fn claims(&self) -> Table {
        let mut table = Table::new(CLAIMS, 2);
        for (row, judged) in self.judged() {
            let ratio = judged.ratio;
            table.push(vec![
                row.title.to_owned(),
                described(row, judged.against),
                format!("{:.2}", judged.limit),
                ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median)),
                ratio.map_or_else(String::new, |ratio| format!("{:.2} to {:.2}", ratio.low, ratio.high)),
                judged.verdict.word().to_owned(),
            ]);
        }
        table
    }

    fn judged(&self) -> impl Iterator<Item = (&'static Row, Judged)> + '_ {
        self.rows.iter().flat_map(move |&row| {
            let own = Cell { shape: row.shape, subject: Subject::Tollgate };
            row.targets.iter().map(move |target| {
                let (verdict, ratio) = self.results.verdict(own, row, target);
                (row, Judged { against: target.against, limit: target.limit, ratio, verdict })
            })
        })
    }

    /// What is missing, and what is invalid and why.
    fn notes(&self) -> Vec<String> {
        let problems = self.results.problems();
        let problems = problems
            .iter()
            .map(|(cell, problem)| format!("{} in {:?} is invalid: {problem}", cell.subject, cell.shape));
        self.missing.iter().cloned().chain(problems).collect()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    conditions: &'a Conditions,
    missing: &'a [String],
    measurements: Vec<Raw<'a>>,
    targets: Vec<Claim>,
}

#[derive(Serialize)]
struct Claim {
    scenario: &'static str,
    #[serde(flatten)]
    judged: Judged,
}

#[derive(Serialize)]
struct Judged {
    against: Cell,
    limit: f64,
    ratio: Option<Spread>,
    verdict: Verdict,
}

/// What the ratio columns compare with: the peers and the floor on the bare load, and Tollgate without what
/// the shape adds.
fn references(shape: Shape) -> impl Iterator<Item = Option<Cell>> {
    let (peers, bare) = match shape {
        Shape::Gateway => (Shape::Small, Some(Shape::Small)),
        Shape::FewRoutes => (Shape::Small, Some(Shape::Small)),
        Shape::ManyRoutes => (Shape::Small, Some(Shape::FewRoutes)),
        other => (other, None),
    };
    let peer = move |subject| Some(Cell { shape: peers, subject });
    [
        peer(Subject::Haproxy),
        peer(Subject::Nginx),
        peer(Subject::Floor),
        bare.map(|shape| Cell { shape, subject: Subject::Tollgate }),
    ]
    .into_iter()
}

/// "HAProxy", or with its row where that is another one.
fn described(row: &Row, against: Cell) -> String {
    let other = crate::run::plan::ROWS.iter().find(|other| other.shape == against.shape);
    match other {
        Some(other) if other.shape != row.shape => format!("{} ({})", against.subject, other.title),
        _ => against.subject.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::run::cell::Measure;
    use crate::run::conditions::Conditions;
    use crate::run::plan::{Cell, Shape, Subject, select};
    use crate::run::results::Results;

    fn conditions() -> Conditions {
        Conditions {
            date: "2026-11-22".to_owned(),
            cpu: "a CPU".to_owned(),
            kernel: "Linux".to_owned(),
            load_average: "0.10".to_owned(),
            congestion_control: "cubic".to_owned(),
            programs: vec![("HAProxy".to_owned(), "3.2".to_owned())],
            extent: "1 round".to_owned(),
            cores: "two".to_owned(),
        }
    }

    fn measure(cpu_us: f64) -> Measure {
        Measure {
            cpu_us,
            user_us: 2.0,
            rate: 40_000.0,
            p50_ms: 1.0,
            p99_ms: 2.0,
            p999_ms: 3.0,
            peak_mib: 8.0,
            idle_kib: None,
        }
    }

    #[test]
    fn both_tables_tell_ratio_verdict_missing_and_invalid() {
        let mut results = Results::default();
        results.begin_round();
        let cell = |subject| Cell { shape: Shape::Small, subject };
        results.note(cell(Subject::Tollgate), Ok(measure(21.0)));
        results.note(cell(Subject::Haproxy), Ok(measure(30.0)));
        results.note(cell(Subject::Floor), Err("errors: closed 3".to_owned()));
        let rows = select(&["small".to_owned()]).expect("known");
        let missing = ["nginx was not found: install it".to_owned()];
        let conditions = conditions();
        let report = Report { rows: &rows, results: &results, conditions: &conditions, missing: &missing };
        for text in [report.text(), report.markdown()] {
            for wanted in ["21.0", "0.70", "PASS", "INVALID", "closed 3", "nginx was not found", "3.2"] {
                assert!(text.contains(wanted), "no {wanted} in:\n{text}");
            }
        }
        let json: serde_json::Value =
            serde_json::from_str(&report.json().expect("serialises")).expect("is JSON");
        assert_eq!(json["targets"][0]["verdict"], "PASS");
        assert_eq!(json["targets"][1]["verdict"], "UNMEASURED");
        assert_eq!(json["targets"][2]["verdict"], "INVALID");
        assert_eq!(json["measurements"].as_array().map(Vec::len), Some(3));
    }
}
