//! `tollgate diff`: what a document would change.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};
use tollgate_admin::report::{TrafficGroup, TrafficReport};
use tollgate_admin::resources::config::{ChangeStatus, Compared};
use tollgate_config::difference;

use crate::change;
use crate::client::Reach;
use crate::terminal::{self, Tone, painted};
use crate::{documents, exit};

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document that would be put into force
    file: PathBuf,
    /// Compare with this document instead of the one that the running instance has in force
    #[arg(long, value_name = "FILE", conflicts_with_all = ["traffic", "fail_on"])]
    from: Option<PathBuf>,
    /// Also decide the requests in the flight recorder on both documents, and tell which would fare otherwise
    #[arg(long)]
    traffic: bool,
    /// With --traffic, fail if more than this share of it would change, such as changed>1%
    #[arg(long, value_name = "CONDITION", requires = "traffic")]
    fail_on: Option<Condition>,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// `changed>1%`, `refused>0%`…: which share may not be larger.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    what: String,
    percent: f64,
}

/// What a condition can be about, besides all of it.
const DIFFERENCES: [&str; 5] = ["refused", "let_through", "elsewhere", "other_reason", "other_route"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not a condition: write changed>1%, or refused>0%");
        let (what, limit) = text.split_once('>').ok_or_else(malformed)?;
        let percent = limit.trim().strip_suffix('%').ok_or_else(malformed)?;
        let percent: f64 = percent.trim().parse().map_err(|_| malformed())?;
        let what = what.trim().to_owned();
        if what != "changed" && !DIFFERENCES.contains(&what.as_str()) {
            return Err(format!("`{what}` is none of changed, {}", DIFFERENCES.join(", ")));
        }
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{percent} % is no share"));
        }
        Ok(Self { what, percent })
    }
}

impl Condition {
    /// What is wrong with the report, if it is.
    fn broken_by(&self, report: &TrafficReport) -> Option<String> {
        if report.recorded == 0 {
            return Some("no requests are recorded, so nothing is known of what would change".to_owned());
        }
        let share = match self.what.as_str() {
            "changed" => report.changed_share,
            what => report.shares.get(what).copied().unwrap_or(1.0),
        };
        // Shares are sums, and may be off in the last digit.
        (share * 100.0 > self.percent + 1e-9)
            .then(|| format!("{} is {:.2} %, allowed is {} %", self.what, share * 100.0, self.percent))
    }
}

/// Compares.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(from) = &arguments.from {
        return between_files(arguments, from);
    }
    let mut document = change::read(&arguments.file)?;
    document.traffic = arguments.traffic;
    let answer =
        arguments.reach.client()?.post_or_refused::<Compared>("/api/v1/config/diff", Some(&document))?;
    let compared = match answer {
        Ok(compared) => compared,
        Err(problem) => return change::refused(&problem, "would be refused", arguments.json),
    };
    if arguments.json {
        super::print(&format!("{:#}\n", serde_json::to_value(&compared)?))?;
    } else {
        eprint!("{}", compared.warnings);
        let mut text = changes_text(&compared.changes, compared.left_out);
        if let Some(traffic) = &compared.traffic {
            text.push_str(&traffic_text(traffic, terminal::colours()));
        }
        super::print(&text)?;
    }
    let Some(condition) = &arguments.fail_on else { return Ok(ExitCode::SUCCESS) };
    let traffic = compared.traffic.as_ref().context("the running instance told nothing of its traffic")?;
    match condition.broken_by(traffic) {
        Some(broken) => {
            eprintln!("tollgate: {broken}");
            Ok(exit::FAILED.into())
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn between_files(arguments: &Arguments, from: &PathBuf) -> Result<ExitCode> {
    let [old, new] = [from, &arguments.file].map(|path| documents::load(path).document);
    let (Some(old), Some(new)) = (old, new) else { return Ok(exit::INVALID_DOCUMENT.into()) };
    let changes = difference(&old, &new);
    let changes: Vec<_> = changes.iter().map(ChangeStatus::of).collect();
    if arguments.json {
        // What was found is on standard error already.
        let compared = Compared { changes, left_out: 0, warnings: String::new(), traffic: None };
        return super::print(&format!("{:#}\n", serde_json::to_value(&compared)?));
    }
    super::print(&changes_text(&changes, 0))
}

fn changes_text(changes: &[ChangeStatus], left_out: usize) -> String {
    match changes {
        [] => "the documents say the same\n".to_owned(),
        _ => change::lines(changes, left_out),
    }
}

fn traffic_text(report: &TrafficReport, colours: bool) -> String {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    if report.recorded == 0 {
        return "\nno requests are recorded (`recorder` in the document says what is)\n".to_owned();
    }
    let mut text = format!(
        "\n{} recorded requests, which stand for about {:.0}: {} of them would fare otherwise\n",
        report.recorded,
        report.represented,
        percent(report.changed_share),
    );
    for group in &report.groups {
        text.push_str(&group_text(group, &percent(group.share), colours));
    }
    if report.left_out > 0 {
        text.push_str(&format!("  and {} more kinds of change\n", report.left_out));
    }
    text
}

fn group_text(group: &TrafficGroup, share: &str, colours: bool) -> String {
    let (word, tone) = match group.difference.as_str() {
        "refused" => ("would be refused", Tone::Bad),
        "let_through" => ("would be let through", Tone::Doubtful),
        "elsewhere" => ("would go elsewhere", Tone::Doubtful),
        "other_reason" => ("would be refused for another reason", Tone::Plain),
        _ => ("would go to the same place by another route", Tone::Quiet),
    };
    let mut text = format!(
        "  {share:>8}  {}: {} -> {} ({} recorded)\n",
        painted(word, tone, colours),
        group.before,
        group.after,
        group.recorded
    );
    for example in &group.examples {
        let line = format!("{} {} {}: {}", example.request_id, example.method, example.target, example.why);
        text.push_str(&format!("            {}\n", painted(&line, Tone::Quiet, colours)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Condition;

    #[test]
    fn conditions_are_read_and_refused_in_words() {
        let parse = |text: &str| text.parse::<Condition>();
        assert_eq!(parse("changed>1%"), Ok(Condition { what: "changed".to_owned(), percent: 1.0 }));
        assert_eq!(parse("refused > 0.5 %").map(|c| c.percent), Ok(0.5));
        assert!(parse("changed").unwrap_err().contains("write changed>1%"));
        assert!(parse("broken>1%").unwrap_err().contains("none of changed, refused"));
        assert!(parse("changed>101%").is_err());
    }
}
