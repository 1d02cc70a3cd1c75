//! `tollgate reference`: every key of the document, for people.

use std::process::ExitCode;

use anyhow::Result;

/// Prints it.
pub fn run() -> Result<ExitCode> {
    super::print(&tollgate_config::reference())
}
