//! `tollgate confirm`: the document that is on trial is kept.

use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::trial::TrialStatus;

use crate::client::Reach;

/// Whom to tell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let trial: TrialStatus = arguments.reach.client()?.post("/api/v1/config/trial/confirm", None::<&()>)?;
    if arguments.json {
        return super::print(&format!("{:#}\n", serde_json::to_value(&trial)?));
    }
    super::print(&format!("document {} is confirmed\n", trial.number))
}
