//! How many requests per time.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Resolution, Stage, Verdict, Wait};
use tollgate_stores::memory::Table;
use tollgate_stores::redis::Counting;
use tollgate_stores::{Decision, Gcra, KeyHash, Limit};

use super::fields::{self, Standing, Style};
use super::key::KeySource;
use super::shared::{Charge, Counted};
use super::{Amounts, Cost, Counter};

/// What is limited, and how.
#[derive(Debug)]
pub struct Settings {
    /// The document's name for it; empty for one of a route's own.
    pub name: String,
    /// Who is counted together.
    pub by: KeySource,
    /// The rates.
    pub rates: Amounts<Rate>,
    /// What a request costs.
    pub cost: Cost,
    /// How clients are told.
    pub style: Style,
    /// How long a request may wait for its turn instead of being refused, in microseconds; 0 for not at all. Only
    /// rates that are spread evenly can make requests wait, and only where each request is counted as it comes: what
    /// is leased in advance has no turns.
    pub delay_us: u64,
}

/// A rate.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How it is counted.
    pub limit: Limit,
    /// How many requests it allows in a window, as clients are told.
    pub quota: u64,
    /// The window, in seconds.
    pub window_s: u64,
}

/// Counters of a rate limit in this process. They outlive the policy: the same limit of the next document goes on
/// counting in them.
#[derive(Clone, Debug)]
pub struct Counters {
    /// The keys' states. Bounded by its own size.
    pub table: Arc<Table>,
    /// How keys are hashed.
    pub hash: Arc<KeyHash>,
}

/// Limits requests per time.
#[derive(Debug)]
pub struct RateLimit {
    name: String,
    settings: Settings,
    counter: Counter<Counters>,
}

thread_local! {
    /// Where keys are written. Used within one decision.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Runs `with` on the key of a request.
pub(super) fn with_key<T>(
    by: &KeySource,
    asked: &Asked<'_>,
    gate: &Gate,
    with: impl FnOnce(&[u8]) -> T,
) -> T {
    KEY.with_borrow_mut(|key| {
        key.clear();
        by.write(asked, &gate.caller, key);
        with(key)
    })
}

impl RateLimit {
    /// A policy that counts there.
    pub fn new(settings: Settings, counter: Counter<Counters>) -> Self {
        let name = match &*settings.name {
            "" => "rate_limit".to_owned(),
            name => format!("rate_limit {name}"),
        };
        Self { name, settings, counter }
    }

    /// Counts a request. Where it is not decided by a count, what it gets instead is the error.
    fn count(
        &self,
        asked: &Asked<'_>,
        gate: &Gate,
        limit: &Limit,
        resolution: Option<Resolution>,
    ) -> Result<Counted, Verdict> {
        let cost = self.settings.cost.of(asked, &gate.caller);
        let counting = match *limit {
            Limit::Gcra(gcra) => Counting::Gcra(gcra),
            Limit::SlidingWindow(window) => Counting::SlidingWindow(window),
        };
        let now_us = asked.moment.now_us;
        with_key(&self.settings.by, asked, gate, |key| {
            self.counter.count(asked, &Charge { key, counting, cost }, resolution, |counters| {
                let key = counters.hash.key(0, key);
                match asked.mode.serves() {
                    true => counters.table.decide(key, limit, now_us, cost),
                    false => counters.table.peek(key, limit, now_us, cost),
                }
            })
        })
    }

    /// The rate with room for requests that wait: how many more may be taken in advance.
    fn with_waiting(&self, rate: &Rate) -> Option<(Gcra, Limit, u64)> {
        let Limit::Gcra(gcra) = rate.limit else { return None };
        let ahead = self.settings.delay_us.saturating_mul(1000) / gcra.interval_ns();
        (ahead > 0).then(|| (gcra, Limit::Gcra(gcra.with_burst(gcra.burst() + ahead)), ahead))
    }

    fn tell(&self, gate: &mut Gate, rate: &Rate, remaining: u64, decision: &Decision) {
        let shown = if self.settings.name.is_empty() { "default" } else { &self.settings.name };
        let standing = Standing {
            name: shown,
            quota: rate.quota,
            window_s: rate.window_s,
            remaining,
            reset_s: decision.reset_after_us.div_ceil(1_000_000),
        };
        fields::write(self.settings.style, &[standing], &mut gate.response);
    }
}

impl Policy for RateLimit {
    fn name(&self) -> &str {
        &self.name
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Verdict {
        if resolution.as_ref().is_some_and(|resolution| resolution.is::<TurnHasCome>()) {
            // What it costs was counted before it waited.
            return Verdict::CONTINUE;
        }
        let rate = *self.settings.rates.of(&gate.caller);
        let waiting = self.with_waiting(&rate);
        let limit = waiting.map_or(rate.limit, |(_, limit, _)| limit);
        let counted = match self.count(asked, gate, &limit, resolution) {
            Ok(counted) => counted,
            Err(verdict) => return verdict,
        };
        let decision = counted.decision;
        let ahead = waiting.map_or(0, |(.., ahead)| ahead);
        let remaining = decision.remaining.saturating_sub(ahead);
        self.tell(gate, &rate, remaining, &decision);
        if !decision.allowed {
            return counted.refuses(Reason::RateLimited);
        }
        match waiting {
            Some((gcra, _, ahead)) if decision.remaining < ahead => {
                let turns = ahead - decision.remaining;
                turn(Duration::from_nanos(turns.saturating_mul(gcra.interval_ns())))
            }
            _ => counted.passes(remaining),
        }
    }
}

/// What comes of waiting for one's turn.
pub(super) struct TurnHasCome;

fn turn(after: Duration) -> Verdict {
    let what = format!("its turn for {} ms", after.as_millis());
    let wait = async move {
        tokio::time::sleep(after).await;
        TurnHasCome
    };
    Verdict::Wait(Wait { is_effect: true, ..Wait::new(what, wait) })
}
