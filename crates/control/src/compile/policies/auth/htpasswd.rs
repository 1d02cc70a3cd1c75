//! htpasswd files: reading them, and reading them again when they change.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tollgate_config::{FilePath, Files as _, Located};
use tollgate_credentials::password::{Decoy, Htpasswd, MAX_FILE_BYTES, Stored};
use tollgate_policies::auth::basic::{Users, UsersCell};

use super::super::Compiler;
use crate::beside::{FromFiles, Reading, Refreshed};

impl Compiler<'_> {
    /// The users of a method: those of its file, which is watched from now on, beside consumers whose passwords have
    /// these hashes. `None` after a finding.
    pub(super) fn users(
        &mut self,
        file: Option<&Located<FilePath>>,
        of_consumers: Vec<Stored>,
    ) -> Option<Arc<UsersCell>> {
        let Some(path) = file else {
            return Some(Arc::new(UsersCell::new(Users::new(None, Decoy::of(&of_consumers)))));
        };
        let reading = Reading::default();
        let read = match read(path.value.path(), &reading) {
            Ok(read) => read,
            Err(problems) => {
                for problem in problems {
                    self.wrong::<()>(path.origin, problem);
                }
                return None;
            }
        };
        let users = Arc::new(UsersCell::new(together(read.users, &of_consumers)));
        let path = path.value.path().to_owned();
        let held = Mutex::new(read.fingerprint);
        let in_force = InForce { path, of_consumers, users: users.clone(), held };
        self.beside.watched.add(Arc::new(in_force), reading.seen());
        Some(users)
    }
}

/// What a file held.
struct Read {
    users: Htpasswd,
    /// The same for the same text in one process, which is all that is needed.
    fingerprint: u64,
}

/// Reads a file.
///
/// # Errors
/// All that is wrong, each with its line; nothing of the lines is in it.
fn read(path: &Path, reading: &Reading) -> Result<Read, Vec<String>> {
    let shown = path.display();
    let bytes = reading
        .read(path, MAX_FILE_BYTES as u64)
        .map_err(|error| vec![format!("cannot read `{shown}`: {error}")])?;
    let users = Htpasswd::parse(&bytes)
        .map_err(|lines| lines.iter().map(|line| format!("`{shown}`, {line}")).collect::<Vec<_>>())?;
    let mut hash = DefaultHasher::new();
    hash.write(&bytes);
    Ok(Read { users, fingerprint: hash.finish() })
}

/// With what is verified for those that nobody knows: it costs what the others mostly cost.
fn together(file: Htpasswd, of_consumers: &[Stored]) -> Users {
    let decoy = Decoy::of(of_consumers.iter().chain(file.iter().map(|(_, stored)| stored)));
    Users::new(Some(file), decoy)
}

/// The users in force, who follow their file.
#[derive(Debug)]
struct InForce {
    path: PathBuf,
    of_consumers: Vec<Stored>,
    users: Arc<UsersCell>,
    /// The fingerprint of what is in force.
    held: Mutex<u64>,
}

impl FromFiles for InForce {
    fn kind(&self) -> &'static str {
        "htpasswd"
    }

    fn refresh(&self) -> Refreshed {
        let reading = Reading::default();
        let read = read(&self.path, &reading);
        let seen = reading.seen();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(Read { fingerprint, .. }) if fingerprint == *held => {
                Refreshed { taken: None, problems: Vec::new(), seen }
            }
            Ok(Read { users, fingerprint }) => {
                let taken =
                    format!("`{}` has changed: {} users are in force", self.path.display(), users.len());
                self.users.set(together(users, &self.of_consumers));
                *held = fingerprint;
                Refreshed { taken: Some(taken), problems: Vec::new(), seen }
            }
            Err(lines) => {
                let more = match lines.len() {
                    0 | 1 => String::new(),
                    count => format!(", and {} more", count - 1),
                };
                let first = lines.first().map_or("", String::as_str);
                let problem = format!("{first}{more}; what was there before stays in force");
                Refreshed { taken: None, problems: vec![problem], seen }
            }
        }
    }
}
