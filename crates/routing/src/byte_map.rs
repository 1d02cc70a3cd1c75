//! A read-mostly map from byte strings, for look-ups on the hot path.

/// A map from (salt, bytes) to a small value; filled once, then only read.
///
/// The hash is fast and has no secret key. What is in the map comes from the document, which is trusted;
/// strangers choose only what is looked up, and a look-up costs at most the longest run of slots that the
/// document's own keys made, whatever the key. A keyed hash would buy nothing.
#[derive(Debug)]
pub(crate) struct ByteMap<V> {
    /// A power of two of them, at most half full, so that runs stay short; none at all if nothing is kept.
    slots: Vec<Slot<V>>,
    keys: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot<V> {
    /// [`EMPTY`] if the slot is free.
    start: u32,
    len: u32,
    hash: u32,
    salt: u32,
    value: V,
}

const EMPTY: u32 = u32::MAX;

impl<V: Copy + Default> ByteMap<V> {
    /// A map for at most `count` entries, whose keys must together stay below 4 GiB.
    pub(crate) fn with_room_for(count: usize) -> Self {
        let slots = if count == 0 { 0 } else { (count * 2).next_power_of_two() };
        let free = Slot { start: EMPTY, len: 0, hash: 0, salt: 0, value: V::default() };
        Self { slots: vec![free; slots], keys: Vec::new() }
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, salt: u32, key: &[u8], value: V) {
        let hash = hash(salt, key);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].start != EMPTY {
            at = (at + 1) & mask;
        }
        let start = self.keys.len() as u32;
        self.keys.extend_from_slice(key);
        self.slots[at] = Slot { start, len: key.len() as u32, hash, salt, value };
    }

    /// The value of this key.
    #[inline]
    pub(crate) fn get(&self, salt: u32, key: &[u8]) -> Option<V> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = hash(salt, key);
        let mut at = hash as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.start == EMPTY {
                return None;
            }
            if slot.hash == hash && slot.salt == salt && slot.len as usize == key.len() {
                let start = slot.start as usize;
                if self.keys[start..start + key.len()] == *key {
                    return Some(slot.value);
                }
            }
            at = (at + 1) & mask;
        }
    }
}

/// Multiplies eight bytes at a time and folds the product's halves together.
#[inline]
fn hash(salt: u32, key: &[u8]) -> u32 {
    const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
    const EACH: u64 = 0xD6E8_FEB8_6659_FD93;
    let mut state = FIRST ^ (u64::from(salt) << 32) ^ key.len() as u64;
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), EACH);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    (fold(state ^ u64::from_le_bytes(last), FIRST) >> 16) as u32
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

/// Which lengths (modulo 64) the keys of one owner have: most look-ups that cannot succeed end here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths(u64);

impl Lengths {
    pub(crate) fn add(&mut self, len: usize) {
        self.0 |= 1 << (len & 63);
    }

    #[inline]
    pub(crate) fn may_hold(self, len: usize) -> bool {
        self.0 >> (len & 63) & 1 != 0
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::ByteMap;

    #[test]
    fn every_key_is_found_under_its_own_salt_only() {
        let keys: Vec<String> = (0..5000).map(|n| format!("/{}/{n}", "x".repeat(n % 40))).collect();
        let mut map = ByteMap::with_room_for(keys.len() * 2);
        for (n, key) in keys.iter().enumerate() {
            map.insert(1, key.as_bytes(), n as u32);
            map.insert(2, key.as_bytes(), n as u32 + 100_000);
        }
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(map.get(1, key.as_bytes()), Some(n as u32));
            assert_eq!(map.get(2, key.as_bytes()), Some(n as u32 + 100_000));
            assert_eq!(map.get(3, key.as_bytes()), None);
            assert_eq!(map.get(1, &key.as_bytes()[..key.len() - 1]).filter(|found| *found == n as u32), None);
        }
    }

    #[test]
    fn an_empty_map_answers_and_an_empty_key_is_a_key() {
        assert_eq!(ByteMap::<u32>::with_room_for(0).get(0, b""), None);
        let mut map = ByteMap::with_room_for(1);
        map.insert(0, b"", 7_u32);
        assert_eq!(map.get(0, b""), Some(7));
        assert_eq!(map.get(0, b"\0"), None);
    }
}
