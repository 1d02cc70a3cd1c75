//! Counting in memory, for a file that follows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tollgate_runtime::{Clock, Random};

use super::file::{CountsFile, secret};
use super::flusher::Flusher;
use super::rule::{Quota, used};
use crate::memory::Table;
use crate::{Decision, Key, KeyHash, Period};

/// How much callers have used of their quotas.
///
/// Requests are counted in memory ([`Table`], so no lock on a known key); a thread of its own writes what has changed to
/// the file every half second in one transaction that is on the disk when it ends. So a process that dies at once
/// (kill -9, loss of power) loses at most the last second, and a stop in good order nothing.
///
/// **Keys are bounded** like those of a [`Table`]: when there are more than fit, those that were used least often are
/// forgotten, here and in the file, and begin at zero if they come back.
///
/// **While the file cannot be used** counting goes on in memory, what failed is said ([`QuotaEvent`]), and it is tried again at
/// each flush. A file that another process has open (the one that is being replaced) is taken over when it lets
/// go: what it holds is then added. Until then each of the two grants quotas without the other's counts, so the one that
/// leaves should [`Quotas::release`] the file when it hands over.
#[derive(Debug)]
pub struct Quotas {
    pub(super) counts: Arc<Counts>,
    /// `None` where nothing is written.
    flusher: Option<Flusher>,
}

/// What the threads that count and the one that writes share.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) table: Table,
    hash: KeyHash,
    pub(super) flushes: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// How quotas are kept.
#[derive(Clone, Copy, Debug)]
pub struct QuotaSettings {
    /// How many keys are remembered at once.
    pub max_keys: usize,
    /// How often counts are written, if they have changed.
    pub flush_every: Duration,
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self { max_keys: 1_000_000, flush_every: Duration::from_millis(500) }
    }
}

/// Why the file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// It is not what was written: another kind of file, or damaged. It is left as it is.
    Damaged(String),
    /// Another process has it open.
    InUse,
    /// The system refused to read or to write.
    Io(String),
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => {
                write!(f, "the file of quotas is damaged (move it away to begin anew): {what}")
            }
            Self::InUse => f.write_str("the file of quotas is in use by another process"),
            Self::Io(what) => write!(f, "the file of quotas: {what}"),
        }
    }
}

impl std::error::Error for QuotaError {}

/// What operators should hear of the file. Each is said when it begins, not again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaEvent {
    /// Counts cannot be written for now, and are kept in memory.
    Failing(QuotaError),
    /// Counts are written (again).
    Written,
}

impl fmt::Display for QuotaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(error) => write!(f, "quotas are counted in memory only, for now: {error}"),
            Self::Written => f.write_str("quotas are written again"),
        }
    }
}

/// Who hears of events.
pub(super) type Listener = Box<dyn Fn(QuotaEvent) + Send>;

impl Quotas {
    /// Opens the file at `path`, or makes it, and begins to write to it. Beside it, with the extension `key`, is the secret
    /// under which keys are hashed.
    ///
    /// # Errors
    ///
    /// If the file is damaged or the system refuses it. One that is in use is waited for in the background.
    pub fn open(
        path: &Path,
        settings: QuotaSettings,
        events: impl Fn(QuotaEvent) + Send + 'static,
    ) -> Result<Self, QuotaError> {
        let fresh = [Random::from_machine().next_u64(), Random::from_machine().next_u64()];
        let counts = Arc::new(Counts {
            table: Table::new(settings.max_keys),
            hash: KeyHash::from_secret(secret(path, fresh)?),
            flushes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        let file = match CountsFile::open(path) {
            Ok(file) => Some(file),
            Err(QuotaError::InUse) => {
                events(QuotaEvent::Failing(QuotaError::InUse));
                None
            }
            Err(error) => return Err(error),
        };
        let events = Box::new(events);
        let flusher = Flusher::start(Arc::clone(&counts), file, path, settings.flush_every, events)?;
        Ok(Self { counts, flusher: Some(flusher) })
    }

    /// Counts that are never written: for documents that are only looked at.
    pub fn in_memory(settings: QuotaSettings) -> Self {
        let secret = [Random::from_machine().next_u64(), Random::from_machine().next_u64()];
        let counts = Counts {
            table: Table::new(settings.max_keys),
            hash: KeyHash::from_secret(secret),
            flushes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        Self { counts: Arc::new(counts), flusher: None }
    }

    /// The number of a quota in keys: the same for the same name, in all processes that share the file.
    pub fn number(&self, name: &str) -> u64 {
        self.counts.hash.key(0, name.as_bytes()).tag
    }

    /// The key of `bytes` under the quota with this number.
    pub fn key(&self, number: u64, bytes: &[u8]) -> Key {
        key(self.counts.hash.key(number, bytes).tag)
    }

    /// Takes `cost` of the `limit` that the key has in the period that `wall_us` (microseconds since 1970, UTC) is in,
    /// if there is so much left.
    pub fn take(&self, key: Key, period: Period, limit: u64, cost: u64, wall_us: u64) -> Decision {
        self.counts.table.decide(key, &quota(period, limit, wall_us), wall_us, cost)
    }

    /// What [`Quotas::take`] would say, without taking.
    pub fn peek(&self, key: Key, period: Period, limit: u64, cost: u64, wall_us: u64) -> Decision {
        self.counts.table.peek(key, &quota(period, limit, wall_us), wall_us, cost)
    }

    /// How often counts were written, and how often that failed.
    pub fn flushes(&self) -> (u64, u64) {
        (self.counts.flushes.load(Relaxed), self.counts.failures.load(Relaxed))
    }

    /// What is held in memory.
    pub fn usage(&self) -> crate::memory::TableUsage {
        self.counts.table.usage()
    }

    /// Writes now what has changed, and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// If it cannot be written; it is then kept, and tried again.
    pub fn flush(&self) -> Result<(), QuotaError> {
        self.flusher.as_ref().map_or(Ok(()), Flusher::flush)
    }

    /// Writes what has changed and gives the file away, to a process that takes over. What is counted here from now
    /// on is not kept.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The file is given away all the same.
    pub fn release(&self) -> Result<(), QuotaError> {
        self.flusher.as_ref().map_or(Ok(()), Flusher::release)
    }
}

impl Counts {
    /// Adds what a file says of a key.
    pub(super) fn add(&self, tag: u64, end_s: u64, used: u64, now_us: u64) {
        self.table.decide(key(tag), &Quota { limit: u64::MAX, end_s }, now_us, used);
    }

    /// All counts whose period has not ended: tag, end, use.
    pub(super) fn all(&self, now_us: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let live = self.table.live(now_us.saturating_mul(1000));
        live.map(|live| (live.tag, live.expires_ns / 1_000_000_000, used(live.state)))
    }
}

/// The file knows a key by its tag alone, so the place follows from it.
fn key(tag: u64) -> Key {
    Key { place: tag.wrapping_mul(0x9e37_79b9_7f4a_7c15), tag }
}

fn quota(period: Period, limit: u64, wall_us: u64) -> Quota {
    let (_, end_s) = period.bounds_s(wall_us / 1_000_000);
    Quota { limit, end_s }
}

/// The machine's time of day, for the thread that writes.
pub(super) fn wall_us() -> u64 {
    Clock::new().wall().as_micros() as u64
}
