//! `cargo xtask tidy`: the rules that the compiler does not check.

use std::process::ExitCode;

use crate::{cargo, say, tidy};

/// Checks, and shows each place that breaks a rule.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err("tidy takes no arguments".into());
    }
    let found = tidy::check(&cargo::root())?;
    for finding in &found {
        say(&finding.to_string());
    }
    match found.len() {
        0 => {
            say("tidy: every rule is kept");
            Ok(ExitCode::SUCCESS)
        }
        count => {
            say(&format!("tidy: {count} findings"));
            Ok(ExitCode::FAILURE)
        }
    }
}
