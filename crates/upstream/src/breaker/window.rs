//! Counts of the last seconds, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a window: it looks back between nine tenths of its length and all of it.
pub(super) const PARTS: u64 = 10;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges that have ended.
    pub total: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were slow.
    pub slow: u64,
}

/// Counts by parts of time. Each word carries the part that it counts in its upper 24 bits, so that one addition both counts
/// and tells whether the word was one of long ago. Then it is begun anew, by comparing and swapping the whole word:
/// whoever added to the old one meanwhile has seen so, and adds again. So nothing is lost, and nothing counted twice.
#[derive(Debug)]
pub(super) struct Window {
    part_ms: u64,
    totals: [AtomicU64; PARTS as usize],
    /// Failures in the lower 20 bits, slow ones in the next 20.
    bad: [AtomicU64; PARTS as usize],
}

const TAG: u32 = 40;
const SLOW: u32 = 20;
const MASK: u64 = (1 << 20) - 1;
const COUNTS: u64 = (1 << TAG) - 1;

impl Window {
    pub(super) fn new(window_ms: u64) -> Self {
        // No time has this tag, so that all words are of long ago.
        let unused = || std::array::from_fn(|_| AtomicU64::new(u64::MAX << TAG));
        Self { part_ms: window_ms.div_ceil(PARTS).max(1), totals: unused(), bad: unused() }
    }

    fn tag(part: u64) -> u64 {
        // Never the one of unused words.
        part % ((1 << 24) - 1)
    }

    /// Counts an exchange that went well: one addition.
    pub(super) fn good(&self, now_ms: u64) {
        let part = now_ms / self.part_ms;
        add(&self.totals[(part % PARTS) as usize], Self::tag(part), 1);
    }

    /// Counts one that failed or was slow.
    pub(super) fn bad(&self, failed: bool, slow: bool, now_ms: u64) {
        self.good(now_ms);
        let part = now_ms / self.part_ms;
        let word = &self.bad[(part % PARTS) as usize];
        // Full before it would run over into the next field: then more of them change nothing.
        let old = word.load(Ordering::Relaxed);
        let full = old & MASK > MASK / 2 || old >> SLOW & MASK > MASK / 2;
        if !(full && old >> TAG == Self::tag(part)) {
            add(word, Self::tag(part), u64::from(failed) | u64::from(slow) << SLOW);
        }
    }

    /// What it holds.
    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        let part = now_ms / self.part_ms;
        let mut counts = Counts::default();
        for part in part.saturating_sub(PARTS - 1)..=part {
            let of_part = |word: &AtomicU64| {
                let word = word.load(Ordering::Relaxed);
                if word >> TAG == Self::tag(part) { word & COUNTS } else { 0 }
            };
            let bad = of_part(&self.bad[(part % PARTS) as usize]);
            counts.total += of_part(&self.totals[(part % PARTS) as usize]);
            counts.failed += bad & MASK;
            counts.slow += bad >> SLOW & MASK;
        }
        counts
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.totals.iter().chain(&self.bad).for_each(|word| word.store(u64::MAX << TAG, Ordering::Relaxed));
    }
}

fn add(word: &AtomicU64, tag: u64, amount: u64) {
    let mut old = word.fetch_add(amount, Ordering::Relaxed);
    let fresh = tag << TAG | amount;
    while old >> TAG != tag {
        let current = word.load(Ordering::Relaxed);
        if current >> TAG == tag {
            old = word.fetch_add(amount, Ordering::Relaxed);
        } else if word.compare_exchange(current, fresh, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}
