//! How many requests of a key are inside at once.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::bucket::{Buckets, CHANGING, WAYS};
use crate::Key;

/// Counts what is inside, by key. A key of which nothing is inside is forgotten when its place is wanted.
///
/// A key with something inside is never forgotten. Where its bucket is full of such keys a new key cannot be
/// counted ([`Entry::Uncounted`]): with `max_keys` at least as large as the number of requests that can be inside at
/// once that befalls one in a hundred at worst.
#[derive(Debug)]
pub struct Concurrency {
    buckets: Buckets,
    uncounted: AtomicU64,
}

/// Whether a request may come in.
#[derive(Debug)]
pub enum Entry {
    /// It may, and is inside until the permit is dropped.
    Admitted(Permit),
    /// So many of the key are inside already.
    Full,
    /// There is no place to count the key in.
    Uncounted,
}

/// One request inside.
#[derive(Debug)]
pub struct Permit {
    inside: Arc<Concurrency>,
    bucket: usize,
    way: usize,
}

impl Concurrency {
    /// A table for so many keys at once.
    pub fn new(max_keys: usize) -> Arc<Self> {
        Arc::new(Self { buckets: Buckets::new(max_keys), uncounted: AtomicU64::new(0) })
    }

    /// Lets a request of the key in if fewer than `max` are inside.
    pub fn enter(self: &Arc<Self>, key: Key, max: u64) -> Entry {
        if max == 0 {
            return Entry::Full;
        }
        let (bucket, number) = self.buckets.make(key);
        loop {
            if let Some(way) = bucket.find(key) {
                match self.enter_known(key, number, way, max) {
                    Some(entry) => return entry,
                    // The key lost its place meanwhile, or is about to.
                    None => std::hint::spin_loop(),
                }
                continue;
            }
            let locked = bucket.lock();
            if bucket.find(key).is_some() {
                continue;
            }
            let Some(way) = (0..WAYS).find(|way| locked.replace_if(*way, 0, key, 1)) else {
                self.uncounted.fetch_add(1, Relaxed);
                return Entry::Uncounted;
            };
            return Entry::Admitted(Permit { inside: Arc::clone(self), bucket: number, way });
        }
    }

    /// How many of the key are inside.
    pub fn inside(&self, key: Key) -> u64 {
        let count = || {
            let bucket = self.buckets.get(key)?;
            let way = bucket.find(key)?;
            let count = bucket.state(way).load(Acquire);
            (count != CHANGING && bucket.tag(way) == key.tag).then_some(count)
        };
        count().unwrap_or(0)
    }

    /// How often a request could not be counted for want of a place.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }

    /// `None` if the place is not the key's any more.
    fn enter_known(self: &Arc<Self>, key: Key, number: usize, way: usize, max: u64) -> Option<Entry> {
        let bucket = self.buckets.at(number)?;
        let state = bucket.state(way);
        let mut count = state.load(Acquire);
        loop {
            if count == CHANGING || bucket.tag(way) != key.tag {
                return None;
            }
            if count >= max {
                return Some(Entry::Full);
            }
            match state.compare_exchange_weak(count, count + 1, AcqRel, Acquire) {
                Ok(_) => break,
                Err(now) => count = now,
            }
        }
        let permit = Permit { inside: Arc::clone(self), bucket: number, way };
        // With something inside the place cannot change hands: if it is the key's now it stays so. Else the
        // permit, dropped, takes back what it had added to another key.
        (bucket.tag(way) == key.tag).then_some(Entry::Admitted(permit))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(bucket) = self.inside.buckets.at(self.bucket) {
            bucket.state(self.way).fetch_sub(1, AcqRel);
        }
    }
}
