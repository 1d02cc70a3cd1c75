//! Verified tokens, so that a signature costs its price once.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

use super::verify::Verified;
use crate::bounded::{BoundedMap, BuildAsIs};

const SHARDS: usize = 64;
/// What of a token its bucket is found by: its last bytes, which are of its signature.
const TAIL: usize = 32;

/// What is known of verified tokens, under one set of keys and rules, shared by all workers: what they claim
/// ([`Verified`]), or whatever a caller makes of that once. Good for opaque tokens too, whose issuer was asked.
///
/// - **Only verified tokens are put**, so that a flood of bad ones evicts nobody.
/// - **A token is the same if all its bytes are.** Its place is found by a keyed hash of its last 32 bytes, which are of
///   its signature, and its length; then the whole is compared, in a time that does not depend on where it differs.
///   Strict decoding leaves a token one spelling, so that one token has one entry.
/// - **An entry is gone** when its token expires, and when `generation` is another than at its putting: the caller counts
///   it up when a key leaves the set or a rule changes.
/// - **Memory** is bounded by `capacity` times the longest token and what is known of it; usual ones take about 3 KiB.
pub struct TokenCache<V = Verified> {
    shards: Box<[Mutex<Shard<V>>]>,
    key: [u128; 1 + TAIL / 8],
}

type Shard<V> = BoundedMap<u64, Entry<V>, BuildAsIs>;

struct Entry<V> {
    token: Box<[u8]>,
    generation: u64,
    expires_at: u64,
    value: Arc<V>,
}

impl<V> TokenCache<V> {
    /// Room for about `capacity` tokens (at least one for each of 64 shards); `key` is 80 random bytes.
    pub fn new(capacity: usize, key: &[u8; 80]) -> Self {
        let each = capacity.div_ceil(SHARDS);
        let mut words = [0; 1 + TAIL / 8];
        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(16)) {
            *word = u128::from(u64_of(&bytes[..8])) << 64 | u128::from(u64_of(&bytes[8..]));
        }
        Self { shards: (0..SHARDS).map(|_| Mutex::new(BoundedMap::new(each))).collect(), key: words }
    }

    /// What is known of this token, if it still holds at `now` (seconds since 1970).
    pub fn get(&self, token: &[u8], generation: u64, now: u64) -> Option<Arc<V>> {
        let hash = self.hash(token);
        let mut shard = self.shard(hash).lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(&hash)?;
        if !same(&entry.token, token) {
            return None;
        }
        if entry.generation != generation || now >= entry.expires_at {
            shard.remove(&hash);
            return None;
        }
        Some(entry.value.clone())
    }

    /// Remembers a token that [`verify`](super::verify()) has just accepted under the keys of this generation, until
    /// `expires_at`. The generation is to be read before the keys are.
    pub fn put(&self, token: &[u8], generation: u64, expires_at: u64, value: Arc<V>) {
        let hash = self.hash(token);
        let entry = Entry { token: token.into(), generation, expires_at, value };
        self.shard(hash).lock().unwrap_or_else(PoisonError::into_inner).insert(hash, entry);
    }

    /// How many tokens are remembered, those included that nobody asked for since they expired.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Multilinear hashing with random keys of 128 bits, of which the upper half is taken: two different inputs meet with probability 2^-64, whoever chose them.
    fn hash(&self, token: &[u8]) -> u64 {
        let mut tail = [0; TAIL];
        let from = token.len().saturating_sub(TAIL);
        tail[..token.len() - from].copy_from_slice(&token[from..]);
        let mut sum = self.key[0].wrapping_mul(token.len() as u128);
        for (key, bytes) in self.key[1..].iter().zip(tail.chunks_exact(8)) {
            sum = sum.wrapping_add(key.wrapping_mul(u128::from(u64_of(bytes))));
        }
        (sum >> 64) as u64
    }

    /// The low bits choose the bucket of the map, the high ones the shard. hashbrown also takes the top seven as a tag,
    /// so the shard is chosen by those below them.
    fn shard(&self, hash: u64) -> &Mutex<Shard<V>> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }
}

/// Looks at all bytes, wherever they differ. The library's comparison goes byte by byte, and a token has hundreds.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && black_box(differing) == 0
}

fn u64_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

impl<V> std::fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{SHARDS, TokenCache};

    fn cache(capacity: usize) -> TokenCache<()> {
        TokenCache::new(capacity, &std::array::from_fn(|place| (place as u8).wrapping_mul(37) ^ 11))
    }

    #[test]
    fn a_token_is_found_until_it_expires_and_never_after() {
        let cache = cache(1000);
        cache.put(b"a.b.c", 1, 100, Arc::new(()));
        assert!(cache.get(b"a.b.c", 1, 99).is_some());
        assert!(cache.get(b"a.b.c", 1, 100).is_none());
        assert!(cache.is_empty(), "an expired entry is dropped when it is asked for");
    }

    #[test]
    fn another_generation_of_keys_forgets_the_tokens_of_the_one_before() {
        let cache = cache(1000);
        cache.put(b"a.b.c", 1, 100, Arc::new(()));
        assert!(cache.get(b"a.b.c", 2, 50).is_none());
        assert!(cache.get(b"a.b.c", 1, 50).is_none(), "it was dropped");
    }

    #[test]
    fn tokens_with_one_tail_are_told_apart() {
        let cache = cache(1000);
        let token = [b"header.claims.".as_slice(), &[b's'; 86]].concat();
        let forged = [b"header.admin!.".as_slice(), &[b's'; 86]].concat();
        cache.put(&token, 1, 100, Arc::new(()));
        assert!(cache.get(&forged, 1, 50).is_none());
        assert!(cache.get(&token, 1, 50).is_some(), "and the forged one has not driven it out");
    }

    #[test]
    fn asking_for_many_unknown_tokens_evicts_nobody() {
        let cache = cache(64);
        let good: Vec<_> = (0..20).map(|n| format!("good.{n}.signature{n}")).collect();
        good.iter().for_each(|token| cache.put(token.as_bytes(), 1, 100, Arc::new(())));
        let before: Vec<_> = good.iter().map(|token| cache.get(token.as_bytes(), 1, 50).is_some()).collect();
        for n in 0..100_000 {
            assert!(cache.get(format!("bad.{n}.signature").as_bytes(), 1, 50).is_none());
        }
        let after: Vec<_> = good.iter().map(|token| cache.get(token.as_bytes(), 1, 50).is_some()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn workers_get_what_was_put_for_their_token_and_nothing_else() {
        let cache = TokenCache::new(100, &[91; 80]);
        std::thread::scope(|scope| {
            for worker in 0..4_u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for step in 0..5000_u64 {
                        let number = (step * 7 + worker) % 150;
                        let token = format!("header.{number}.signature");
                        match cache.get(token.as_bytes(), 1, 50) {
                            Some(known) => assert_eq!(*known, number, "worker {worker} step {step}"),
                            None => cache.put(token.as_bytes(), 1, 100, Arc::new(number)),
                        }
                    }
                });
            }
        });
        assert!(cache.len() <= 128);
    }

    #[test]
    fn memory_is_bounded_under_ever_new_good_tokens() {
        let cache = cache(640);
        for n in 0..50_000 {
            cache.put(format!("token.{n}.{n:064}").as_bytes(), 1, 100, Arc::new(()));
        }
        assert!(cache.len() <= 640);
        assert!(cache.len() > 640 - SHARDS, "the hash spreads them: {}", cache.len());
    }
}
