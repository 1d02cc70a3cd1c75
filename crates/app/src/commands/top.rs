//! `tollgate top`: what happens now.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::client::Reach;
use crate::top;

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Print one picture as text and end; so it is also where there is no terminal
    #[arg(long)]
    once: bool,
    /// Print the state and what changed in one interval, for programs
    #[arg(long)]
    json: bool,
}

/// Shows it until a key ends it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let interval = Duration::from_secs_f64(arguments.interval);
    if arguments.json {
        let changes = top::changes(&client, interval)?;
        return super::print(&format!("{:#}\n", serde_json::to_value(changes)?));
    }
    if arguments.once || !std::io::stdout().is_terminal() {
        return super::print(&top::once(&client, interval)?);
    }
    top::live(&client, interval)?;
    Ok(ExitCode::SUCCESS)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("write a number of seconds from 0.05 to 3600".to_owned()),
    }
}
