//! Since when something is so, set by one thread and read by many.

use std::sync::atomic::{AtomicU64, Ordering};

/// Since when something is so, in milliseconds since the process started. Who begins it need not know the time:
/// the first that looks at it then says when that was.
#[derive(Debug)]
pub(crate) struct Since(AtomicU64);

const NOT: u64 = 0;
/// It is so, and nobody has looked at it yet.
const NOW: u64 = u64::MAX;

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU64::new(NOT))
    }
}

impl Since {
    /// It is so from the next look on; one that is so already begins again. Whether it was not so.
    pub(crate) fn begin(&self) -> bool {
        self.0.swap(NOW, Ordering::AcqRel) == NOT
    }

    /// It is so since this time.
    pub(crate) fn begin_at(&self, now_ms: u64) {
        self.0.store(stored(now_ms), Ordering::Release);
    }

    /// It is not so. Whether it was.
    pub(crate) fn end(&self) -> bool {
        self.0.swap(NOT, Ordering::AcqRel) != NOT
    }

    /// Whether it is so.
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire) != NOT
    }

    /// Since when it is so: since now, if nobody has looked since it began. `None` if it is not.
    pub(crate) fn look(&self, now_ms: u64) -> Option<u64> {
        let mut since = self.0.load(Ordering::Acquire);
        if since == NOW {
            let now = stored(now_ms);
            since = match self.0.compare_exchange(NOW, now, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => now,
                Err(other) => other,
            };
        }
        match since {
            NOT => None,
            // Begun again between two looks of this very moment.
            NOW => Some(now_ms),
            since => Some(since - 1),
        }
    }

    /// As this one is now; later changes to one do not show in the other.
    pub(crate) fn copy(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Acquire)))
    }

    /// Becomes as another one is now.
    pub(crate) fn catch_up(&self, other: &Self) {
        self.0.store(other.0.load(Ordering::Acquire), Ordering::Release);
    }
}

fn stored(now_ms: u64) -> u64 {
    now_ms.saturating_add(1).min(NOW - 1)
}

#[cfg(test)]
mod tests {
    use super::Since;

    #[test]
    fn the_first_look_says_when() {
        let since = Since::default();
        assert!(since.look(5).is_none() && !since.is_so() && !since.end());
        assert!(since.begin() && !since.begin() && since.is_so());
        assert_eq!((since.look(0), since.look(9)), (Some(0), Some(0)));
        let copy = since.copy();
        since.begin();
        assert_eq!((since.look(7), copy.look(8)), (Some(7), Some(0)));
        copy.catch_up(&since);
        assert_eq!(copy.look(9), Some(7));
        since.begin_at(3);
        assert_eq!(since.look(9), Some(3));
        assert!(since.end() && since.look(9).is_none() && !since.end());
        since.begin_at(u64::MAX);
        assert!(since.look(1).is_some_and(|at| at > u64::MAX - 4));
    }
}
