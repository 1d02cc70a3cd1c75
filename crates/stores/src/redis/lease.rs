//! Leased limits: units taken from Redis in advance, and handed out here.

use std::collections::hash_map::Entry;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::lease_table::{Lease, LeaseTable};
use super::script::{Answer, Counting, Deed, Question, Take};
use super::store::RedisStore;
use super::unavailable::{Unavailable, UnavailableKind};
use crate::{Decision, Key, KeyHash};

/// Limits of all instances of which each holds a part in advance.
///
/// Units are leased from Redis, where they count as used from then on, and handed out here without asking. When half of
/// them are gone more are fetched in the background. How many a key holds follows how fast they go, from 4 up to
/// `L = max(1, capacity / share)`, where the capacity is a rate limit's burst, a sliding window's limit, or a quota.
/// They lapse after `lifetime`, and what then is left is given back where that can be done exactly.
///
/// **How much more than the limit may pass**: nothing in total, since all that passes was granted by Redis. But units may
/// pass up to `2 × lifetime` after they were granted. So with `n` instances, in any time `t`:
///
/// - of a rate limit at most `burst + rate × t + n × L`, and at most `burst + rate × (t + 2 × lifetime)`;
/// - of a sliding window or a quota at most what it admits itself plus `n × L`.
///
/// A request for more units than an instance holds is decided in Redis. So are all of keys beyond `max_keys`.
#[derive(Clone)]
pub struct Leases {
    inner: Arc<Inner>,
}

struct Inner {
    store: RedisStore,
    settings: LeaseSettings,
    hash: KeyHash,
    table: LeaseTable,
}

/// How units are leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How long leased units are good for.
    /// (Those that are left when more are fetched begin anew, once.)
    pub lifetime: Duration,
    /// An instance holds at most one in so many of what a key may use at once.
    pub share: u64,
    /// Of how many keys units are held at once.
    pub max_keys: usize,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { lifetime: Duration::from_millis(500), share: 10, max_keys: 100_000 }
    }
}

/// A decision that takes a round trip.
pub type Asking = Pin<Box<dyn Future<Output = Result<Decision, Unavailable>> + Send>>;

/// What came of a request.
pub enum Leased {
    /// Decided from what is held here.
    Decided(Decision),
    /// Redis has to be asked. It is being asked already, whether this is awaited or not, except where nothing is leased.
    Ask(Asking),
    /// Redis would have to be asked, and is known to be out of reach.
    Unavailable(Unavailable),
}

impl fmt::Debug for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(decision) => f.debug_tuple("Decided").field(decision).finish(),
            Self::Ask(_) => f.write_str("Ask"),
            Self::Unavailable(problem) => f.debug_tuple("Unavailable").field(problem).finish(),
        }
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leases({:?}, {:?})", self.inner.store, self.inner.settings)
    }
}

impl Leases {
    /// Leases from this store. What lapses is given back by a task on the store's runtime.
    pub fn start(store: RedisStore, settings: LeaseSettings) -> Self {
        let table = LeaseTable::new(settings.max_keys);
        let inner = Arc::new(Inner { store, settings, hash: KeyHash::from_machine(), table });
        inner.store.runtime().spawn(sweep(Arc::downgrade(&inner), settings.lifetime));
        Self { inner }
    }

    /// Decides, if it can be decided here. `now_us` is the process's monotonic time.
    pub fn take(&self, take: &Take<'_>, now_us: u64) -> Leased {
        let (inner, cost) = (&self.inner, take.cost);
        let capacity = capacity(&take.counting);
        let key = inner.hash.key(inner.hash.key(0, take.limit.as_bytes()).tag, take.key);
        let mut shard = inner.table.shard(key);
        let may_add = inner.table.has_room(&shard) && cost <= capacity;
        let lease = match shard.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) if may_add => {
                place.insert(Lease::new(inner.store.question(take, Deed::Take(0))))
            }
            Entry::Vacant(_) => {
                drop(shard);
                return self.ask(inner.store.question(take, Deed::Take(cost)));
            }
        };
        // The limit may be another than before.
        lease.question.counting = take.counting;
        let most = (capacity / inner.settings.share.max(1)).max(1);
        lease.size = lease.size.min(most);
        if let Some(decision) = lease.decide(cost, now_us) {
            let wants_more = decision.allowed && lease.units < lease.size.div_ceil(2);
            if wants_more && !lease.asking && inner.store.problem().is_none() {
                lease.size = (lease.size * 2).min(most);
                let deed = Deed::Lease(lease.size - lease.units, 0);
                inner.fetch(key, lease, deed, None);
            }
            return Leased::Decided(decision);
        }
        if let Some(problem) = inner.store.problem() {
            return Leased::Unavailable(problem);
        }
        if lease.asking {
            // One lease at a time: this request is decided by itself.
            let question = Question { deed: Deed::Take(cost), ..lease.question.clone() };
            drop(shard);
            return self.ask(question);
        }
        let held = if lease.until_us > now_us { lease.units } else { 0 };
        let (sender, answered) = oneshot::channel();
        let wanted = cost + lease.size.saturating_sub(held);
        inner.fetch(key, lease, Deed::Lease(wanted, cost), Some(sender));
        let ended = |_| Unavailable::new(UnavailableKind::Lost, "the runtime of the connections ended");
        Leased::Ask(Box::pin(async move { answered.await.map_err(ended)? }))
    }

    /// Gives back what is held, at a stop in good order.
    pub async fn give_back(&self) {
        self.inner.give_back(|_| true).await;
    }

    fn ask(&self, question: Question) -> Leased {
        let store = self.inner.store.clone();
        match store.problem() {
            Some(problem) => Leased::Unavailable(problem),
            None => {
                Leased::Ask(Box::pin(
                    async move { first(store.ask(vec![question]).await).map(|a| a.decision) },
                ))
            }
        }
    }
}

