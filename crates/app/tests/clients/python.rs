//! Python programs with what they need, in an environment that is made once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::foreign::{Foreign, missing};

/// What is installed; see there.
const PINS: &str = include_str!("python/requirements.txt");
/// Making the environment includes downloads.
const INSTALLING: Duration = Duration::from_secs(300);

/// A Python that has the pinned packages, about to run a file of `python/`. None where it cannot be had and that may be.
pub fn python(script: &str) -> Option<Command> {
    static ENVIRONMENT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match ENVIRONMENT.get_or_init(environment) {
        Ok(python) => {
            let mut command = Command::new(python);
            let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python");
            command.arg("-u").arg(scripts.join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
            // It warns of every process that the tests start beside it.
            command.env("GRPC_VERBOSITY", "ERROR").env("GRPC_ENABLE_FORK_SUPPORT", "0");
            Some(command)
        }
        Err(why) => {
            missing(&format!("no Python with the packages of tests/clients/python/requirements.txt: {why}"));
            None
        }
    }
}

/// The interpreter of the environment for these pins. It is made under another name, so that it is there as a whole or not.
fn environment() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = place.join(format!("python-{:016x}", fingerprint(PINS)));
    let python = made.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    let making = tempfile::tempdir_in(place).map_err(|error| format!("{}: {error}", place.display()))?;
    let pins = making.path().join("requirements.txt");
    std::fs::write(&pins, PINS).map_err(|error| error.to_string())?;
    let new = making.path().join("python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&new))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    run(Command::new(new.join("bin/python")).args(quiet).args(["--only-binary", ":all:", "-r"]).arg(&pins))?;
    // Another process may have been faster; its environment is the same.
    match std::fs::rename(&new, &made) {
        Err(error) if !python.exists() => Err(error.to_string()),
        _ => Ok(python),
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let (status, said) = Foreign::start(command).end(INSTALLING);
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}\n{said}")) }
}

/// FNV-1a: tells one list of pins from another.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
