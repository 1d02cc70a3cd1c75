//! Tiers, zones and labels: what endpoints have, and what is asked of them.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Action, Destination, Document, Endpoint, IfNone, Labels, Upstream};
use crate::source::{Located, Origin};

/// Checks the endpoints of all upstreams, and the subsets that routes ask for.
pub(super) fn check(document: &Document, found: &mut Diagnostics) {
    for (_, upstream) in document.upstreams.iter() {
        upstream.endpoints.iter().for_each(|endpoint| tier(endpoint, found));
        zone(document, upstream, found);
    }
    subsets(document, found);
}

fn tier(endpoint: &Endpoint, found: &mut Diagnostics) {
    if let (Some(priority), true) = (&endpoint.priority, endpoint.backup) {
        let finding = Diagnostic::error(priority.origin, "`backup` says the same as `priority: 1`");
        found.push(finding.mend("keep one of the two"));
    }
}

fn zone(document: &Document, upstream: &Upstream, found: &mut Diagnostics) {
    let (Some(prefer), Some(_)) = (&upstream.shares.prefer_zone, upstream.locality()) else { return };
    let Some(zone) = &document.zone else {
        let finding = Diagnostic::error(prefer.origin, "it is not known which zone this Tollgate is in");
        found.push(finding.mend("say so at the top of the document: `zone: ${ZONE}`"));
        return;
    };
    if !upstream.endpoints.iter().any(|endpoint| endpoint.zone.as_ref() == Some(&zone.value)) {
        let message = format!("no endpoint is in the zone `{}`, so there is none to prefer", zone.value);
        found.push(Diagnostic::warning(prefer.origin, message));
    }
}

/// A subset as a route asks for it.
struct Asked<'d> {
    upstream: &'d str,
    origin: Origin,
    labels: &'d Located<Labels>,
    if_none: IfNone,
}

fn subsets(document: &Document, found: &mut Diagnostics) {
    let mut upstreams = HashMap::new();
    for route in &document.routes {
        for asked in asked(&route.action) {
            if asked.labels.is_empty() {
                if asked.if_none != IfNone::Fail {
                    let message =
                        "`if_none` says what is done without endpoints of some labels, and there are none";
                    found.push(Diagnostic::error(asked.origin, message).mend("add `labels`, or remove it"));
                }
                continue;
            }
            if upstreams.is_empty() {
                upstreams.extend(document.upstreams.iter().map(|(name, upstream)| (name.as_str(), upstream)));
            }
            let Some(upstream) = upstreams.get(asked.upstream) else { continue };
            if !upstream.endpoints.iter().any(|endpoint| has(endpoint, asked.labels)) {
                let wanted = asked.labels.iter().map(|(name, value)| format!("{}={value}", name.value));
                let wanted = wanted.collect::<Vec<_>>().join(",");
                let message = format!("no endpoint of `{}` has the labels {wanted}", asked.upstream);
                found.push(Diagnostic::warning(asked.labels.origin, message));
            }
        }
    }
}

fn has(endpoint: &Endpoint, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| endpoint.labels.get(name.as_str()) == Some(value))
}

fn asked(action: &Action) -> Vec<Asked<'_>> {
    match action {
        Action::To(to) => match &to.upstream.value {
            Destination::Upstream(name) => vec![Asked {
                upstream: name.as_str(),
                origin: to.origin,
                labels: &to.labels,
                if_none: to.if_none,
            }],
            Destination::Inline(_) => Vec::new(),
        },
        Action::Split(split) => {
            let asked = split.iter().map(|(name, share)| Asked {
                upstream: share.upstream(name).as_str(),
                origin: name.origin,
                labels: &share.labels,
                if_none: share.if_none,
            });
            asked.collect()
        }
        Action::Redirect(_) | Action::Respond(_) => Vec::new(),
    }
}
