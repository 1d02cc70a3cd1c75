//! `tollgate handover`: another process takes the place of the running one, and no request is lost.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tollgate_admin::resources::handover::{HandedOver, Wanted};

use crate::change;
use crate::client::Reach;

/// What the new process is to be.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The program; else the one by whose path the running instance was started
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The document; else the one of the running instance
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long the new process may take to be ready
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: tollgate_config::Duration,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Does it. Where the new process finds its document wrong, the exit code is 3.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let absolute = |path: &Option<PathBuf>| {
        path.as_ref().map(std::path::absolute).transpose().context("there is no working directory")
    };
    let timeout = arguments.timeout.get();
    let wanted = Wanted {
        binary: absolute(&arguments.binary)?,
        config: absolute(&arguments.config)?,
        timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
    };
    let client = arguments.reach.client()?.waiting_longer(timeout);
    let handed = match client.post_or_refused::<HandedOver>("/api/v1/handover", Some(&wanted))? {
        Ok(handed) => handed,
        Err(problem) => {
            return change::refused(&problem, "not handed over, what runs goes on as it was", arguments.json);
        }
    };
    if arguments.json {
        return super::print(&format!("{:#}\n", serde_json::to_value(handed)?));
    }
    let HandedOver { pid, old_pid } = handed;
    super::print(&format!("process {pid} serves now; process {old_pid} finishes what it has begun\n"))
}
