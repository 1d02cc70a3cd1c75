//! `tollgate rollback`: an earlier document, again.

use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::config::{AppliedStatus, Back};

use crate::change;
use crate::client::Reach;

/// Where to go back to.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document's number, as `tollgate history` lists it; else the one before the one in force
    number: Option<u64>,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let back = Back { number: arguments.number };
    let answer =
        arguments.reach.client()?.post_or_refused::<AppliedStatus>("/api/v1/config/rollback", Some(&back))?;
    change::tell(answer, arguments.json)
}
