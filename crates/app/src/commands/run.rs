//! `tollgate run`: the only way to serve a document. Stays in the foreground.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_control::resolve::SystemResolver;

use crate::documents::{self, Compiled};
use crate::{exit, serving};

/// How to run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
}

/// Runs until a signal ends the process.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = documents::find(arguments.config.as_deref())?;
    let (events, receiver) = serving::health_events();
    let compiled = Compiled::load(&path, &SystemResolver, &events);
    compiled.report();
    let Some((document, snapshot)) = compiled.ready else { return Ok(exit::INVALID_DOCUMENT.into()) };
    serving::serve(&path.display().to_string(), &document, snapshot, receiver, |_| {})
}
