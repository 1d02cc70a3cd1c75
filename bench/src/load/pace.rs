//! Open-loop load: requests fall due at a fixed rate, whether or not the answers keep up.

use std::time::{Duration, Instant};

/// When requests fall due.
pub(crate) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// So many requests a second, the first one now.
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate), next: now }
    }

    /// When the next request that nobody took yet fell due; none while none is. A latency is counted from
    /// there, so that a stall is seen by each request that it held up, not only by those under way.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next;
        (due <= now).then(|| {
            self.next += self.interval;
            due
        })
    }

    /// How long until the next request falls due.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_held_up_is_counted_from_when_it_fell_due() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000.0, start);
        let ms = |count| start + Duration::from_millis(count);
        assert_eq!((pace.take(start), pace.take(start)), (Some(start), None));
        assert_eq!(pace.wait(start), Duration::from_millis(1));
        assert_eq!((pace.take(ms(2)), pace.take(ms(2)), pace.take(ms(2))), (Some(ms(1)), Some(ms(2)), None));
    }
}
