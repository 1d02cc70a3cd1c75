//! Answers that are remembered, and calls under way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use tokio::sync::OnceCell;
use tollgate_credentials::bounded::{BoundedMap, BuildAsIs};
use tollgate_decision::Reason;
use tollgate_policy::Moment;

use super::asking::Outcome;
use crate::auth::bearer::Good;

const SHARDS: usize = 16;
/// How long it is remembered at most that a token is bad.
const BAD_TTL: Duration = Duration::from_secs(5);

/// A keyed hash of a token: tokens themselves are not kept.
pub(super) type TokenHash = [u8; 32];

/// What is known of a token.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Good(Arc<Good>),
    /// Why it is refused, and what the operator is told of it.
    Bad(Reason, Option<Cow<'static, str>>),
}

/// How many answers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswersSettings {
    /// About good tokens.
    pub good: usize,
    /// About bad ones. They have a place of their own: floods of tokens that nobody knows drive no good one out.
    pub bad: usize,
}

impl Default for AnswersSettings {
    fn default() -> Self {
        Self { good: 10_000, bad: 4096 }
    }
}

/// What was answered about tokens, and what is being asked; outlives a reload.
pub struct Answers {
    key: hmac::Key,
    good: Box<[Mutex<Shard>]>,
    bad: Box<[Mutex<Shard>]>,
    calls: Mutex<HashMap<(TokenHash, u64), UnderWay>>,
}

#[derive(Default)]
struct UnderWay {
    outcome: Arc<OnceCell<Outcome>>,
    /// How many wait for it.
    waiting: usize,
}

type Shard = BoundedMap<TokenHash, Entry, BuildAsIs>;

struct Entry {
    known: Known,
    generation: u64,
    /// By the process's clock, in microseconds.
    until_us: u64,
    /// When the token ends, in seconds since 1970.
    expires_at: u64,
}

impl Answers {
    /// None yet; `key` is random.
    pub fn new(settings: AnswersSettings, key: &[u8; 32]) -> Self {
        let shards = |capacity: usize| {
            let each = capacity.div_ceil(SHARDS);
            (0..SHARDS).map(|_| Mutex::new(BoundedMap::new(each))).collect()
        };
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            good: shards(settings.good),
            bad: shards(settings.bad),
            calls: Mutex::default(),
        }
    }

    /// How many answers about good and bad tokens are remembered.
    pub fn len(&self) -> (usize, usize) {
        let count = |shards: &[Mutex<Shard>]| shards.iter().map(|shard| locked(shard).len()).sum();
        (count(&self.good), count(&self.bad))
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        locked(&self.calls).len()
    }

    pub(super) fn hash(&self, token: &[u8]) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.key, token).as_ref());
        hash
    }

    /// What is known of a token.
    pub(super) fn get(&self, hash: &TokenHash, generation: u64, moment: Moment) -> Option<Known> {
        let find = |shards: &[Mutex<Shard>]| {
            let mut shard = locked(&shards[place(hash)]);
            let entry = shard.get(hash)?;
            let holds = entry.generation == generation
                && moment.now_us < entry.until_us
                && moment.wall_s() < entry.expires_at;
            holds.then(|| entry.known.clone())
        };
        find(&self.good).or_else(|| find(&self.bad))
    }

    /// Remembers an answer for so long, and never past the token's end.
    pub(super) fn put(
        &self,
        hash: TokenHash,
        generation: u64,
        known: Known,
        expires_at: u64,
        ttl: Duration,
        moment: Moment,
    ) {
        let (shards, ttl) = match known {
            Known::Good(_) => (&self.good, ttl),
            Known::Bad(..) => (&self.bad, ttl.min(BAD_TTL)),
        };
        if ttl.is_zero() || moment.wall_s() >= expires_at {
            return;
        }
        let until_us = moment.now_us.saturating_add(u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX));
        let at = place(&hash);
        // What was good before and is bad now is not found as good.
        if matches!(known, Known::Bad(..)) {
            locked(&self.good[at]).remove(&hash);
        }
        locked(&shards[at]).insert(hash, Entry { known, generation, until_us, expires_at });
    }

    /// The call about a token: one that is under way, or a new one. It is under way for as long as somebody waits
    /// for it.
    pub(super) fn call(&self, hash: TokenHash, generation: u64) -> Call<'_> {
        let of = (hash, generation);
        let mut calls = locked(&self.calls);
        let call = calls.entry(of).or_default();
        call.waiting += 1;
        let outcome = call.outcome.clone();
        Call { answers: self, of, outcome }
    }
}

/// A share in a call that is under way.
pub(super) struct Call<'a> {
    answers: &'a Answers,
    of: (TokenHash, u64),
    outcome: Arc<OnceCell<Outcome>>,
}

impl Call<'_> {
    /// Filled by one of those who wait: if that one goes away before, by the next.
    pub(super) fn outcome(&self) -> &OnceCell<Outcome> {
        &self.outcome
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut calls = locked(&self.answers.calls);
        let Some(call) = calls.get_mut(&self.of).filter(|call| Arc::ptr_eq(&call.outcome, &self.outcome))
        else {
            return;
        };
        call.waiting -= 1;
        // An answer is for those who asked before it came.
        if self.outcome.initialized() || call.waiting == 0 {
            calls.remove(&self.of);
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// By the last byte: the map takes the first eight.
fn place(hash: &TokenHash) -> usize {
    usize::from(hash[31]) % SHARDS
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
