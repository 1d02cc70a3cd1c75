//! What is kept on disk.
//!
//! ```text
//! STORAGE/                          the folder of the settings, 0700
//!   HOST-HASH/                      one for each directory: its host, and a hash of its address
//!     lock                          held while an order runs, by whichever process runs it
//!     account.json                  the account with its key
//!     tries.json                    failures that concern all certificates; there only behind one
//!     certificates/
//!       shop.example.com.pem        key, certificate and chain in one file, so that they change together
//!       shop.example.com.tries.json failures of its orders; there only behind one
//! ```
//!
//! Files are 0600 and are replaced whole: written beside, synced, renamed. Processes may share the folder.
//! A file that cannot be used gets `.broken` behind its name, in place of an earlier one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::schedule::Tries;

/// Bytes of a file that are read: chains take some thousands.
const FILE_MAX: u64 = 1024 * 1024;

/// The folder of one directory.
#[derive(Clone, Debug)]
pub struct Storage {
    folder: PathBuf,
}

/// Held while an order runs; given back when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is on the open file")] File);

/// Why a file gave nothing.
#[derive(Debug)]
pub enum Unusable {
    /// It could not be read.
    Io(io::Error),
    /// It was read, and holds something else. It has another name now.
    SetAside(PathBuf, String),
}

/// The account as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeptAccount {
    /// What the directory was told.
    pub(crate) email: Option<String>,
    pub(crate) credentials: instant_acme::AccountCredentials,
}

impl Storage {
    /// Opens the part of a directory, and makes what is missing.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn open(root: &Path, directory: &str) -> io::Result<Self> {
        let storage = Self { folder: root.join(folder_name(directory)) };
        DirBuilder::new().recursive(true).mode(0o700).create(storage.folder.join("certificates"))?;
        Ok(storage)
    }

    /// Takes the lock, unless another process or keeper holds it.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.folder.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where the certificate of this first name is kept.
    pub fn certificate_path(&self, name: &str) -> PathBuf {
        self.folder.join("certificates").join(format!("{name}.pem"))
    }

    pub(crate) fn certificate(&self, name: &str) -> Result<Option<crate::Issued>, Unusable> {
        let path = self.certificate_path(name);
        self.read(&path, |text| crate::Issued::parse(text).map_err(|error| error.to_string()))
    }

    pub(crate) fn keep_certificate(&self, name: &str, pem: &str) -> io::Result<()> {
        replace(&self.certificate_path(name), pem.as_bytes())
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    pub(crate) fn account(&self) -> Result<Option<KeptAccount>, Unusable> {
        self.read(&self.account_path(), json)
    }

    pub(crate) fn keep_account(&self, account: &KeptAccount) -> io::Result<()> {
        replace(&self.account_path(), &serde_json::to_vec_pretty(account)?)
    }

    /// Gives the account's file another name; returns its old one.
    pub(crate) fn set_account_aside(&self) -> io::Result<PathBuf> {
        set_aside(&self.account_path())
    }

    /// Of a certificate, or those that concern all.
    fn tries_path(&self, name: Option<&str>) -> PathBuf {
        match name {
            Some(name) => self.folder.join("certificates").join(format!("{name}.tries.json")),
            None => self.folder.join("tries.json"),
        }
    }

    pub(crate) fn tries(&self, name: Option<&str>) -> Result<Option<Tries>, Unusable> {
        self.read(&self.tries_path(name), json)
    }

    /// Keeps failures, or that there are none.
    pub(crate) fn keep_tries(&self, name: Option<&str>, tries: &Tries) -> io::Result<()> {
        let path = self.tries_path(name);
        if *tries != Tries::default() {
            return replace(&path, &serde_json::to_vec_pretty(tries)?);
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read<T>(
        &self,
        path: &Path,
        parse: impl FnOnce(String) -> Result<T, String>,
    ) -> Result<Option<T>, Unusable> {
        let named = |error: io::Error| {
            Unusable::Io(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_MAX).read_to_end(&mut bytes).map_err(named)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error)),
        };
        let parsed = String::from_utf8(bytes).map_err(|error| error.to_string()).and_then(parse);
        parsed.map(Some).map_err(|why| match set_aside(path) {
            Ok(path) => Unusable::SetAside(path, why),
            Err(error) => named(error),
        })
    }
}

fn json<T: DeserializeOwned>(text: String) -> Result<T, String> {
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// A folder's name for a directory: readable, and different for different ones.
fn folder_name(directory: &str) -> String {
    let host = directory.split_once("://").map_or(directory, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let readable = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '_' };
    let host: String = host.chars().take(100).map(readable).collect();
    // FNV-1a: it has to stay the same in all versions, and nobody gains by making two the same.
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{host}-{:016x}", directory.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Writes a file such that it is whole, old or new, whatever happens meanwhile.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        // What a killed process left there may have other rights.
        let _ = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(named)
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut broken = path.as_os_str().to_owned();
    broken.push(".broken");
    std::fs::rename(path, broken)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Storage, Unusable, folder_name};
    use crate::schedule::Tries;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    const DIRECTORY: &str = "https://127.0.0.1:14000/dir";

    fn storage() -> (tempfile::TempDir, Storage) {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(&root.path().join("deep/acme"), DIRECTORY).unwrap();
        (root, storage)
    }

    #[test]
    fn folders_are_readable_and_differ() {
        let name = folder_name(DIRECTORY);
        assert!(
            name.starts_with("127.0.0.1_14000-") && name.len() == "127.0.0.1_14000-".len() + 16,
            "{name}"
        );
        assert_ne!(name, folder_name("https://127.0.0.1:14000/other"));
        assert!(!folder_name("https://../../x").contains('/'));
    }

    #[test]
    fn files_are_for_the_owner_only_and_nothing_is_left_beside() {
        let (_root, storage) = storage();
        let tries = Tries { failures: 2, next: Duration::from_secs(7), ..Tries::default() };
        for round in 0..2 {
            storage.keep_tries(Some("a.example"), &tries).unwrap();
            let folder = storage.folder.join("certificates");
            let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap()).collect();
            assert_eq!(files.len(), 1, "round {round}: {files:?}");
            assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(storage.tries(Some("a.example")).unwrap(), Some(tries));
        storage.keep_tries(Some("a.example"), &Tries::default()).unwrap();
        storage.keep_tries(Some("a.example"), &Tries::default()).unwrap();
        assert_eq!(storage.tries(Some("a.example")).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_used_is_set_aside() {
        let (_root, storage) = storage();
        let path = storage.certificate_path("a.example");
        for text in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let found = storage.certificate("a.example");
            assert!(matches!(&found, Err(Unusable::SetAside(at, _)) if *at == path), "{text}: {found:?}");
            assert!(storage.certificate("a.example").unwrap().is_none());
            let kept = std::fs::read_to_string(path.with_extension("pem.broken")).unwrap();
            assert_eq!(kept, text);
        }
        std::fs::write(storage.folder.join("account.json"), [0xff, 0]).unwrap();
        assert!(matches!(storage.account(), Err(Unusable::SetAside(..))));
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(storage.certificate("a.example"), Err(Unusable::Io(_))));
    }

    #[test]
    fn the_lock_is_for_one() {
        let (_root, storage) = storage();
        let lock = storage.lock().unwrap();
        assert!(lock.is_some() && storage.lock().unwrap().is_none());
        drop(lock);
        assert!(storage.lock().unwrap().is_some());
    }
}
