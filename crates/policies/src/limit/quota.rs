//! How many requests in a day or a month, counted through restarts.

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Resolution, Stage, Verdict};
use tollgate_stores::disk::Quotas;
use tollgate_stores::redis::Counting;
use tollgate_stores::{Decision, Period};

use super::fields::{self, Standing, Style};
use super::key::KeySource;
use super::rate::with_key;
use super::shared::Charge;
use super::{Amounts, Cost, Counter};

/// What is limited.
#[derive(Debug)]
pub struct Settings {
    /// The document's name for it; empty for one of a route's own.
    pub name: String,
    /// Who is counted together.
    pub by: KeySource,
    /// How long a period is.
    pub period: Period,
    /// How much there is in a period.
    pub limit: Amounts<u64>,
    /// What a request costs.
    pub cost: Cost,
    /// How clients are told.
    pub style: Style,
}

/// A quota's counts in this process, kept on the disk or not.
#[derive(Clone, Debug)]
pub struct Ledger {
    quotas: Arc<Quotas>,
    number: u64,
}

/// Limits requests per period.
#[derive(Debug)]
pub struct Quota {
    name: String,
    settings: Settings,
    counter: Counter<Ledger>,
}

impl Ledger {
    /// The counts under `identity`: the same quota of the next document, or of the next process, goes on counting.
    pub fn new(quotas: Arc<Quotas>, identity: &str) -> Self {
        let number = quotas.number(identity);
        Self { quotas, number }
    }

    fn count(&self, asked: &Asked<'_>, key: &[u8], period: Period, limit: u64, cost: u64) -> Decision {
        let key = self.quotas.key(self.number, key);
        let wall_us = asked.moment.wall_us;
        match asked.mode.serves() {
            true => self.quotas.take(key, period, limit, cost, wall_us),
            false => self.quotas.peek(key, period, limit, cost, wall_us),
        }
    }
}

impl Quota {
    /// A policy that counts there.
    pub fn new(settings: Settings, counter: Counter<Ledger>) -> Self {
        let name = match &*settings.name {
            "" => "quota".to_owned(),
            name => format!("quota {name}"),
        };
        Self { name, settings, counter }
    }
}

impl Policy for Quota {
    fn name(&self) -> &str {
        &self.name
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Verdict {
        let Settings { by, period, limit, cost, style, name } = &self.settings;
        let (limit, cost) = (*limit.of(&gate.caller), cost.of(asked, &gate.caller));
        let counting = Counting::Quota { limit, period: *period };
        let counted = with_key(by, asked, gate, |key| {
            self.counter.count(asked, &Charge { key, counting, cost }, resolution, |ledger| {
                ledger.count(asked, key, *period, limit, cost)
            })
        });
        let counted = match counted {
            Ok(counted) => counted,
            Err(verdict) => return verdict,
        };
        let (begins_s, ends_s) = period.bounds_s(asked.moment.wall_s());
        let standing = Standing {
            name: if name.is_empty() { "quota" } else { name },
            quota: limit,
            window_s: ends_s - begins_s,
            remaining: counted.decision.remaining,
            reset_s: ends_s - asked.moment.wall_s(),
        };
        fields::write(*style, &[standing], &mut gate.response);
        match counted.decision {
            Decision { allowed: true, remaining, .. } => counted.passes(remaining),
            _ => counted.refuses(Reason::QuotaExceeded),
        }
    }
}
