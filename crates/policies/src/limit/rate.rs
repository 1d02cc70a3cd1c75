//! How many requests per time.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Verdict, Wait};
use tollgate_stores::memory::Table;
use tollgate_stores::{Decision, Gcra, KeyHash, Limit};

use super::fields::{self, Standing, Style};
use super::key::KeySource;
use super::{ByGroup, Cost};

/// What is limited, and how.
#[derive(Debug)]
pub struct Settings {
    /// The document's name for it; empty for one of a route's own.
    pub name: String,
    /// Who is counted together.
    pub by: KeySource,
    /// The rates.
    pub rates: ByGroup<Rate>,
    /// What a request costs.
    pub cost: Cost,
    /// How clients are told.
    pub style: Style,
    /// How long a request may wait for its turn instead of being refused, in microseconds; 0 for not at all. Only
    /// rates that are spread evenly can make requests wait.
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
    counters: Counters,
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
    /// A policy that counts in these counters.
    pub fn new(settings: Settings, counters: Counters) -> Self {
        let name = match &*settings.name {
            "" => "rate_limit".to_owned(),
            name => format!("rate_limit {name}"),
        };
        Self { name, settings, counters }
    }

    fn count(&self, asked: &Asked<'_>, gate: &Gate, limit: &Limit) -> Decision {
        let cost = self.settings.cost.of(asked, &gate.caller);
        let Counters { table, hash } = &self.counters;
        let now_us = asked.moment.now_us;
        with_key(&self.settings.by, asked, gate, |key| {
            let key = hash.key(0, key);
            match asked.mode.serves() {
                true => table.decide(key, limit, now_us, cost),
                false => table.peek(key, limit, now_us, cost),
            }
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
        if resolution.is_some() {
            // Its turn has come; what it costs was counted before it waited.
            return Verdict::CONTINUE;
        }
        let rate = *self.settings.rates.of(&gate.caller);
        let waiting = self.with_waiting(&rate);
        let limit = waiting.map_or(rate.limit, |(_, limit, _)| limit);
        let decision = self.count(asked, gate, &limit);
        let ahead = waiting.map_or(0, |(.., ahead)| ahead);
        let remaining = decision.remaining.saturating_sub(ahead);
        self.tell(gate, &rate, remaining, &decision);
        if !decision.allowed {
            return Verdict::Refuse(refused(Reason::RateLimited, &decision));
        }
        match waiting {
            Some((gcra, _, ahead)) if decision.remaining < ahead => {
                let turns = ahead - decision.remaining;
                let wait = Duration::from_nanos(turns.saturating_mul(gcra.interval_ns()));
                let what = format!("its turn for {} ms", wait.as_millis());
                Verdict::Wait(Wait { is_effect: true, ..Wait::new(what, tokio::time::sleep(wait)) })
            }
            _ => Verdict::Continue(i64::try_from(remaining).ok()),
        }
    }
}

/// A refusal that says when to come again.
pub(super) fn refused(reason: Reason, decision: &Decision) -> Refused {
    match decision.retry_after_us {
        Some(us) => {
            let seconds = us.div_ceil(1_000_000).max(1);
            let note = format!("the next one could pass in {}.{:03} s", us / 1_000_000, us / 1000 % 1000);
            Refused { retry_after_s: Some(seconds), ..Refused::because(reason, note) }
        }
        None => Refused::because(reason, "it costs more than the limit ever has"),
    }
}
