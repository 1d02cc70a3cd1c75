//! Signs of life of a worker.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::shard::Counter;

/// How long a worker may be silent before it counts as stuck. It beats every 100 ms.
pub const STUCK_AFTER_MS: u64 = 5_000;

/// What a worker says of itself at each tick. All values are absolute.
#[derive(Debug, Default)]
pub struct Pulse {
    last_ms: Counter,
    cpu_us: Counter,
    ended: AtomicBool,
}

impl Pulse {
    /// The worker lives: the process's clock, and the processor time that its thread has used.
    pub fn beat(&self, now_ms: u64, cpu_us: u64) {
        self.last_ms.set(now_ms);
        self.cpu_us.set(cpu_us);
    }

    /// The worker has ended as it should; nothing more is expected of it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// How long the worker has been silent, in milliseconds; 0 once it has ended. One that has not begun
    /// is silent since the process started.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        if self.ended.load(Ordering::Relaxed) { 0 } else { now_ms.saturating_sub(self.last_ms.get()) }
    }

    /// Whether the worker has been silent for too long.
    pub fn is_stuck(&self, now_ms: u64) -> bool {
        self.silent_ms(now_ms) > STUCK_AFTER_MS
    }

    /// The processor time that the worker has used, in microseconds.
    pub fn cpu_us(&self) -> u64 {
        self.cpu_us.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn a_worker_that_is_silent_is_stuck_unless_it_has_ended() {
        let pulse = Pulse::default();
        assert!(!pulse.is_stuck(5_000) && pulse.is_stuck(5_001));
        pulse.beat(5_001, 77);
        assert!(!pulse.is_stuck(10_001) && pulse.is_stuck(10_002));
        assert_eq!((pulse.silent_ms(5_101), pulse.cpu_us()), (100, 77));
        pulse.end();
        assert!(!pulse.is_stuck(u64::MAX));
    }
}
