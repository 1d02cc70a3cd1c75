//! The flight recorder: ended exchanges that somebody may ask about, in a fixed number of bytes.
//!
//! It knows nothing of what it keeps but the size. Room is shared fairly between causes: where there is none
//! left, the oldest of the cause that holds the most bytes goes, so that a flood of one failure does not push
//! out the few of another.

mod keeper;
mod shelves;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::reason::Reason;
pub use keeper::Keeper;
use shelves::Shelves;

/// Why an exchange is kept. Each class is a cause of its own when room is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It failed, for this reason.
    Failed(Reason),
    /// It took long.
    Slow,
    /// It would have failed, or waited for nothing, and was saved: tried again, held, sent elsewhere.
    Rescued,
    /// It stands for the others.
    Sample,
}

impl Class {
    /// The word for people and programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Slow => "slow",
            Self::Rescued => "rescued",
            Self::Sample => "sample",
        }
    }

    /// How many classes there are.
    const COUNT: usize = Reason::ALL.len() + 3;

    fn index(self) -> usize {
        match self {
            Self::Failed(reason) => reason as usize,
            Self::Slow => Reason::ALL.len(),
            Self::Rescued => Reason::ALL.len() + 1,
            Self::Sample => Reason::ALL.len() + 2,
        }
    }
}

/// What a recorder can keep.
pub trait Kept {
    /// About how many bytes it takes, without those it shares.
    fn bytes(&self) -> usize;

    /// What it shares with others that may be kept: each with an identity that holds as long as this lives,
    /// and its bytes. They count once, however many share them.
    fn shared(&self) -> impl Iterator<Item = (usize, usize)>;
}

/// How much is kept, and what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecorderSettings {
    /// How many bytes, over all workers; 0 keeps nothing.
    pub bytes: usize,
    /// From which duration on an exchange is slow, in microseconds.
    pub slow_us: u64,
    /// Which share of the others is kept, from 0 to 1.
    pub sample: f64,
}

/// The recorder of one worker. The worker keeps through its [`Keeper`], others read.
#[derive(Debug)]
pub struct Recorder<E> {
    shelves: Mutex<Shelves<E>>,
    budget: AtomicUsize,
    slow_us: AtomicU64,
    /// Of all 2^64 mixed seeds, those below this are sampled; the largest number means all.
    sampled_below: AtomicU64,
    counts: Counts,
}

/// What a recorder holds, and what it could not keep.
#[derive(Debug, Default)]
struct Counts {
    entries: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl<E: Kept> Recorder<E> {
    /// An empty recorder for one of so many workers.
    pub fn new(settings: RecorderSettings, workers: usize) -> Arc<Self> {
        let recorder = Self {
            shelves: Mutex::new(Shelves::new(Class::COUNT)),
            budget: AtomicUsize::new(0),
            slow_us: AtomicU64::new(0),
            sampled_below: AtomicU64::new(0),
            counts: Counts::default(),
        };
        recorder.configure(settings, workers);
        Arc::new(recorder)
    }

    /// Changes what is kept from now on. A smaller budget takes effect with the next entry, or at once where it
    /// is 0.
    pub fn configure(&self, settings: RecorderSettings, workers: usize) {
        self.budget.store(settings.bytes / workers.max(1), Ordering::Relaxed);
        self.slow_us.store(settings.slow_us, Ordering::Relaxed);
        // Saturates at the largest number, which means all.
        let below = (settings.sample * 18_446_744_073_709_551_616.0) as u64;
        self.sampled_below.store(below, Ordering::Relaxed);
        if settings.bytes == 0 {
            let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
            shelves.make_room(0, 0);
            self.count(&shelves);
        }
    }

    /// Whether anything is kept at all.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.budget.load(Ordering::Relaxed) > 0
    }

    /// Whether an exchange is worth keeping, and as what.
    #[inline]
    pub fn class(&self, reason: Reason, duration_us: u64, seed: u64) -> Option<Class> {
        if reason.is_failure() {
            return Some(Class::Failed(reason));
        }
        if duration_us >= self.slow_us.load(Ordering::Relaxed) {
            return Some(Class::Slow);
        }
        // Mixed, since the seed's own bits have chosen where the exchange went: a sample must not have seen
        // one side of a split only.
        let mixed = (seed ^ (seed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let below = self.sampled_below.load(Ordering::Relaxed);
        (mixed < below || below == u64::MAX).then_some(Class::Sample)
    }

    /// All that is kept, in no order.
    pub fn all(&self) -> Vec<(Class, Arc<E>)> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// How many entries are kept.
    pub fn entries(&self) -> u64 {
        self.counts.entries.load(Ordering::Relaxed)
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// How many were lost because somebody was reading, or because they are larger than all the room.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    fn count(&self, shelves: &Shelves<E>) {
        self.counts.entries.store(shelves.len() as u64, Ordering::Relaxed);
        self.counts.bytes.store(shelves.bytes() as u64, Ordering::Relaxed);
    }

    fn drop_one(&self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "recorder/tests.rs"]
mod tests;
