//! What API keys lead to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A table by the SHA-256 of keys, which stand in it as they are: a look-up goes to one place in memory.
///
/// They are not hashed again. Where a key stands follows from its first eight bytes, which are as good as random. Who
/// asks may choose those by trying out many keys, but what is in the table is the operator's, so that no place has
/// more keys than chance gives it, whatever is asked for.
#[derive(Debug)]
pub(crate) struct KeyTable<V>(HashMap<Sha256, V, BuildHasherDefault<FirstBytes>>);

#[derive(Debug, PartialEq, Eq)]
struct Sha256([u8; 32]);

impl Hash for Sha256 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Gives back the number that it is given.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    /// Keys give a number; anything else must still come to some place.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }
}

impl<V> Default for KeyTable<V> {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl<V> KeyTable<V> {
    /// An empty table with room for so many.
    pub(crate) fn with_room(keys: usize) -> Self {
        Self(HashMap::with_capacity_and_hasher(keys, BuildHasherDefault::default()))
    }

    /// Adds a key. `Err` is what it leads to already, which stays.
    pub(crate) fn insert(&mut self, hash: [u8; 32], value: V) -> Result<(), &V> {
        match self.0.entry(Sha256(hash)) {
            Entry::Occupied(taken) => Err(taken.into_mut()),
            Entry::Vacant(free) => {
                free.insert(value);
                Ok(())
            }
        }
    }

    /// What a key leads to.
    pub(crate) fn get(&self, hash: &[u8; 32]) -> Option<&V> {
        self.0.get(&Sha256(*hash))
    }
}
