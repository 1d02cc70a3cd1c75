//! Where the state of keys is: buckets of seven, found by hash, made when first needed.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

use crate::Key;
use crate::rule::EXPIRES_APART;

/// Keys per bucket: as many tags as fit a cache line beside a byte of use for each and the lock.
pub(super) const WAYS: usize = 7;
/// Buckets that are made together: small, so that a table with few keys stays small.
const SEGMENT: usize = 16;
/// The state of a place whose key is being replaced.
pub(super) const CHANGING: u64 = u64::MAX;

/// Seven keys whose hashes choose the same place.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Bucket {
    tags: Tags,
    states: Words,
    expires: Words,
}

/// What a look-up reads, in one cache line. A tag of zero is a free place.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Tags {
    tags: [AtomicU64; WAYS],
    /// How often each key was asked for of late, saturating.
    uses: [AtomicU8; WAYS],
    locked: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Words([AtomicU64; WAYS]);

impl Bucket {
    /// Where the key is.
    pub(super) fn find(&self, key: Key) -> Option<usize> {
        self.tags.tags.iter().position(|tag| tag.load(Acquire) == key.tag)
    }

    pub(super) fn tag(&self, way: usize) -> u64 {
        self.tags.tags[way].load(Acquire)
    }

    pub(super) fn state(&self, way: usize) -> &AtomicU64 {
        &self.states.0[way]
    }

    /// When the key in a state that does not say so itself is as good as new.
    pub(super) fn expires(&self, way: usize) -> &AtomicU64 {
        &self.expires.0[way]
    }

    /// Remembers that the key was asked for. Of a busy key this only reads.
    pub(super) fn touch(&self, way: usize) {
        let uses = &self.tags.uses[way];
        let count = uses.load(Relaxed);
        if count < u8::MAX {
            // Two workers at once may count one: it is an estimate.
            uses.store(count + 1, Relaxed);
        }
    }

    /// Takes the lock under which keys come and go. Held for some dozens of instructions, and never while a known
    /// key is decided.
    pub(super) fn lock(&self) -> Locked<'_> {
        let mut tries = 0u32;
        while self.tags.locked.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
            tries += 1;
            // Whoever holds it may have been put off its core.
            if tries.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        Locked { bucket: self }
    }

    /// Since when the key in this place is as good as new.
    fn expiry(&self, way: usize, state: u64) -> u64 {
        if state & EXPIRES_APART == 0 { state } else { self.expires(way).load(Relaxed) }
    }
}

/// A bucket whose keys only the holder may replace.
pub(super) struct Locked<'b> {
    bucket: &'b Bucket,
}

impl Locked<'_> {
    /// The place whose key is missed least: a free one, one whose key is as good as new, else of the keys asked
    /// for only once, or least often, the one that would be as good as new first. Whether it is still live.
    ///
    /// Use fades only when all seven were asked for again, so a flood of keys seen once drives out its own kind and
    /// never a key that comes back.
    pub(super) fn least_missed(&self, now_ns: u64) -> (usize, bool) {
        let mut best = (0, (u8::MAX, u64::MAX));
        for way in 0..WAYS {
            let state = self.bucket.state(way).load(Relaxed);
            if self.bucket.tag(way) == 0 || self.bucket.expiry(way, state) <= now_ns {
                return (way, false);
            }
            let rank = (self.bucket.tags.uses[way].load(Relaxed), self.bucket.expiry(way, state));
            if rank < best.1 {
                best = (way, rank);
            }
        }
        if best.1.0 > 1 {
            for uses in &self.bucket.tags.uses {
                uses.store(uses.load(Relaxed) / 2, Relaxed);
            }
        }
        (best.0, true)
    }

    /// Gives the place to a key. Who looks at the place meanwhile sees either key with its own state, or that it
    /// is changing.
    pub(super) fn replace(&self, way: usize, key: Key, state: u64, expires_ns: u64) {
        self.bucket.state(way).swap(CHANGING, AcqRel);
        self.fill(way, key, state, expires_ns);
    }

    /// The same, if the place is in state `from` until the end.
    pub(super) fn replace_if(&self, way: usize, from: u64, key: Key, state: u64) -> bool {
        let claimed = self.bucket.state(way).compare_exchange(from, CHANGING, AcqRel, Relaxed).is_ok();
        if claimed {
            self.fill(way, key, state, 0);
        }
        claimed
    }

    fn fill(&self, way: usize, key: Key, state: u64, expires_ns: u64) {
        self.bucket.tags.tags[way].store(key.tag, Release);
        self.bucket.tags.uses[way].store(1, Relaxed);
        self.bucket.expires(way).store(expires_ns, Relaxed);
        self.bucket.state(way).store(state, Release);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.bucket.tags.locked.store(false, Release);
    }
}

/// All buckets. Their number is fixed; the memory of each group of them is taken when its first key comes.
#[derive(Debug)]
pub(super) struct Buckets {
    segments: Box<[OnceLock<Box<[Bucket; SEGMENT]>>]>,
}

impl Buckets {
    /// Enough for `max_keys` at once: twice as many places, so that few buckets (one key in a hundred) overflow
    /// when there are so many.
    pub(super) fn new(max_keys: usize) -> Self {
        let segments = max_keys.max(1).saturating_mul(2).div_ceil(WAYS * SEGMENT);
        Self { segments: (0..segments).map(|_| OnceLock::new()).collect() }
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.segments.len() * SEGMENT * WAYS
    }

    /// How much memory is taken.
    pub(super) fn bytes(&self) -> usize {
        let made = self.segments.iter().filter(|segment| segment.get().is_some()).count();
        made * size_of::<[Bucket; SEGMENT]>() + size_of_val(&*self.segments)
    }

    /// The bucket of a key, if it was made.
    pub(super) fn get(&self, key: Key) -> Option<&Bucket> {
        let (segment, bucket) = self.place(key);
        Some(&self.segments[segment].get()?[bucket])
    }

    /// The bucket of a key, and its number.
    pub(super) fn make(&self, key: Key) -> (&Bucket, usize) {
        let (segment, bucket) = self.place(key);
        let made = self.segments[segment].get_or_init(Box::default);
        (&made[bucket], segment * SEGMENT + bucket)
    }

    /// The bucket of a number that [`Buckets::make`] gave.
    pub(super) fn at(&self, number: usize) -> Option<&Bucket> {
        Some(&self.segments[number / SEGMENT].get()?[number % SEGMENT])
    }

    /// All that were made.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.segments.iter().filter_map(|segment| segment.get()).flat_map(|segment| segment.iter())
    }

    fn place(&self, key: Key) -> (usize, usize) {
        let buckets = (self.segments.len() * SEGMENT) as u128;
        let number = ((u128::from(key.place) * buckets) >> 64) as usize;
        (number / SEGMENT, number % SEGMENT)
    }
}
