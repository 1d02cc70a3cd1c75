//! The results for people (aligned text, Markdown) and for programs (JSON).

mod reloads;
mod table;

use crate::run::conditions::Conditions;
use crate::run::plan::{Cell, Figure, Method, Pair, Row, Shape, Subject, Target};
use crate::run::rate::{self, Admitted};
use crate::run::reload::{self, Reloaded};
use crate::run::results::{Raw, RawPair, Results, Spread, Verdict};
use crate::run::scenarios;
use anyhow::Result;
use serde::Serialize;
use table::Table;

/// Everything that is told at the end.
pub(crate) struct Report<'a> {
    /// The rows asked for.
    pub(crate) rows: &'a [&'static Row],
    /// All rounds.
    pub(crate) results: &'a Results,
    /// What reloads do.
    pub(crate) reloads: &'a [Reloaded],
    /// What a limit admits, if that was asked for.
    pub(crate) rate: Option<&'a Admitted>,
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
adds. Where a target says \"in turns\", both programs run at once on the proxy's core and are loaded in turns of a \
fraction of a second; their ratio is the median over a round's turns. Latency is that of a saturated proxy on a shared machine: read it as an order of magnitude.";

impl Report<'_> {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![self.conditions.lines().join("\n")];
        parts.extend((!self.rows.is_empty()).then(|| self.figures().text()));
        parts.extend((!self.reloads.is_empty()).then(|| reloads::table(self.reloads).text()));
        parts.push(self.claims().text());
        parts.extend(self.notes());
        parts.join("\n\n")
    }

    /// For a file in the repository.
    pub(crate) fn markdown(&self) -> String {
        let bullets = |lines: Vec<String>| lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
        let mut text = format!(
            "# Benchmark results\n\nWritten by `cargo xtask bench --save`.\n\n{}\n{READING}\n\n{}\n",
            bullets(self.conditions.lines()),
            self.figures().markdown(),
        );
        if !self.reloads.is_empty() {
            let table = reloads::table(self.reloads).markdown();
            text.push_str(&format!("## Reloads\n\n{}\n\n{table}\n", reloads::READING));
        }
        text.push_str(&format!("## Targets\n\n{}", self.claims().markdown()));
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
            turns: self.results.raw_pairs(),
            targets: self.judged().map(|(row, judged)| Claim { scenario: row.name, judged }).collect(),
            reloads: self.reloads.iter().map(RawReload::of).collect(),
            rate: self.rate,
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
        let ratio = against.and_then(|against| {
            let in_turns = self.results.ratio_in_turns(Pair { of: cell, against });
            in_turns.or_else(|| self.results.ratio(cell, against, row.figure))
        });
        ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median))
    }

    fn claims(&self) -> Table {
        let mut table = Table::new(CLAIMS, 2);
        for (row, judged) in self.judged() {
            let ratio = judged.ratio;
            table.push(vec![
                row.title.to_owned(),
                described(row, judged.against)
                    + if judged.method == Method::Turns { ", in turns" } else { "" },
                judged.limit.map_or_else(String::new, |limit| format!("{limit:.2}")),
                ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median)),
                ratio.map_or_else(String::new, |ratio| format!("{:.2} to {:.2}", ratio.low, ratio.high)),
                judged.verdict.word().to_owned(),
            ]);
        }
        for row in self.rows {
            let Some((verdict, of)) = self.results.ceiling_verdict(row) else { continue };
            table.push(vec![
                row.title.to_owned(),
                row.figure.unit().to_owned(),
                row.ceiling.map_or_else(String::new, |ceiling| format!("{ceiling:.2}")),
                of.map_or_else(String::new, |of| format!("{:.2}", of.median)),
                of.map_or_else(String::new, |of| format!("{:.2} to {:.2}", of.low, of.high)),
                verdict.word().to_owned(),
            ]);
        }
        for reloaded in self.reloads {
            for claim in reloaded.claims() {
                let of = claim.measured;
                table.push(vec![
                    reloaded.row.title.to_owned(),
                    claim.figure.to_owned(),
                    format!("{:.2}", claim.limit),
                    of.map_or_else(String::new, |of| format!("{:.2}", of.median)),
                    of.map_or_else(String::new, |of| format!("{:.2} to {:.2}", of.low, of.high)),
                    claim.verdict.word().to_owned(),
                ]);
            }
        }
        if let Some(rate) = self.rate {
            let rates = rate.0.as_ref().ok().map(|figures| figures.admitted);
            table.push(vec![
                rate::TITLE.to_owned(),
                "admitted per second".to_owned(),
                format!("{:.0} to {:.0}", rate::WANTED.start(), rate::WANTED.end()),
                rates.map_or_else(String::new, |of| format!("{:.2}", of.median)),
                rates.map_or_else(String::new, |of| format!("{:.2} to {:.2}", of.low, of.high)),
                rate.verdict().word().to_owned(),
            ]);
        }
        table
    }

    fn judged(&self) -> impl Iterator<Item = (&'static Row, Judged)> + '_ {
        self.rows.iter().flat_map(move |&row| {
            let own = Cell { shape: row.shape, subject: Subject::Tollgate };
            row.targets.iter().map(move |target| {
                let (verdict, ratio) = self.results.verdict(own, row, target);
                let Target { against, limit, method } = *target;
                (row, Judged { against, limit, method, ratio, verdict })
            })
        })
    }

    /// What is missing, and what is invalid and why.
    fn notes(&self) -> Vec<String> {
        let problems = self.results.problems();
        let problems = problems
            .iter()
            .map(|(cell, problem)| format!("{} in {:?} is invalid: {problem}", cell.subject, cell.shape));
        let pairs = self.results.pair_problems().into_iter().map(|(Pair { of, against }, problem)| {
            let (one, other) = ((of.subject, of.shape), (against.subject, against.shape));
            format!(
                "{} in {:?} and {} in {:?} in turns are invalid: {problem}",
                one.0, one.1, other.0, other.1
            )
        });
        let reloads = self.reloads.iter().filter_map(|reloaded| {
            Some(format!("{} is invalid: {}", reloaded.row.title, reloaded.outcome.as_ref().err()?))
        });
        let noisy = self.reloads.iter().filter_map(|reloaded| {
            let quiet = reloaded.noise_ms()?;
            Some(format!(
                "{}: nothing can be said, a quiet second's p99.9 is {quiet:.1} ms",
                reloaded.row.title
            ))
        });
        let rate = self.rate.and_then(|rate| {
            rate.0.as_ref().err().map(|problem| format!("{} is invalid: {problem}", rate::TITLE))
        });
        let notes = self.missing.iter().cloned().chain(problems).chain(pairs).chain(reloads).chain(noisy);
        notes.chain(rate).chain(self.growth()).collect()
    }

    /// How resident memory grew where many different callers come.
    fn growth(&self) -> impl Iterator<Item = String> + '_ {
        let many = |row: &&&Row| matches!(row.shape, Shape::GateKeys | Shape::GateFirstToken);
        self.rows.iter().filter(many).filter_map(|row| {
            let cell = Cell { shape: row.shape, subject: Subject::Tollgate };
            let grown = self.results.spread(cell, |measure| measure.grown_kib)?;
            Some(format!(
                "{}: resident memory grew by {:.0} KiB in the measured time (lowest {:.0}, highest {:.0})",
                row.title, grown.median, grown.low, grown.high
            ))
        })
    }
}

