//! Passwords that were right, so that one login costs its price once in a while.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;

use super::stored::Stored;
use crate::bounded::{BoundedMap, BuildAsIs};

const SHARDS: usize = 16;

/// Until when an entry holds.
type Shard = BoundedMap<[u8; 32], u64, BuildAsIs>;

/// Right answers of [`Stored::verify`], each for a while.
///
/// An entry is an HMAC of user, password and stored hash under a key of this process: a dump of the memory does not
/// give passwords away at a lower price than the stored hash would with that key, and another stored hash forgets the
/// old password. Wrong answers are not kept: they would fill it, and a wrong guess shall cost.
pub struct PasswordCache {
    shards: Box<[Mutex<Shard>]>,
    key: hmac::Key,
    ttl: u64,
}

impl PasswordCache {
    /// Room for about `capacity` entries (at least one for each of 16 shards), each good for `ttl` seconds; `key` is
    /// random.
    pub fn new(capacity: usize, ttl: u64, key: &[u8; 32]) -> Self {
        let each = capacity.div_ceil(SHARDS);
        let shards = (0..SHARDS).map(|_| Mutex::new(BoundedMap::new(each))).collect();
        Self { shards, key: hmac::Key::new(hmac::HMAC_SHA256, key), ttl }
    }

    /// Whether this password was right for this user and stored hash, less than `ttl` seconds before `now`.
    pub fn knows(&self, user: &[u8], password: &[u8], stored: &Stored, now: u64) -> bool {
        let entry = self.entry(user, password, stored);
        let mut shard = self.shard(&entry).lock().unwrap_or_else(PoisonError::into_inner);
        match shard.get(&entry) {
            Some(until) if now < *until => true,
            Some(_) => {
                shard.remove(&entry);
                false
            }
            None => false,
        }
    }

    /// Remembers that it was right at `now`.
    pub fn put(&self, user: &[u8], password: &[u8], stored: &Stored, now: u64) {
        let entry = self.entry(user, password, stored);
        let until = now.saturating_add(self.ttl);
        self.shard(&entry).lock().unwrap_or_else(PoisonError::into_inner).insert(entry, until);
    }

    fn entry(&self, user: &[u8], password: &[u8], stored: &Stored) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, password, stored.text().as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut entry = [0; 32];
        entry.copy_from_slice(context.sign().as_ref());
        entry
    }

    /// By the last byte: the map takes the first eight.
    fn shard(&self, entry: &[u8; 32]) -> &Mutex<Shard> {
        &self.shards[usize::from(entry[31]) % SHARDS]
    }
}

impl std::fmt::Debug for PasswordCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordCache").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::PasswordCache;
    use crate::password::Stored;

    #[test]
    fn only_what_was_put_is_known_and_only_for_a_while() {
        let stored = Stored::parse("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        let other = Stored::parse("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOfW").unwrap();
        let cache = PasswordCache::new(100, 60, &[7; 32]);
        cache.put(b"alice", b"pw", &stored, 1000);
        assert!(cache.knows(b"alice", b"pw", &stored, 1059));
        assert!(!cache.knows(b"alice", b"pW", &stored, 1000));
        assert!(!cache.knows(b"alicep", b"w", &stored, 1000), "the parts are told apart");
        assert!(!cache.knows(b"alice", b"pw", &other, 1000), "the hash was changed");
        assert!(!cache.knows(b"alice", b"pw", &stored, 1060));
        assert!(!cache.knows(b"alice", b"pw", &stored, 1059), "it was dropped");
    }
}
