//! The units of each key that were leased and not yet used.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::script::{Answer, Counting, Question};
use crate::{Decision, Key};

/// Leases are apart by key in so many maps, each with a lock that is held for a few dozen instructions.
const SHARDS: usize = 64;
/// How many units a key gets that was not asked for of late.
const FIRST_SIZE: u64 = 4;

pub(super) type Shard = HashMap<Key, Lease, BuildHasherDefault<Hashed>>;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
    }
}

#[derive(Debug)]
pub(super) struct LeaseTable {
    shards: Vec<Mutex<Shard>>,
    max_per_shard: usize,
}

/// What this instance holds of a key, and what Redis last said of it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) units: u64,
    /// How many it is to hold.
    pub(super) size: u64,
    /// No unit was leased before this, nor after the other.
    since_us: u64,
    received_us: u64,
    /// Until when the units, and what Redis said, are good.
    pub(super) until_us: u64,
    /// Whether Redis is being asked.
    pub(super) asking: bool,
    remaining: u64,
    reset_at_us: u64,
    refusal: Option<Refusal>,
    pub(super) question: Question,
}

/// Redis had not so many units to give.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    units: u64,
    again_at_us: u64,
}

impl LeaseTable {
    pub(super) fn new(max_keys: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, max_per_shard: max_keys.div_ceil(SHARDS).max(1) }
    }

    pub(super) fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.place as usize % SHARDS])
    }

    /// Whether a key that is not known may be added to its shard.
    pub(super) fn has_room(&self, shard: &Shard) -> bool {
        shard.len() < self.max_per_shard
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lease {
    pub(super) fn new(question: Question) -> Self {
        Self {
            units: 0,
            size: FIRST_SIZE,
            since_us: 0,
            received_us: 0,
            until_us: 0,
            asking: false,
            remaining: 0,
            reset_at_us: 0,
            refusal: None,
            question,
        }
    }

    /// Decides from what is held, if that can decide.
    pub(super) fn decide(&mut self, cost: u64, now_us: u64) -> Option<Decision> {
        let is_good = self.until_us > now_us;
        let reset_after_us = self.reset_at_us.saturating_sub(now_us);
        if is_good && self.units >= cost {
            self.units -= cost;
            let remaining = self.units + self.remaining;
            return Some(Decision { allowed: true, remaining, reset_after_us, retry_after_us: Some(0) });
        }
        let refusal = self.refusal.filter(|refusal| is_good && refusal.again_at_us > now_us)?;
        (cost >= refusal.units && self.units == 0).then(|| Decision {
            allowed: false,
            remaining: self.remaining,
            reset_after_us,
            retry_after_us: Some(refusal.again_at_us - now_us),
        })
    }

    /// Takes what Redis answered to a question for at least `least` units, of which `spent` are used already.
    pub(super) fn receive(&mut self, answer: &Answer, least: u64, spent: u64, now_us: u64, lifetime_us: u64) {
        if self.until_us <= now_us {
            // What lapsed is not to come back to life.
            self.units = 0;
        }
        // More is fetched when half is gone, so what is left was leased the last time at the earliest.
        self.since_us = if self.units == 0 { now_us } else { self.received_us };
        self.received_us = now_us;
        self.units += answer.granted.saturating_sub(spent);
        self.until_us = now_us + lifetime_us;
        self.remaining = answer.decision.remaining;
        self.reset_at_us = now_us + answer.decision.reset_after_us;
        self.refusal = match answer.decision.retry_after_us {
            Some(after_us) if !answer.decision.allowed => {
                Some(Refusal { units: least, again_at_us: now_us + after_us })
            }
            _ => None,
        };
    }

    /// Takes what was not used out of the lease: how many units may be given back.
    ///
    /// Redis let them fade since they were leased, so only what cannot have faded is given back; nothing of a sliding
    /// window, which may have moved on, nor of a period that may have ended.
    pub(super) fn give_back(&mut self, now_us: u64, wall_s: u64) -> u64 {
        let units = std::mem::take(&mut self.units);
        let held_us = now_us.saturating_sub(self.since_us);
        match self.question.counting {
            Counting::Gcra(gcra) => {
                let faded = held_us.saturating_mul(1000).div_ceil(gcra.interval_ns());
                units.saturating_sub(faded)
            }
            Counting::SlidingWindow(_) => 0,
            Counting::Quota { period, .. } => {
                // Two seconds for clocks that differ.
                let leased_s = wall_s.saturating_sub(held_us / 1_000_000 + 2);
                if period.bounds_s(leased_s) == period.bounds_s(wall_s + 2) { units } else { 0 }
            }
        }
    }
}
