//! Running cargo and what it built, from the root of the workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// The root of the workspace: the folder above this package.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts release binaries.
pub(crate) fn release_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(target).join("release")
}

/// Whether the workspace has a package of this name.
pub(crate) fn has_package(name: &str) -> Result<bool, String> {
    let mut command = cargo();
    command.args(["pkgid", "--quiet", "--package", name]).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(status(&mut command)?.success())
}

/// Runs cargo with these arguments; what it prints is for the person at the terminal.
pub(crate) fn step(args: &[&str]) -> Result<ExitStatus, String> {
    step_with(args, &[])
}

/// The same with variables in its environment.
pub(crate) fn step_with(args: &[&str], environment: &[(&str, &str)]) -> Result<ExitStatus, String> {
    let mut command = cargo();
    command.args(args).envs(environment.iter().copied());
    status(&mut command)
}

/// Builds the release binaries of these packages.
pub(crate) fn build_release(packages: &[&str]) -> Result<(), String> {
    let mut command = cargo();
    command.args(["build", "--release"]);
    for package in packages {
        command.args(["--package", package]);
    }
    if status(&mut command)?.success() { Ok(()) } else { Err("the build failed".into()) }
}

/// Runs a program in the root of the workspace and hands on its exit code.
pub(crate) fn pass_through(program: &Path, args: &[String]) -> Result<ExitCode, String> {
    let status = status(Command::new(program).args(args).current_dir(root()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Cargo, to be run in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

fn status(command: &mut Command) -> Result<ExitStatus, String> {
    command.status().map_err(|error| format!("{} does not start: {error}", command.get_program().display()))
}
