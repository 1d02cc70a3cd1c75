//! Limits of routes: by name, or of their own.

use std::collections::HashMap;

use super::on;
use crate::check::gate::{Known, Place};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Document, LimitUse, Policies};
use crate::source::{Located, Origin};

/// Checks limits of their own, and that those exist that are named.
pub(super) fn limits(policies: &Policies, known: &Known<'_>, found: &mut Diagnostics) {
    if let Some((list, origin)) = on(&policies.rate_limit) {
        if list.is_empty() {
            let finding = Diagnostic::error(origin, "no rate limit is listed");
            found.push(finding.mend("write one, or `none`"));
        }
        let mut seen: HashMap<&str, Origin> = HashMap::new();
        for limit in list.iter() {
            match &limit.value {
                LimitUse::Own(own) => known.limits.rate(own, limit.origin, found),
                LimitUse::Named(name) => {
                    if let Some(first) = seen.insert(name.as_str(), limit.origin) {
                        let message = format!("`{name}` is named twice, so each request would count twice");
                        let finding = Diagnostic::error(limit.origin, message);
                        found.push(finding.note(first, "first here"));
                    }
                    known.rate_limits.need_text(name.as_str(), limit.origin, found);
                }
            }
        }
    }
    if let Some((limit, origin)) = on(&policies.concurrency_limit)
        && let LimitUse::Named(name) = &**limit
    {
        known.concurrency_limits.need_text(name.as_str(), origin, found);
    }
    if let Some((quota, origin)) = on(&policies.quota) {
        match &**quota {
            LimitUse::Own(own) => known.limits.quota(own, origin, found),
            LimitUse::Named(name) => known.quotas.need_text(name.as_str(), origin, found),
        }
    }
}

/// Warns of limits by who is calling where nobody is known.
pub(super) fn keys(document: &Document, policies: &Policies, place: Place, found: &mut Diagnostics) {
    let gate = &document.gate;
    for limit in on(&policies.rate_limit).into_iter().flat_map(|(list, _)| list.iter()) {
        let (rate, at) = match &limit.value {
            LimitUse::Own(own) => (Some(&**own), None),
            LimitUse::Named(name) => (value(gate.rate_limits.get(name.as_str())), Some(limit.origin)),
        };
        if let Some(by) = rate.and_then(|rate| rate.by.as_ref()) {
            place.key(&by.value, at.unwrap_or(by.origin), found);
        }
    }
    if let Some((limit, origin)) = on(&policies.concurrency_limit) {
        let (limit, at) = match &**limit {
            LimitUse::Own(own) => (Some(&**own), None),
            LimitUse::Named(name) => (value(gate.concurrency_limits.get(name.as_str())), Some(origin)),
        };
        if let Some(limit) = limit {
            place.key(&limit.by.value, at.unwrap_or(limit.by.origin), found);
        }
    }
    if let Some((quota, origin)) = on(&policies.quota) {
        let (quota, at) = match &**quota {
            LimitUse::Own(own) => (Some(&**own), None),
            LimitUse::Named(name) => (value(gate.quotas.get(name.as_str())), Some(origin)),
        };
        if let Some(quota) = quota {
            let origin = at.unwrap_or(if quota.by.origin.is_known() { quota.by.origin } else { origin });
            place.key(&quota.by.value, origin, found);
        }
    }
}

fn value<T>(found: Option<&Located<T>>) -> Option<&T> {
    found.map(|found| &found.value)
}