#[derive(Serialize)]
struct Document<'a> {
    conditions: &'a Conditions,
    missing: &'a [String],
    measurements: Vec<Raw<'a>>,
    turns: Vec<RawPair<'a>>,
    targets: Vec<Claim>,
    reloads: Vec<RawReload<'a>>,
    rate: Option<&'a Admitted>,
}

#[derive(Serialize)]
struct RawReload<'a> {
    title: &'a str,
    figures: Option<&'a reload::Figures>,
    problem: Option<&'a str>,
    targets: Vec<reload::Claim>,
}

impl<'a> RawReload<'a> {
    fn of(reloaded: &'a Reloaded) -> Self {
        Self {
            title: reloaded.row.title,
            figures: reloaded.outcome.as_ref().ok(),
            problem: reloaded.outcome.as_ref().err().map(String::as_str),
            targets: reloaded.claims(),
        }
    }
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
    limit: Option<f64>,
    method: Method,
    ratio: Option<Spread>,
    verdict: Verdict,
}

/// What the ratio columns compare with: the peers and the floor on the bare load, and Tollgate without what
/// the shape adds.
fn references(shape: Shape) -> impl Iterator<Item = Option<Cell>> {
    let (peers, bare) = match shape {
        Shape::Gateway
        | Shape::Everything
        | Shape::Record
        | Shape::TracedNone
        | Shape::TracedSome
        | Shape::TracedAll
        | Shape::FewRoutes => (Shape::Small, Some(Shape::Small)),
        Shape::GateKey | Shape::GateToken | Shape::GateKeys | Shape::GateFirstToken | Shape::GateRedis => {
            (Shape::Small, Some(Shape::Small))
        }
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
    let other = scenarios::rows().find(|other| other.shape == against.shape);
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
    use crate::run::plan::{Cell, RELOADS, Shape, Subject, select};
    use crate::run::reload::Reloaded;
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
            grown_kib: 0.0,
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
        let row = &RELOADS[0];
        let reloads = [Reloaded { row, outcome: Err("errors: status 7".to_owned()) }];
        let report = Report {
            rows: &rows,
            results: &results,
            reloads: &reloads,
            rate: None,
            conditions: &conditions,
            missing: &missing,
        };
        for text in [report.text(), report.markdown()] {
            for wanted in
                ["21.0", "0.70", "PASS", "INVALID", "closed 3", "nginx was not found", "3.2", "status 7"]
            {
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
