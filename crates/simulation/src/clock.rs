//! The time of a simulation.

use std::cell::Cell;

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(0) };
}

/// The time of the simulation that this thread runs, in microseconds since it began.
pub(crate) fn now_us() -> u64 {
    NOW_US.get()
}

/// It is later now.
pub(crate) fn advance(now_us: u64) {
    NOW_US.set(now_us);
}
