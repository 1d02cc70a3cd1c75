//! Counting up to a cap, exactly, over all threads.

use std::sync::atomic::{AtomicU32, Ordering};

/// No cap. Then nothing is counted.
pub(crate) const UNLIMITED: u32 = u32::MAX;

/// Slots of which at most `cap` are taken at a time. All accesses are sequentially consistent, since a release must see who
/// waits, or who begins to wait must see the release.
///
/// Aligned to two cache lines, as processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slots {
    taken: AtomicU32,
    cap: AtomicU32,
}

/// How a slot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is to be given back.
    Counted,
    /// There is no cap, so that there is nothing to give back.
    Uncounted,
}

impl Slots {
    pub(crate) fn new(cap: u32) -> Self {
        Self { taken: AtomicU32::new(0), cap: AtomicU32::new(cap) }
    }

    /// Takes a slot, if one is free.
    pub(crate) fn try_take(&self) -> Option<Taken> {
        self.try_take_below(self.cap())
    }

    /// Takes a slot, if fewer than `cap` are taken.
    pub(crate) fn try_take_below(&self, cap: u32) -> Option<Taken> {
        if cap == UNLIMITED {
            return Some(Taken::Uncounted);
        }
        let take = |taken| (taken < cap).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).ok().map(|_| Taken::Counted)
    }

    pub(crate) fn give_back(&self, taken: Taken) {
        if taken == Taken::Counted {
            self.taken.fetch_sub(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn cap(&self) -> u32 {
        self.cap.load(Ordering::Relaxed)
    }

    /// Sets the cap. Slots beyond a lower one stay taken until they are given back.
    pub(crate) fn set_cap(&self, cap: u32) {
        self.cap.store(cap, Ordering::SeqCst);
    }
}
