//! Limits, shared ones and those of routes.

use super::Names;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::StoreMode;
use crate::model::{IfStoreDown, KeyPart, KeyWord, LimitKey, LimitStore, Quota, RateAlgorithm, RateLimit};
use crate::source::{Located, Origin};

/// What limits refer to.
pub(in crate::check) struct Limits<'d> {
    pub(super) redis: Names<'d>,
    pub(super) has_data_dir: bool,
}

/// Where a limit stands: on a route with `auth` or without.
#[derive(Clone, Copy)]
pub(in crate::check) struct Place {
    pub(in crate::check) authenticated: bool,
    pub(in crate::check) origin: Origin,
}

impl Place {
    /// Warns of a limit by who is calling where nobody is known.
    pub(in crate::check) fn key(self, by: &LimitKey, origin: Origin, found: &mut Diagnostics) {
        let identity = match by {
            LimitKey::Of(KeyWord::Consumer) => "consumer",
            LimitKey::Part(KeyPart::Claim(_)) => "claim",
            _ => return,
        };
        if !self.authenticated {
            let message = format!("this limit is by {identity}, and without `auth` the route knows of none");
            let place = if origin.is_known() { origin } else { self.origin };
            let finding = Diagnostic::warning(place, message);
            found.push(finding.mend("add `auth` to the route, or write `by: address`"));
        }
    }
}

impl Limits<'_> {
    pub(in crate::check) fn rate(&self, limit: &RateLimit, origin: Origin, found: &mut Diagnostics) {
        if let Some(delay) = &limit.delay
            && limit.algorithm.value == RateAlgorithm::SlidingWindow
        {
            let message =
                "`delay` needs to know when the next request may pass, which `sliding_window` does not";
            let finding = Diagnostic::error(delay.origin, message);
            found
                .push(finding.note(limit.algorithm.origin, "it is set here").mend("write `algorithm: gcra`"));
        }
        if let Some(burst) = &limit.burst
            && limit.algorithm.value == RateAlgorithm::SlidingWindow
        {
            let finding = Diagnostic::error(burst.origin, "a `sliding_window` has no `burst`");
            found.push(finding.mend("remove it, or write `algorithm: gcra`"));
        }
        if limit.store.value == LimitStore::Disk {
            let finding = Diagnostic::error(limit.store.origin, "rates are not counted on the disk");
            found.push(finding.mend("write `memory` or `{ redis: NAME }`, or a `quota`"));
        }
        self.store(&limit.store, limit.mode.as_ref(), limit.if_store_down.as_ref(), origin, found);
    }

    pub(in crate::check) fn quota(&self, quota: &Quota, origin: Origin, found: &mut Diagnostics) {
        if quota.store.value == LimitStore::Memory {
            let message = "a quota in memory begins anew with every restart";
            let finding = Diagnostic::error(quota.store.origin, message);
            found.push(finding.mend("write `disk` or `{ redis: NAME }`"));
        }
        if quota.store.value == LimitStore::Disk && !self.has_data_dir {
            let place = if quota.store.origin.is_known() { quota.store.origin } else { origin };
            let finding = Diagnostic::error(place, "a quota on disk needs a folder for its counts");
            found.push(finding.mend("add `data_dir: /var/lib/tollgate`, or write `store: { redis: NAME }`"));
        }
        self.store(&quota.store, quota.mode.as_ref(), quota.if_store_down.as_ref(), origin, found);
    }

    fn store(
        &self,
        store: &Located<LimitStore>,
        mode: Option<&Located<StoreMode>>,
        down: Option<&Located<IfStoreDown>>,
        origin: Origin,
        found: &mut Diagnostics,
    ) {
        if let LimitStore::Redis(name) = &store.value {
            return self.redis.need(&name.redis, found);
        }
        let mode = mode.map(|mode| ("mode", mode.origin));
        let down = down.map(|down| ("if_store_down", down.origin));
        for (key, place) in mode.into_iter().chain(down) {
            let place = if place.is_known() { place } else { origin };
            let message = format!("`{key}` is about Redis, and this limit is not counted there");
            found
                .push(Diagnostic::error(place, message).mend("write `store: { redis: NAME }`, or remove it"));
        }
    }
}
