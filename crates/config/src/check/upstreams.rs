//! Upstreams: endpoints, and whether anything uses them.

use std::collections::{HashMap, HashSet};

use super::{health, overload, shared_retry, sticky, tls};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Balance, BalanceWith, Document, Upstream};
use crate::source::{Located, Origin};

/// Checks all upstreams. `used` holds the names that routes send to, or is `None` if that is not known.
pub(super) fn check(document: &Document, used: &Option<HashSet<&str>>, found: &mut Diagnostics) {
    for (name, upstream) in document.upstreams.iter() {
        if used.as_ref().is_some_and(|used| !used.contains(name.as_str())) {
            let message = format!("no route uses the upstream `{}`", name.as_str());
            found.push(Diagnostic::warning(name.origin, message));
        }
        endpoints(name.as_str(), name.origin, upstream, found);
        tls::upstream(name.as_str(), upstream, found);
        health::probes(upstream, found);
        health::ejection(upstream, found);
        balance(&upstream.balance, found);
        overload::check(upstream, found);
        if let Some(sticky) = &upstream.sticky {
            sticky::check(sticky, found);
        }
        if let Some(retry) = &upstream.retry {
            shared_retry(retry, &format!("the upstream `{}`", name.as_str()), found);
        }
    }
}

fn endpoints(name: &str, origin: Origin, upstream: &Upstream, found: &mut Diagnostics) {
    let endpoints = &upstream.endpoints;
    if endpoints.iter().all(|endpoint| endpoint.weight.get() == 0) {
        let message = format!("all endpoints of `{name}` have weight 0, so none can be chosen");
        found.push(Diagnostic::error(origin, message).mend("give at least one a weight of 1 or more"));
    }
    let mut seen = HashMap::with_capacity(endpoints.len());
    for endpoint in endpoints.iter() {
        let address = &endpoint.address;
        if let Some(first) = seen.insert(&address.value, address.origin) {
            let message = format!("`{}` is twice in the upstream `{name}`", address.value);
            let finding = Diagnostic::error(address.origin, message).note(first, "first here");
            found.push(finding.mend("give it a `weight` if it is to get more traffic"));
        }
    }
}

fn balance(balance: &Located<Balance>, found: &mut Diagnostics) {
    if balance.by().is_some_and(<[_]>::is_empty) {
        let finding =
            Diagnostic::error(balance.origin, "`by` is empty, so all requests would go to one endpoint");
        found.push(finding.mend("write `by: address`, or `by: { header: X-User }`"));
    }
    if let Balance::With(BalanceWith::RingHash(ring)) = &balance.value
        && ring.min_size.get() > ring.max_size.get()
    {
        let (least, most) = (ring.min_size.get(), ring.max_size.get());
        let message = format!("ring_hash: `min_size` ({least}) is more than `max_size` ({most})");
        let place = if ring.min_size.origin.is_known() { &ring.min_size } else { &ring.max_size };
        found.push(Diagnostic::error(place.origin, message));
    }
}
