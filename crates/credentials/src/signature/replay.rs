//! No signed request counts twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::bounded::BuildAsIs;

const SHARDS: usize = 16;
/// How long a request is remembered beyond its expiry, in seconds: the clock of the worker that verified it may lag
/// behind the one that asks here, and what is forgotten early can be replayed.
const MARGIN: u64 = 5;

/// Why a request is refused that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It was seen before, or another one of the same nonce and key.
    Seen,
    /// So many requests of this key are remembered that no more fit. To forget one would let it be replayed, so
    /// new ones are refused until old ones expire: a shorter greatest age or a larger bound helps.
    Full,
}

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Seen => "the request, or its nonce, was seen before",
            Self::Full => "no more requests of this key can be remembered until some expire",
        })
    }
}

impl std::error::Error for Replayed {}

/// Remembers verified requests until they expire. Each key has its own bound, so that none can use up another's.
///
/// Only requests whose signature was verified belong here: the keys in it are then configured ones and as few. A request
/// takes about 100 bytes.
///
/// Held in memory: another instance, or this one after a restart, does not know what was seen.
pub struct ReplayGuard {
    shards: Box<[Mutex<HashMap<String, Seen>>]>,
    per_key: usize,
}

#[derive(Default)]
struct Seen {
    requests: HashSet<[u8; 32], BuildAsIs>,
    by_expiry: BTreeMap<u64, Vec<[u8; 32]>>,
}

impl Seen {
    fn forget_expired(&mut self, now: u64) {
        while let Some(first) = self.by_expiry.first_entry() {
            if first.key().saturating_add(MARGIN) > now {
                return;
            }
            for request in first.remove() {
                self.requests.remove(&request);
            }
        }
    }
}

impl ReplayGuard {
    /// Remembers at most `per_key` requests of each key.
    pub fn new(per_key: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), per_key }
    }

    /// Lets a verified request pass once: `replay` and `expires_at` as in [`Verified`](super::Verified), `now` as it was
    /// verified.
    ///
    /// # Errors
    /// Why it may not pass.
    pub fn admit(&self, key_id: &str, replay: &[u8; 32], expires_at: u64, now: u64) -> Result<(), Replayed> {
        let mut shard = self.shard(key_id).lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.contains_key(key_id) {
            shard.insert(key_id.to_owned(), Seen::default());
        }
        let Some(seen) = shard.get_mut(key_id) else { return Err(Replayed::Full) };
        seen.forget_expired(now);
        if seen.requests.contains(replay) {
            return Err(Replayed::Seen);
        }
        if seen.requests.len() >= self.per_key {
            return Err(Replayed::Full);
        }
        seen.requests.insert(*replay);
        seen.by_expiry.entry(expires_at).or_default().push(*replay);
        Ok(())
    }

    /// Forgets what is expired at `now`, and keys without anything left: to be called now and then, since a key that is
    /// not used any more is not looked at otherwise.
    pub fn sweep(&self, now: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, seen| {
                seen.forget_expired(now);
                !seen.requests.is_empty()
            });
        }
    }

    /// How many requests are remembered.
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<HashMap<String, Seen>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().map(|seen| seen.requests.len()).sum::<usize>()
        };
        self.shards.iter().map(count).sum()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A key's requests are in one place, since its bound is.
    fn shard(&self, key_id: &str) -> &Mutex<HashMap<String, Seen>> {
        let sum =
            key_id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.shards[sum % SHARDS]
    }
}

impl std::fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplayGuard").field("per_key", &self.per_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{ReplayGuard, Replayed};

    fn request(number: u64) -> [u8; 32] {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn a_request_passes_once_until_it_is_expired() {
        let guard = ReplayGuard::new(10);
        assert_eq!(guard.admit("k", &request(1), 100, 50), Ok(()));
        assert_eq!(guard.admit("k", &request(1), 100, 50), Err(Replayed::Seen));
        assert_eq!(guard.admit("k", &request(1), 100, 99), Err(Replayed::Seen));
        assert_eq!(guard.admit("other", &request(1), 100, 50), Ok(()));
        assert_eq!(guard.admit("k", &request(1), 100, 104), Err(Replayed::Seen), "a clock may lag");
        // Long since `verify` has refused it as too old: it may be forgotten.
        assert_eq!(guard.admit("k", &request(2), 200, 105), Ok(()));
        assert_eq!(guard.len(), 2);
    }

    #[test]
    fn a_full_key_refuses_new_requests_rather_than_forget_old_ones() {
        let guard = ReplayGuard::new(3);
        for number in 0..3 {
            assert_eq!(guard.admit("k", &request(number), 100 + number, 50), Ok(()));
        }
        assert_eq!(guard.admit("k", &request(9), 200, 50), Err(Replayed::Full));
        assert_eq!(guard.admit("k", &request(0), 100, 50), Err(Replayed::Seen));
        assert_eq!(guard.admit("other", &request(9), 200, 50), Ok(()), "others are not concerned");
        assert_eq!(guard.admit("k", &request(9), 200, 105), Ok(()), "one expired");
        assert_eq!(guard.admit("k", &request(10), 200, 105), Err(Replayed::Full));
    }

    #[test]
    fn a_sweep_leaves_nothing_of_what_expired() {
        let guard = ReplayGuard::new(1000);
        for number in 0..500 {
            assert_eq!(guard.admit(&format!("k{}", number % 7), &request(number), number, 0), Ok(()));
        }
        guard.sweep(504);
        assert!(guard.is_empty());
        assert!(guard.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
