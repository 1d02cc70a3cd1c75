//! Monotonic time since the process started.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The process's clock. All copies count from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// The clock of this process.
    pub fn new() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        Self { start: *START.get_or_init(Instant::now) }
    }

    /// Milliseconds since the process started.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Microseconds since the process started.
    pub fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Wall-clock time since 1970 (UTC); zero where the machine's clock stands before that.
    pub fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// A worker's clock: read once when a task wakes, then asked for free. An exchange needs the time in a
/// dozen places of the same poll, and asking the system each time costs as much as parsing its head.
#[derive(Debug)]
pub struct CachedClock {
    clock: Clock,
    now_us: Cell<u64>,
    /// The wall-clock time at the process's start, as far as the two clocks agree now.
    wall_start: Cell<Duration>,
}

impl CachedClock {
    /// A clock that was just read.
    pub fn new(clock: Clock) -> Self {
        let cached = Self { clock, now_us: Cell::new(0), wall_start: Cell::default() };
        cached.refresh();
        cached.adjust();
        cached
    }

    /// Reads the clock. To be called where a task begins to run.
    pub fn refresh(&self) {
        self.now_us.set(self.clock.now_us());
    }

    /// Brings the wall clock up to date, which may be set or slewed. To be called now and then.
    pub fn adjust(&self) {
        self.wall_start.set(self.clock.wall().saturating_sub(Duration::from_micros(self.clock.now_us())));
    }

    /// Milliseconds since the process started, when the clock was last read.
    pub fn now_ms(&self) -> u64 {
        self.now_us.get() / 1000
    }

    /// Microseconds since the process started, when the clock was last read.
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// Wall-clock time since 1970 (UTC), when the clock was last read.
    pub fn wall(&self) -> Duration {
        self.wall_start.get() + Duration::from_micros(self.now_us.get())
    }
}

#[cfg(test)]
mod tests {
    use super::{CachedClock, Clock};
    use std::time::Duration;

    #[test]
    fn a_cached_clock_moves_only_when_read_and_agrees_with_the_wall() {
        let cached = CachedClock::new(Clock::new());
        let (now, wall) = (cached.now_us(), cached.wall());
        let difference = wall.abs_diff(Clock::new().wall());
        assert!(difference < Duration::from_secs(1), "{difference:?}");
        while Clock::new().now_us() == now {}
        assert_eq!(cached.now_us(), now);
        cached.refresh();
        assert!(cached.now_us() > now);
    }
}