impl Inner {
    /// Asks Redis for units by a task, which says what was decided to who waits for it.
    fn fetch(
        self: &Arc<Self>,
        key: Key,
        lease: &mut Lease,
        deed: Deed,
        waiting: Option<oneshot::Sender<Result<Decision, Unavailable>>>,
    ) {
        lease.asking = true;
        let question = Question { deed, ..lease.question.clone() };
        let inner = Arc::clone(self);
        self.store.runtime().spawn(async move {
            let answer = first(inner.store.ask(vec![question]).await);
            let spent = if let (Some(_), Deed::Lease(_, least)) = (&waiting, deed) { least } else { 0 };
            let received = inner.receive(key, &answer, spent);
            let decision = answer.map(|answer| match received {
                // What was leased beyond the request can be used still.
                Some(units) => Decision { remaining: answer.decision.remaining + units, ..answer.decision },
                None => answer.decision,
            });
            if let Some(waiting) = waiting {
                // Who asked may have gone; the units were counted as theirs.
                let _ = waiting.send(decision);
            }
        });
    }

    /// Puts what was granted into the lease. How many units it then holds; `None` if there is no such lease.
    fn receive(&self, key: Key, answer: &Result<Answer, Unavailable>, spent: u64) -> Option<u64> {
        let mut shard = self.table.shard(key);
        let lease = shard.get_mut(&key)?;
        lease.asking = false;
        if let Ok(answer) = answer {
            let lifetime_us = self.settings.lifetime.as_micros() as u64;
            lease.receive(answer, spent.max(1), spent, self.store.clock().now_us(), lifetime_us);
        }
        Some(lease.units)
    }

    /// Gives back what was not used of the leases for which it is time.
    async fn give_back(&self, is_time: impl Fn(&Lease) -> bool) {
        // In portions, so that no call keeps the server long.
        for portion in self.unused(is_time).chunks(64) {
            // What cannot be given back fades by itself.
            let _ = self.store.ask(portion.to_vec()).await;
        }
    }

    /// Takes out of the leases for which it is time what was not used, as questions that give it back.
    fn unused(&self, is_time: impl Fn(&Lease) -> bool) -> Vec<Question> {
        let (now_us, wall_s) = (self.store.clock().now_us(), self.store.clock().wall().as_secs());
        let mut questions = Vec::new();
        for mut shard in self.table.shards() {
            shard.retain(|_, lease| {
                if lease.asking || !is_time(lease) {
                    return true;
                }
                let units = lease.give_back(now_us, wall_s);
                if units > 0 {
                    questions.push(Question { deed: Deed::Return(units), ..lease.question.clone() });
                }
                false
            });
        }
        questions
    }
}

/// Gives back what has lapsed, until nobody leases any more.
async fn sweep(leases: Weak<Inner>, every: Duration) {
    loop {
        sleep(every.max(Duration::from_millis(10))).await;
        let Some(inner) = leases.upgrade() else { return };
        let now_us = inner.store.clock().now_us();
        inner.give_back(|lease| lease.until_us <= now_us).await;
    }
}

fn first(answers: Result<Vec<Answer>, Unavailable>) -> Result<Answer, Unavailable> {
    let none = || Unavailable::new(UnavailableKind::Garbled, "no answer");
    answers?.into_iter().next().ok_or_else(none)
}

/// How many units a key can have at once.
fn capacity(counting: &Counting) -> u64 {
    match counting {
        Counting::Gcra(gcra) => gcra.burst(),
        Counting::SlidingWindow(window) => window.limit(),
        Counting::Quota { limit, .. } => *limit,
    }
}
