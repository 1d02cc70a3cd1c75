//! `tollgate version`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

/// In which form.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Prints the version.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        return super::print(&format!("{}\n", json!({ "version": version })));
    }
    super::print(&format!("tollgate {version}\n"))
}
