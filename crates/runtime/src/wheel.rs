//! A coarse timer wheel: one entry a connection, no work a request.
//!
//! Moving a deadline later, which is what every request does, only stores a number; the entry is
//! looked at again when its old slot comes round. Only moving it earlier files it anew. Deadlines
//! are met within one tick after they pass.

use std::task::Waker;

/// Milliseconds between two ticks.
pub const TICK_MS: u64 = 50;
const SLOTS: u64 = 512;
/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// Names an entry of a [`Wheel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey(u32);

struct Entry {
    deadline_ms: u64,
    /// The tick whose slot holds this entry's valid reference; others are stale.
    filed: u64,
    waker: Option<Waker>,
}

/// The timers of one worker. Memory: an entry a connection, and at most one stale reference for
/// each connection that ended within the last turn of the wheel.
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    tick: u64,
}

impl Wheel {
    /// A wheel that starts at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            entries: Vec::new(),
            free: Vec::new(),
            tick: now_ms / TICK_MS,
        }
    }

    /// A new entry without a deadline.
    pub fn insert(&mut self) -> TimerKey {
        let entry = Entry { deadline_ms: NEVER, filed: NEVER, waker: None };
        if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            return TimerKey(index);
        }
        self.entries.push(entry);
        TimerKey((self.entries.len() - 1) as u32)
    }

    /// Ends an entry.
    pub fn remove(&mut self, key: TimerKey) {
        let entry = &mut self.entries[key.0 as usize];
        *entry = Entry { deadline_ms: NEVER, filed: NEVER, waker: None };
        self.free.push(key.0);
    }

    /// Whom to wake when the entry's deadline has passed. Costs nothing when it is the same as before.
    pub fn register(&mut self, key: TimerKey, waker: &Waker) {
        let entry = &mut self.entries[key.0 as usize];
        if !entry.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
    }

    /// Sets an entry's deadline; [`NEVER`] for none.
    pub fn set(&mut self, key: TimerKey, deadline_ms: u64) {
        let entry = &mut self.entries[key.0 as usize];
        entry.deadline_ms = deadline_ms;
        if deadline_ms != NEVER && deadline_ms / TICK_MS + 1 < entry.filed {
            self.file(key.0);
        }
    }

    /// Whether the entry's deadline has passed.
    pub fn is_due(&self, key: TimerKey, now_ms: u64) -> bool {
        self.entries[key.0 as usize].deadline_ms <= now_ms
    }

    /// Turns the wheel up to `now_ms` and wakes whose deadline has passed.
    pub fn advance(&mut self, now_ms: u64) {
        let target = now_ms / TICK_MS;
        while self.tick < target {
            self.tick += 1;
            let slot = (self.tick % SLOTS) as usize;
            let mut keys = std::mem::take(&mut self.slots[slot]);
            for index in keys.drain(..) {
                self.visit(index, now_ms);
            }
            // The vector goes back to keep its memory, unless the slot was filed into meanwhile.
            if self.slots[slot].is_empty() {
                self.slots[slot] = keys;
            }
        }
    }

    /// Wakes all entries, whatever their deadlines: something else has changed.
    pub fn wake_all(&self) {
        self.entries.iter().filter_map(|e| e.waker.as_ref()).for_each(Waker::wake_by_ref);
    }

    fn visit(&mut self, index: u32, now_ms: u64) {
        let entry = &mut self.entries[index as usize];
        if entry.filed != self.tick {
            return;
        }
        entry.filed = NEVER;
        if entry.deadline_ms <= now_ms {
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        } else if entry.deadline_ms != NEVER {
            self.file(index);
        }
    }

    /// Files an entry under the first tick at which its deadline has passed, or as far away as the
    /// wheel reaches.
    fn file(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let due = (entry.deadline_ms / TICK_MS + 1).clamp(self.tick + 1, self.tick + SLOTS - 1);
        entry.filed = due;
        self.slots[(due % SLOTS) as usize].push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::{NEVER, TICK_MS, Wheel};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn timer(wheel: &mut Wheel) -> (super::TimerKey, Arc<Count>) {
        let count = Arc::new(Count::default());
        let key = wheel.insert();
        wheel.register(key, &Waker::from(count.clone()));
        (key, count)
    }

    #[test]
    fn a_deadline_moved_earlier_or_later_fires_once_at_its_time() {
        let mut wheel = Wheel::new(0);
        let (key, count) = timer(&mut wheel);
        wheel.set(key, 60_000);
        wheel.set(key, 1_000);
        wheel.set(key, 2_000);
        wheel.advance(1_900);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        wheel.advance(2_000 + TICK_MS);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        wheel.set(key, NEVER);
        wheel.advance(200_000);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_removed_entry_never_fires_even_when_its_place_is_taken() {
        let mut wheel = Wheel::new(0);
        let (key, old) = timer(&mut wheel);
        wheel.set(key, 500);
        wheel.remove(key);
        let (key, new) = timer(&mut wheel);
        wheel.set(key, 5_000);
        wheel.advance(1_000);
        assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 0));
        wheel.advance(5_100);
        assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
    }

    proptest! {
        #[test]
        fn no_deadline_is_early_or_later_than_a_tick(deadlines in prop::collection::vec(0u64..100_000, 1..40), step in 1u64..5_000) {
            let mut wheel = Wheel::new(0);
            let timers: Vec<_> = deadlines.iter().map(|d| {
                let (key, count) = timer(&mut wheel);
                wheel.set(key, *d);
                (*d, count)
            }).collect();
            let mut now = 0;
            while now < 102_000 {
                now += step;
                wheel.advance(now);
                for (deadline, count) in &timers {
                    let fired = count.0.load(Ordering::Relaxed) > 0;
                    prop_assert!(!fired || *deadline <= now, "early: {} at {}", deadline, now);
                    prop_assert!(fired || *deadline + 2 * TICK_MS > now, "late: {} at {}", deadline, now);
                }
            }
        }
    }
}
