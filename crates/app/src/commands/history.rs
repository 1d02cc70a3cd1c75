//! `tollgate history`: the documents that were in force lately.

use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::config::Versions;

use crate::client::Reach;
use crate::terminal::table::{Side, Table};
use crate::terminal::{self, Tone};

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Lists them, newest first.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let versions: Versions = arguments.reach.client()?.get("/api/v1/config/versions")?;
    if arguments.json {
        return super::print(&format!("{:#}\n", serde_json::to_value(&versions)?));
    }
    let columns = [
        ("", Side::Left),
        ("NUMBER", Side::Right),
        ("SINCE", Side::Left),
        ("BY", Side::Left),
        ("ROUTES", Side::Right),
        ("FINGERPRINT", Side::Left),
    ];
    let mut table = Table::new(&columns);
    for version in versions.versions.iter().rev() {
        let (mark, tone) = if version.in_force { ("->", Tone::Good) } else { ("", Tone::Plain) };
        table.row([
            (mark.to_owned(), tone),
            (version.number.to_string(), tone),
            (version.at.clone(), Tone::Plain),
            (version.occasion.clone(), Tone::Plain),
            (version.routes.to_string(), Tone::Plain),
            (version.fingerprint.clone(), Tone::Quiet),
        ]);
    }
    super::print(&table.text(terminal::colours()))
}
