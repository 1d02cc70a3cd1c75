//! `tollgate status`: what runs, and how it does.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tollgate_admin::report::Status;

use crate::client::{Client, Reach};
use crate::{exit, overview, terminal};

/// What to tell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// Also the routes that had no request
    #[arg(long)]
    all: bool,
    /// At most so many routes, the busiest
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// Tell nothing; the exit code says whether all is well
    #[arg(long, short)]
    quiet: bool,
    /// Tell it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<u64>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Tells it. The exit code is 0 only for a process that wants traffic and whose last reload went well.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let Some(seconds) = arguments.watch else { return once(arguments, &client) };
    let clear = std::io::stdout().is_terminal() && !arguments.json;
    loop {
        if clear {
            super::print("\x1b[H\x1b[2J")?;
        }
        once(arguments, &client)?;
        // Until somebody ends it, or nobody reads it.
        std::thread::sleep(Duration::from_secs(seconds.max(1)));
    }
}

fn once(arguments: &Arguments, client: &Client) -> Result<ExitCode> {
    let routes = match (arguments.quiet, arguments.all) {
        (true, _) => "none",
        (false, true) => "all",
        (false, false) => "used",
    };
    let told: Value = client.get(&format!("/api/v1/status?routes={routes}&limit={}", arguments.limit))?;
    let status: Status = serde_json::from_value(told.clone())?;
    if arguments.json {
        super::print(&format!("{told:#}\n"))?;
    } else if !arguments.quiet {
        super::print(&overview::text(&status, terminal::colours()))?;
    }
    Ok(if overview::is_well(&status) { ExitCode::SUCCESS } else { exit::FAILED.into() })
}
