//! `tollgate run`: the only way to serve a document. Stays in the foreground.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_control::prepare::Text;

use crate::documents;
use crate::serving::{self, Manner};

/// How to run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Reload by itself when the document or a file that it includes changes
    #[arg(long, env = "TOLLGATE_WATCH")]
    watch: bool,
}

/// Runs until a signal ends the process.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = documents::find(arguments.config.as_deref())?;
    serving::run(Text::File(path), &Manner { watch: arguments.watch, ..Manner::default() }, |_| {})
}
