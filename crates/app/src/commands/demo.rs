//! `tollgate demo`: something to try things on.

use std::process::ExitCode;

use anyhow::Result;

/// Where the demo listens.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the shop's gateway listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where metrics and health are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: String,
}

/// Runs until a signal ends the process.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    crate::demo::run(&arguments.listen, &arguments.admin)
}
