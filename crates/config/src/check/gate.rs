//! What the document says of callers: consumers, methods of authentication, shared limits, Redis, tests.

mod consumers;
mod expectations;
mod limits;
mod methods;
mod names;
mod oidc;
mod redis;
mod tokens;

pub(crate) use consumers::duplicates;
pub(super) use limits::{Limits, Place};
pub(super) use names::{Callers, Names};

use std::collections::HashSet;

use super::Partial;
use crate::diagnostic::Diagnostics;
use crate::model::Document;

/// What routes refer to.
pub(super) struct Known<'d> {
    pub(super) methods: Names<'d>,
    pub(super) rate_limits: Names<'d>,
    pub(super) concurrency_limits: Names<'d>,
    pub(super) quotas: Names<'d>,
    pub(super) limits: Limits<'d>,
    pub(super) callers: Callers<'d>,
}

impl<'d> Known<'d> {
    pub(super) fn new(document: &'d Document, partial: Partial) -> Self {
        let gate = &document.gate;
        let judge = partial.gate;
        Self {
            methods: Names::of(&gate.auth, "method of authentication", "auth", judge),
            rate_limits: Names::of(&gate.rate_limits, "rate limit", "rate_limits", judge),
            concurrency_limits: Names::of(
                &gate.concurrency_limits,
                "concurrency limit",
                "concurrency_limits",
                judge,
            ),
            quotas: Names::of(&gate.quotas, "quota", "quotas", judge),
            limits: Limits {
                redis: Names::of(&gate.redis, "Redis", "redis", judge),
                has_data_dir: gate.data_dir.is_some(),
            },
            callers: Callers::new(gate, judge),
        }
    }
}

/// Checks all but what belongs to routes.
pub(super) fn check(document: &Document, known: &Known<'_>, partial: Partial, found: &mut Diagnostics) {
    let gate = &document.gate;
    consumers::check(gate, found);
    for (_, method) in gate.auth.iter() {
        methods::check(document, method, found);
    }
    for (_, limit) in gate.rate_limits.iter() {
        known.limits.rate(limit, limit.origin, found);
    }
    for (_, quota) in gate.quotas.iter() {
        known.limits.quota(quota, quota.origin, found);
    }
    for (_, store) in gate.redis.iter() {
        redis::check(store, found);
    }
    let routes: HashSet<&str> =
        document.routes.iter().filter_map(|route| Some(route.name.as_ref()?.as_str())).collect();
    expectations::check(document, &routes, &known.callers, partial, found);
}
