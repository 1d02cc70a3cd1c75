//! Finding the programs, and saying how to get those that are missing.

use super::plan::Subject;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where daemons are, though not always on the PATH of a plain user.
const DAEMON_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program that was found.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it says about its version.
    pub(crate) version: String,
}

/// The programs to compare.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    found: BTreeMap<Subject, Program>,
    /// For each missing one a line about how to get it.
    pub(crate) missing: Vec<String>,
}

impl Programs {
    /// The program for a subject.
    pub(crate) fn get(&self, subject: Subject) -> Option<&Program> {
        self.found.get(&subject)
    }

    /// All programs found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Subject, &Program)> {
        self.found.iter().map(|(subject, program)| (*subject, program))
    }

    /// Takes the file named for a subject, or else looks for `default`.
    pub(crate) fn locate(&mut self, subject: Subject, named: Option<&Path>, default: &str) {
        let path = named.map(Path::to_path_buf).or_else(|| search(default));
        let found = path.ok_or_else(|| format!("{subject} was not found")).and_then(|path| {
            // The programs run in a folder of their own.
            let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
            let version = version(subject, &path)?;
            Ok(Program { path, version })
        });
        match found {
            Ok(program) => drop(self.found.insert(subject, program)),
            Err(why) => self.missing.push(format!("{why}: {}", how_to_get(subject))),
        }
    }

    /// This program itself, as the floor.
    pub(crate) fn add_floor(&mut self, path: PathBuf) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.found.insert(Subject::Floor, Program { path, version });
    }
}

fn how_to_get(subject: Subject) -> &'static str {
    match subject {
        Subject::Haproxy => "install it (Debian: apt-get install haproxy) or name one with --haproxy FILE",
        Subject::Nginx => "install it (Debian: apt-get install nginx-light) or name one with --nginx FILE",
        Subject::Tollgate => {
            "build it (cargo build --release --package tollgate) or name one with --tollgate FILE"
        }
        Subject::Floor => "it is part of this program",
    }
}

/// A name with a slash is a file; any other is looked for on the PATH and among the daemons.
fn search(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(DAEMON_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The first line it prints about its version; nginx prints to stderr.
fn version(subject: Subject, path: &Path) -> Result<String, String> {
    let flag = if subject == Subject::Tollgate { "version" } else { "-v" };
    let output = Command::new(path).arg(flag).output();
    let output = output.map_err(|error| format!("{} does not start ({error})", path.display()))?;
    if !output.status.success() {
        return Err(format!("{} {flag} failed ({})", path.display(), output.status));
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().next().unwrap_or("no version").trim();
    let line = line.split(" - https://").next().unwrap_or(line);
    let names = ["HAProxy version ", "nginx version: nginx/", "tollgate "];
    Ok(names.iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Programs, Subject};
    use std::path::Path;

    #[test]
    fn a_missing_program_comes_with_advice() {
        let mut programs = Programs::default();
        programs.locate(Subject::Haproxy, Some(Path::new("/nowhere/haproxy")), "haproxy");
        programs.locate(Subject::Tollgate, None, "target/nowhere/tollgate");
        programs.locate(Subject::Nginx, Some(Path::new("/bin/false")), "nginx");
        assert!(programs.get(Subject::Haproxy).is_none());
        assert!(programs.missing[0].contains("apt-get install haproxy"), "{:?}", programs.missing);
        assert!(programs.missing[1].contains("cargo build --release"), "{:?}", programs.missing);
        assert!(programs.missing[2].contains("failed"), "{:?}", programs.missing);
    }
}
