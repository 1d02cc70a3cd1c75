//! A map that never holds more than so many entries: the memory of the caches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// A map with room for `capacity` entries. When it is full, one that was not read since the hand last passed it
/// makes room (CLOCK): an entry in use survives a stream of entries that are put once.
pub struct BoundedMap<K, V, S> {
    slots: HashMap<K, Slot<V>, S>,
    ring: Vec<K>,
    hand: usize,
    capacity: usize,
}

struct Slot<V> {
    value: V,
    place: usize,
    read: bool,
}

/// For keys that are hashes already: their first eight bytes as they are.
#[derive(Clone, Copy, Default)]
pub struct AsIs(u64);

/// Builds [`AsIs`].
pub type BuildAsIs = BuildHasherDefault<AsIs>;

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let len = bytes.len().min(8);
        first[..len].copy_from_slice(&bytes[..len]);
        self.0 ^= u64::from_ne_bytes(first);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write_usize(&mut self, _: usize) {}
}

impl<K: Copy + Eq + Hash, V, S: BuildHasher + Default> BoundedMap<K, V, S> {
    /// An empty map; `capacity` is at least 1. Memory is taken as entries come.
    pub fn new(capacity: usize) -> Self {
        let slots = HashMap::with_hasher(S::default());
        Self { slots, ring: Vec::new(), hand: 0, capacity: capacity.max(1) }
    }

    /// The entry of this key, which counts as read.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let slot = self.slots.get_mut(key)?;
        slot.read = true;
        Some(&slot.value)
    }

    /// Puts an entry, in place of one of the same key, or of one that was not read for long.
    pub fn insert(&mut self, key: K, value: V) {
        if let Entry::Occupied(mut old) = self.slots.entry(key) {
            old.get_mut().value = value;
            return;
        }
        if self.ring.len() >= self.capacity {
            self.make_room();
        }
        self.slots.insert(key, Slot { value, place: self.ring.len(), read: false });
        self.ring.push(key);
    }

    /// Forgets the entry of this key.
    pub fn remove(&mut self, key: &K) {
        let Some(slot) = self.slots.remove(key) else { return };
        self.ring.swap_remove(slot.place);
        let moved = self.ring.get(slot.place).and_then(|key| self.slots.get_mut(key));
        if let Some(moved) = moved {
            moved.place = slot.place;
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Ends after at most two rounds: the first takes all marks away.
    fn make_room(&mut self) {
        loop {
            self.hand = if self.hand + 1 < self.ring.len() { self.hand + 1 } else { 0 };
            let Some(key) = self.ring.get(self.hand).copied() else { return };
            match self.slots.get_mut(&key) {
                Some(slot) if slot.read => slot.read = false,
                _ => return self.remove(&key),
            }
        }
    }
}

impl<K, V, S> std::fmt::Debug for BoundedMap<K, V, S> {
    /// Without what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundedMap").field("len", &self.ring.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{BoundedMap, BuildAsIs};

    #[test]
    fn an_entry_in_use_survives_a_stream_of_others() {
        let mut map: BoundedMap<u64, u64, BuildAsIs> = BoundedMap::new(16);
        map.insert(1_000_000, 5);
        for key in 0..10_000 {
            assert_eq!(map.get(&1_000_000), Some(&5));
            map.insert(key, key);
            assert!(map.len() <= 16);
        }
    }

    #[test]
    fn it_never_tells_another_value_than_the_last_put() {
        for seed in 0..200_u64 {
            let mut numbers = seed;
            let mut next = |below: u64| {
                numbers =
                    numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (numbers >> 33) % below
            };
            let mut map: BoundedMap<u64, u64, BuildAsIs> = BoundedMap::new(1 + seed as usize % 9);
            let mut model = HashMap::new();
            for step in 0..300 {
                let key = next(20);
                match next(4) {
                    0 => map.remove(&key),
                    1 => {
                        map.insert(key, step);
                        model.insert(key, step);
                        assert_eq!(map.get(&key), Some(&step), "seed {seed} step {step}");
                    }
                    _ => {
                        let got = map.get(&key).copied();
                        assert!(got.is_none() || got == model.get(&key).copied(), "seed {seed} step {step}");
                    }
                }
                assert!(map.len() <= 1 + seed as usize % 9, "seed {seed} step {step}");
                assert_eq!(map.len(), map.slots.len(), "seed {seed} step {step}");
            }
        }
    }
}
