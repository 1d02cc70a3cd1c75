//! Upstreams: endpoints, and whether anything uses them.

use std::collections::{HashMap, HashSet};

use super::{health, overload, shared_retry, sticky, tls};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Balance, BalanceWith, Document, Endpoint, EndpointPlace, Upstream};
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
        if let Some(sticky) = &upstream.shares.sticky {
            sticky::check(sticky, found);
        }
        if let Some(retry) = &upstream.retry {
            shared_retry(retry, &format!("the upstream `{}`", name.as_str()), found);
        }
    }
}

fn endpoints(name: &str, origin: Origin, upstream: &Upstream, found: &mut Diagnostics) {
    let endpoints = &upstream.endpoints;
    if endpoints.iter().all(|endpoint| endpoint.weight.get() == 0 && endpoint.address().is_some()) {
        let message = format!("all endpoints of `{name}` have weight 0, so none can be chosen");
        found.push(Diagnostic::error(origin, message).mend("give at least one a weight of 1 or more"));
    }
    let mut seen = HashMap::with_capacity(endpoints.len());
    for endpoint in endpoints.iter() {
        let place = endpoint.name();
        let origin = endpoint.place_origin();
        if let Some(first) = seen.insert(place.clone(), origin) {
            let message = format!("`{place}` is twice in the upstream `{name}`");
            let finding = Diagnostic::error(origin, message).note(first, "first here");
            found.push(finding.mend("give it a `weight` if it is to get more traffic"));
        }
        followed(endpoint, found);
    }
}

/// Keys of an endpoint that mean something only beside others.
fn followed(endpoint: &Located<Endpoint>, found: &mut Diagnostics) {
    if matches!(endpoint.place, EndpointPlace::Srv(_) | EndpointPlace::File(_)) && endpoint.weight.get() != 1
    {
        let message = "what is found there says its own weights";
        let finding = Diagnostic::error(endpoint.origin, message).mend("remove `weight`");
        found.push(finding);
    }
    let Some(follow) = &endpoint.follow else { return };
    let is_name = match &endpoint.place {
        EndpointPlace::Address(address) | EndpointPlace::Dns(address) => address.socket().is_none(),
        EndpointPlace::Srv(_) => true,
        EndpointPlace::File(_) => false,
    };
    if !is_name {
        let of_names = [
            ("family", follow.family.as_ref().map(|key| key.origin)),
            ("min_ttl", follow.min_ttl.as_ref().map(|key| key.origin)),
            ("max_ttl", follow.max_ttl.as_ref().map(|key| key.origin)),
            ("on_empty", follow.on_empty.as_ref().map(|key| key.origin)),
        ];
        for (key, origin) in of_names.into_iter().filter_map(|(key, origin)| Some((key, origin?))) {
            let message = format!("`{key}` means nothing without a name");
            found.push(Diagnostic::error(origin, message).mend("remove it, or write `dns` or `srv`"));
        }
    }
    if let (Some(min), Some(max)) = (&follow.min_ttl, &follow.max_ttl)
        && min.value > max.value
    {
        let message = format!("`min_ttl` ({}) is longer than `max_ttl` ({})", min.value, max.value);
        found.push(Diagnostic::error(min.origin, message).note(max.origin, "written here"));
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
