//! A worker's idle connections to its endpoints.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::endpoint::EndpointId;

/// Limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections kept per endpoint; 0 keeps none.
    pub max_idle: usize,
    /// How long a connection may stay idle, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { max_idle: 1024, idle_timeout_ms: 60_000 }
    }
}

/// What happened in a pool since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Times that an idle connection was taken.
    pub reused: u64,
    /// Times that there was none to take.
    pub missed: u64,
    /// Connections dropped because they were idle too long.
    pub expired: u64,
    /// Connections dropped because the other side had closed them or had sent bytes nobody asked for.
    pub dead: u64,
    /// Connections dropped because the endpoint had as many as it may have.
    pub evicted: u64,
}

/// Idle connections of type `C` by endpoint, the one used last taken first: so the connections that are not
/// needed grow old and go. Belongs to one worker. Once each endpoint's queue has grown to its working size,
/// nothing allocates.
///
/// Keyed by [`EndpointId`], which is never used twice in a process: a connection cannot come back for
/// another endpoint, and idle connections survive a reload that keeps their endpoint.
#[derive(Debug)]
pub struct Pool<C> {
    queues: HashMap<EndpointId, Queue<C>, BuildHasherDefault<IdHasher>>,
    idle: usize,
    counts: PoolCounts,
}

/// Oldest at the front.
#[derive(Debug)]
struct Queue<C> {
    /// Those of the latest connection, since a reload may change them.
    settings: PoolSettings,
    connections: VecDeque<Idle<C>>,
    used_ms: u64,
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    since_ms: u64,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Pool<C> {
    /// An empty pool.
    pub fn new() -> Self {
        Self { queues: HashMap::default(), idle: 0, counts: PoolCounts::default() }
    }

    /// Takes the idle connection to `endpoint` that was used last. Those that `is_live` refuses are dropped
    /// on the way.
    pub fn take(
        &mut self,
        endpoint: EndpointId,
        now_ms: u64,
        mut is_live: impl FnMut(&mut C) -> bool,
    ) -> Option<C> {
        if let Some(queue) = self.queues.get_mut(&endpoint) {
            queue.used_ms = now_ms;
            let timeout_ms = queue.settings.idle_timeout_ms;
            // Behind one that is too old all are older: they wait for the sweep, which is not in a
            // request's way.
            while let Some(idle) = queue.connections.pop_back_if(|idle| !idle.is_expired(now_ms, timeout_ms))
            {
                self.idle -= 1;
                let mut connection = idle.connection;
                if is_live(&mut connection) {
                    self.counts.reused += 1;
                    return Some(connection);
                }
                self.counts.dead += 1;
            }
        }
        self.counts.missed += 1;
        None
    }

    /// Keeps an idle connection to `endpoint`, within its upstream's `settings`. Where it would be one too
    /// many, the oldest is dropped for it.
    pub fn put(&mut self, endpoint: EndpointId, connection: C, settings: PoolSettings, now_ms: u64) {
        if settings.max_idle == 0 {
            self.counts.evicted += 1;
            return;
        }
        let queue = self.queues.entry(endpoint).or_insert_with(|| Queue {
            settings,
            connections: VecDeque::new(),
            used_ms: now_ms,
        });
        queue.settings = settings;
        queue.used_ms = now_ms;
        if queue.connections.len() >= settings.max_idle {
            queue.connections.pop_front();
            self.counts.evicted += 1;
            self.idle -= 1;
        }
        queue.connections.push_back(Idle { connection, since_ms: now_ms });
        self.idle += 1;
    }

    /// Drops the connections that are idle too long or that `is_live` refuses, and forgets endpoints
    /// that were not used for that long. To be called every few seconds. Returns how many connections went.
    pub fn sweep(&mut self, now_ms: u64, mut is_live: impl FnMut(&mut C) -> bool) -> usize {
        let (before, counts) = (self.idle, &mut self.counts);
        let mut left = 0;
        self.queues.retain(|_, queue| {
            let timeout_ms = queue.settings.idle_timeout_ms;
            queue.connections.retain_mut(|idle| {
                let expired = idle.is_expired(now_ms, timeout_ms);
                let dead = !expired && !is_live(&mut idle.connection);
                counts.expired += u64::from(expired);
                counts.dead += u64::from(dead);
                !expired && !dead
            });
            left += queue.connections.len();
            !queue.connections.is_empty() || now_ms.saturating_sub(queue.used_ms) < timeout_ms
        });
        self.idle = left;
        before - left
    }

    /// Drops all idle connections to `endpoint`, as when it was removed or its connections are no longer
    /// fit for use.
    pub fn forget(&mut self, endpoint: EndpointId) {
        if let Some(queue) = self.queues.remove(&endpoint) {
            self.idle -= queue.connections.len();
        }
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.idle
    }

    /// How many connections to `endpoint` are idle.
    pub fn idle_at(&self, endpoint: EndpointId) -> usize {
        self.queues.get(&endpoint).map_or(0, |queue| queue.connections.len())
    }

    /// What happened since the pool was made.
    pub fn counts(&self) -> PoolCounts {
        self.counts
    }
}

impl<C> Idle<C> {
    fn is_expired(&self, now_ms: u64, timeout_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) >= timeout_ms
    }
}

/// Endpoint ids are small numbers given out in order: one multiplication spreads them, and nobody outside
/// chooses them.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
