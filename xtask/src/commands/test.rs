//! `cargo xtask test`: builds what the tests need and runs all of them.

use std::process::ExitCode;

use crate::cargo;

/// Runs all tests of the workspace; the arguments are handed to `cargo test`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    // Tests start the binaries, and find them where cargo puts debug builds.
    let built = cargo::step(&["build", "--workspace", "--locked", "--bins"])?;
    if !built.success() {
        return Err("the build failed".into());
    }
    let mut command = vec!["test", "--workspace", "--locked"];
    command.extend(args.iter().map(String::as_str));
    let status = cargo::step(&command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
