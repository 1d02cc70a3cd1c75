//! The version of an upstream, and waiting for another one.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Rises with each change of what views are made from. The upper half tells upstreams apart, so that no view is
/// taken for another's.
#[derive(Debug)]
pub(crate) struct Version {
    number: AtomicU64,
    changed: Notify,
}

impl Version {
    /// Of an upstream that no other has the instance of.
    pub(crate) fn first() -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(1);
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        Self { number: AtomicU64::new(instance << 32), changed: Notify::new() }
    }

    /// Makes all views old, and wakes whoever waits for that.
    pub(crate) fn rise(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The number now.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The next rise from this call on, also one before the future is first polled.
    pub(crate) fn risen(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
