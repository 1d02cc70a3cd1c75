//! `tollgate mirrors`: what mirrors get, and how their answers differ.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::mirrors::{MirrorStatus, Mirrors};

use crate::client::{Reach, path_with_query};
use crate::terminal::table::{Side, Table};
use crate::terminal::{self, Tone};

/// How many places a table names of each mirror.
const PLACES: usize = 10;

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many of the last exchanges that differed are listed
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    last: usize,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Lists them.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let last = arguments.last.to_string();
    let path = path_with_query("/api/v1/mirrors", [("last", last.as_str())]);
    let mirrors: Mirrors = arguments.reach.client()?.get(&path)?;
    if arguments.json {
        return super::print(&format!("{:#}\n", serde_json::to_value(&mirrors)?));
    }
    if mirrors.mirrors.is_empty() {
        return super::print("no route has a mirror\n");
    }
    let colours = terminal::colours();
    let parts = [overview(&mirrors), places(&mirrors), exchanges(&mirrors)];
    let texts = parts.iter().map(|table| table.text(colours)).filter(|text| !text.is_empty());
    super::print(&texts.collect::<Vec<_>>().join("\n"))
}

fn overview(mirrors: &Mirrors) -> Table {
    let columns = ["ROUTE", "MIRROR", "COPIED", "ANSWERED", "NOT COPIED", "COMPARED", "SAME", "EXAMPLE"];
    let left = ["ROUTE", "MIRROR", "EXAMPLE"];
    let columns = columns.map(|name| (name, if left.contains(&name) { Side::Left } else { Side::Right }));
    let mut table = Table::new(&columns);
    for mirror in &mirrors.mirrors {
        let MirrorStatus { mirrored, compared, .. } = mirror;
        let (all, not_made) =
            (sum(mirrored, &[]), count(mirrored, "busy") + count(mirrored, "body_too_large"));
        let (pairs, same) = (sum(compared, &["dropped"]), count(compared, "same"));
        let share = match pairs {
            0 => "-".to_owned(),
            pairs => format!("{:.1}%", same as f64 * 100.0 / pairs as f64),
        };
        let tone = if same < pairs { Tone::Doubtful } else { Tone::Plain };
        table.row([
            (mirror.route.clone(), Tone::Plain),
            (mirror.upstream.clone(), Tone::Plain),
            ((all - not_made).to_string(), Tone::Plain),
            (count(mirrored, "answered").to_string(), Tone::Plain),
            (not_made.to_string(), if not_made > 0 { Tone::Doubtful } else { Tone::Plain }),
            (pairs.to_string(), Tone::Plain),
            (share, tone),
            (mirror.example.clone().unwrap_or_else(|| "-".to_owned()), Tone::Quiet),
        ]);
    }
    table
}

fn count(counts: &BTreeMap<String, u64>, word: &str) -> u64 {
    counts.get(word).copied().unwrap_or(0)
}

fn sum(counts: &BTreeMap<String, u64>, but: &[&str]) -> u64 {
    counts.iter().filter(|(word, _)| !but.contains(&word.as_str())).map(|(_, count)| count).sum()
}

fn places(mirrors: &Mirrors) -> Table {
    let columns = [
        ("DIFFERS AT", Side::Left),
        ("TIMES", Side::Right),
        ("ROUTE", Side::Left),
        ("MIRROR", Side::Left),
        ("EXAMPLE", Side::Left),
    ];
    let mut table = Table::new(&columns);
    for mirror in &mirrors.mirrors {
        for place in mirror.places.iter().take(PLACES) {
            table.row([
                (place.place.clone(), Tone::Doubtful),
                (place.count.to_string(), Tone::Plain),
                (mirror.route.clone(), Tone::Plain),
                (mirror.upstream.clone(), Tone::Plain),
                (place.example.clone(), Tone::Quiet),
            ]);
        }
    }
    table
}

fn exchanges(mirrors: &Mirrors) -> Table {
    let columns = ["TIME", "REQUEST ID", "ROUTE", "MIRROR", "HOW"].map(|name| (name, Side::Left));
    let mut table = Table::new(&columns);
    for exchange in &mirrors.exchanges {
        table.row([
            (exchange.time.clone(), Tone::Quiet),
            (exchange.request_id.clone(), Tone::Plain),
            (exchange.route.clone(), Tone::Plain),
            (exchange.upstream.clone(), Tone::Plain),
            (exchange.summary.clone(), Tone::Doubtful),
        ]);
    }
    table
}
