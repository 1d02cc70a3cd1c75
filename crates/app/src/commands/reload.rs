//! `tollgate reload`: the running instance reads its document again.

use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::config::AppliedStatus;

use crate::change;
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

/// Does it. A document that is not fit for use gives the exit code 3.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let answer =
        arguments.reach.client()?.post_or_refused::<AppliedStatus>("/api/v1/config/reload", None::<&()>)?;
    change::tell(answer, arguments.json)
}
