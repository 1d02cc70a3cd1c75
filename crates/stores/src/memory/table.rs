//! The state of limits by key.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::bucket::{Bucket, Buckets, CHANGING, WAYS};
use crate::Key;
use crate::rule::{Decision, EXPIRES_APART, Rule};

/// The state of up to about `max_keys` keys.
///
/// A known key is decided by one compare-and-swap. Only a key that comes or goes takes the lock of its bucket, of
/// seven keys. Memory is at most 55 bytes per key of `max_keys`, taken as keys come, and never grows after.
///
/// **When there are more keys than fit**: keys that are as good as new are forgotten first, which changes nothing. Else
/// the key of the bucket that was asked for least is forgotten, live as it is ([`TableUsage::evicted_live`]), and
/// has its whole burst again when it comes back. So a full table errs towards letting pass, and does so for the
/// keys that came once: a key that comes again and again stays, however many others there are.
///
/// The limit is passed with each question, so keys may have different ones. Where a key's kind of limit or its window
/// changes, it begins anew.
#[derive(Debug)]
pub struct Table {
    buckets: Buckets,
    evicted_live: AtomicU64,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableUsage {
    /// How many keys have state, live or not.
    pub keys: usize,
    /// How many could have.
    pub places: usize,
    /// How much memory is taken, in bytes.
    pub bytes: usize,
    /// How many keys were forgotten before their time for want of a place.
    pub evicted_live: u64,
}

/// A key that has a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) tag: u64,
    pub(crate) state: u64,
    pub(crate) expires_ns: u64,
}

impl Table {
    /// A table for so many keys.
    pub fn new(max_keys: usize) -> Self {
        Self { buckets: Buckets::new(max_keys), evicted_live: AtomicU64::new(0) }
    }

    /// Decides for a request of a `cost`, and counts it if it may pass.
    pub fn decide(&self, key: Key, rule: &impl Rule, now_us: u64, cost: u64) -> Decision {
        let now_ns = now_us.saturating_mul(1000);
        loop {
            if let Some(decision) =
                self.buckets.get(key).and_then(|bucket| known(bucket, key, rule, now_ns, cost))
            {
                return decision;
            }
            let (decision, state) = rule.decide(0, now_ns, cost);
            if state == 0 || self.insert(key, state, rule.expires_ns(state, now_ns), now_ns) {
                return decision;
            }
        }
    }

    /// What [`Table::decide`] would say, without counting.
    pub fn peek(&self, key: Key, rule: &impl Rule, now_us: u64, cost: u64) -> Decision {
        let now_ns = now_us.saturating_mul(1000);
        let state = self.buckets.get(key).and_then(|bucket| {
            let way = bucket.find(key)?;
            let state = bucket.state(way).load(Acquire);
            (state != CHANGING && bucket.tag(way) == key.tag).then(|| current(bucket, way, state, now_ns))
        });
        rule.decide(state.unwrap_or(0), now_ns, cost).0
    }

    /// What the table holds. Goes through all of it.
    pub fn usage(&self) -> TableUsage {
        let ways = || self.buckets.iter().flat_map(|bucket| (0..WAYS).map(move |way| bucket.tag(way)));
        TableUsage {
            keys: ways().filter(|tag| *tag != 0).count(),
            places: self.buckets.places(),
            bytes: self.buckets.bytes(),
            evicted_live: self.evicted_live.load(Relaxed),
        }
    }

    /// All keys that are not as good as new.
    pub(crate) fn live(&self, now_ns: u64) -> impl Iterator<Item = Live> {
        let ways = self.buckets.iter().flat_map(|bucket| (0..WAYS).map(move |way| (bucket, way)));
        ways.filter_map(move |(bucket, way)| {
            let tag = bucket.tag(way);
            let state = bucket.state(way).load(Acquire);
            if tag == 0 || state == CHANGING || bucket.tag(way) != tag {
                return None;
            }
            let expires_ns =
                if state & EXPIRES_APART == 0 { state } else { bucket.expires(way).load(Relaxed) };
            (expires_ns > now_ns).then_some(Live { tag, state, expires_ns })
        })
    }

    /// Gives a key that is not known its first state. Whether it was unknown.
    fn insert(&self, key: Key, state: u64, expires_ns: u64, now_ns: u64) -> bool {
        let (bucket, _) = self.buckets.make(key);
        let locked = bucket.lock();
        if bucket.find(key).is_some() {
            return false;
        }
        let (way, live) = locked.least_missed(now_ns);
        if live {
            self.evicted_live.fetch_add(1, Relaxed);
        }
        locked.replace(way, key, state, expires_ns);
        true
    }
}

/// Decides for a key that has a place; `None` if it has none (any more).
///
/// A key may lose its place at any moment. The tag is read again after the state, so the state is the key's own; it is
/// swapped only if it is still the same, so only a place that was given away within these few instructions to a key in the
/// very same state, to the nanosecond, could take one request of this key for its own.
fn known(bucket: &Bucket, key: Key, rule: &impl Rule, now_ns: u64, cost: u64) -> Option<Decision> {
    loop {
        let way = bucket.find(key)?;
        let state = bucket.state(way).load(Acquire);
        if state == CHANGING || bucket.tag(way) != key.tag {
            return None;
        }
        let from = current(bucket, way, state, now_ns);
        let (decision, new) = rule.decide(from, now_ns, cost);
        if new != from {
            if new & EXPIRES_APART != 0 {
                // Before the state, so that nobody takes the new one for expired.
                let expires_ns = rule.expires_ns(new, now_ns);
                if bucket.expires(way).load(Relaxed) < expires_ns {
                    bucket.expires(way).fetch_max(expires_ns, AcqRel);
                }
            }
            if bucket.state(way).compare_exchange(state, new, AcqRel, Relaxed).is_err() {
                continue;
            }
        }
        bucket.touch(way);
        return Some(decision);
    }
}

/// A state, or that of a new key if it has expired. A state that is its own expiry needs no such care.
fn current(bucket: &Bucket, way: usize, state: u64, now_ns: u64) -> u64 {
    let expired = state & EXPIRES_APART != 0 && bucket.expires(way).load(Acquire) <= now_ns;
    if expired { 0 } else { state }
}
