//! `tollgate schema`: the JSON Schema of the document, for editors.

use std::process::ExitCode;

use anyhow::Result;

/// Prints it.
pub fn run() -> Result<ExitCode> {
    super::print(&format!("{:#}\n", tollgate_config::schema()))
}
