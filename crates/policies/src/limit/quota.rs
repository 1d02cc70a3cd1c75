//! How many requests in a day or a month, counted through restarts.

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Resolution, Stage, Verdict};
use tollgate_stores::Period;
use tollgate_stores::disk::Quotas;

use super::fields::{self, Standing, Style};
use super::key::KeySource;
use super::rate::{refused, with_key};
use super::{ByGroup, Cost};

/// What is limited.
#[derive(Debug)]
pub struct Settings {
    /// The document's name for it; empty for one of a route's own.
    pub name: String,
    /// What it is counted under: the same quota of the next document, or of the next process, goes on counting.
    pub identity: String,
    /// Who is counted together.
    pub by: KeySource,
    /// How long a period is.
    pub period: Period,
    /// How much there is in a period.
    pub limit: ByGroup<u64>,
    /// What a request costs.
    pub cost: Cost,
    /// How clients are told.
    pub style: Style,
}

/// Limits requests per period, counted on the disk.
#[derive(Debug)]
pub struct Quota {
    name: String,
    settings: Settings,
    number: u64,
    quotas: Arc<Quotas>,
}

impl Quota {
    /// A policy that counts in this store.
    pub fn new(settings: Settings, quotas: Arc<Quotas>) -> Self {
        let name = match &*settings.name {
            "" => "quota".to_owned(),
            name => format!("quota {name}"),
        };
        let number = quotas.number(&settings.identity);
        Self { name, settings, number, quotas }
    }
}

impl Policy for Quota {
    fn name(&self) -> &str {
        &self.name
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        let Settings { by, period, limit, cost, style, name, .. } = &self.settings;
        let (limit, cost) = (*limit.of(&gate.caller), cost.of(asked, &gate.caller));
        let key = with_key(by, asked, gate, |key| self.quotas.key(self.number, key));
        let wall_us = asked.moment.wall_us;
        let decision = match asked.mode.serves() {
            true => self.quotas.take(key, *period, limit, cost, wall_us),
            false => self.quotas.peek(key, *period, limit, cost, wall_us),
        };
        let (begins_s, ends_s) = period.bounds_s(asked.moment.wall_s());
        let standing = Standing {
            name: if name.is_empty() { "quota" } else { name },
            quota: limit,
            window_s: ends_s - begins_s,
            remaining: decision.remaining,
            reset_s: ends_s - asked.moment.wall_s(),
        };
        fields::write(*style, &[standing], &mut gate.response);
        match decision.allowed {
            true => Verdict::Continue(i64::try_from(decision.remaining).ok()),
            false => Verdict::Refuse(refused(Reason::QuotaExceeded, &decision)),
        }
    }
}
