//! `tollgate check`: everything that is wrong with a document.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_control::prepare::Ready;

use crate::documents;
use crate::exit;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(value_name = "FILE", env = "TOLLGATE_CONFIG")]
    file: Option<PathBuf>,
}

/// Checks. Nothing is bound and no name is resolved.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = documents::find(arguments.file.as_deref())?;
    let prepared = documents::look_at(&path);
    documents::report(&prepared);
    let Some(Ready { document, .. }) = &prepared.ready else { return Ok(exit::INVALID_DOCUMENT.into()) };
    let warnings = match prepared.diagnostics.warnings() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    super::print(&format!(
        "{} is fine: {} listeners, {} routes, {} upstreams{warnings}\n",
        path.display(),
        document.listen.len(),
        document.routes.len(),
        document.upstreams.len(),
    ))
}
