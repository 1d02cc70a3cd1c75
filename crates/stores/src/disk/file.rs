//! The file of counts, and the secret beside it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use super::quotas::QuotaError;

/// The end of the period (seconds since 1970) and the key's tag; what was used.
const COUNTS: TableDefinition<'_, (u64, u64), u64> = TableDefinition::new("quota_counts_1");

/// Memory for the file's pages. The counts are all in memory already.
const CACHE_BYTES: usize = 4 << 20;

/// A count as it is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) end_s: u64,
    pub(super) tag: u64,
    pub(super) used: u64,
}

/// What has to be changed in the file.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) write: Vec<Row>,
    pub(super) remove: Vec<(u64, u64)>,
}

/// The file, open. No other process has it open then.
#[derive(Debug)]
pub(super) struct CountsFile {
    database: Database,
}

impl CountsFile {
    /// Opens it, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, QuotaError> {
        let mut builder = Database::builder();
        // A file that something else has damaged must be an error, not a surprise later on.
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let opened = tollgate_runtime::process::privately(|| builder.create(path));
        Ok(Self { database: opened.map_err(failed)? })
    }

    /// All counts whose period ends after `now_s`.
    pub(super) fn read(&self, now_s: u64) -> Result<Vec<Row>, QuotaError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = match transaction.open_table(COUNTS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let rows = table.range((now_s + 1, 0)..).map_err(failed)?;
        rows.map(|row| {
            let (key, used) = row.map_err(failed)?;
            let (end_s, tag) = key.value();
            Ok(Row { end_s, tag, used: used.value() })
        })
        .collect()
    }

    /// Writes all changes, and removes what ended by `now_s`, in one transaction that is on the disk when this
    /// returns.
    pub(super) fn write(&self, changes: &Changes, now_s: u64) -> Result<(), QuotaError> {
        let transaction = self.database.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(COUNTS).map_err(failed)?;
            table.retain_in(..(now_s + 1, 0), |_, _| false).map_err(failed)?;
            for key in &changes.remove {
                table.remove(key).map_err(failed)?;
            }
            for row in &changes.write {
                table.insert((row.end_s, row.tag), row.used).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }
}

fn failed(error: impl Into<redb::Error>) -> QuotaError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => QuotaError::InUse,
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            QuotaError::Damaged(error.to_string())
        }
        redb::Error::Io(error) => QuotaError::Io(error.to_string()),
        error @ redb::Error::PreviousIo => QuotaError::Io(error.to_string()),
        error => QuotaError::Damaged(error.to_string()),
    }
}

/// Reads the secret under which keys are hashed from beside the file of counts, or makes one. Apart from that file,
/// for it is needed while another process still has that open.
pub(super) fn secret(counts: &Path, fresh: [u64; 2]) -> Result<[u64; 2], QuotaError> {
    let path = counts.with_extension("key");
    let io = |error: io::Error| QuotaError::Io(format!("{}: {error}", path.display()));
    loop {
        match File::open(&path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(io)?;
                let (words, []) = bytes.as_chunks::<8>() else { return Err(cut(&path)) };
                let [a, b] = words else { return Err(cut(&path)) };
                return Ok([u64::from_le_bytes(*a), u64::from_le_bytes(*b)]);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_secret(&path, fresh).map_err(io)?,
            Err(error) => return Err(io(error)),
        }
    }
}

fn cut(path: &Path) -> QuotaError {
    QuotaError::Damaged(format!("{} is not a key of 16 bytes", path.display()))
}

/// The secret comes into being whole or not at all, and only once.
fn make_secret(path: &Path, [a, b]: [u64; 2]) -> io::Result<()> {
    let own: PathBuf = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = tollgate_runtime::process::privately(|| File::create(&own))?;
    file.write_all(&a.to_le_bytes())?;
    file.write_all(&b.to_le_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&own, path);
    std::fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
