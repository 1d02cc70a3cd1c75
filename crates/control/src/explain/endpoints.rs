//! How the endpoints of a choice are told: who could be picked, with which share, and why not the others.

use std::fmt::Write as _;

use tollgate_upstream::{Exclusion, Load, Upstream, View};

/// Each endpoint of an upstream, and whether it can be picked, or was `tried` before. `busy` knows what the balancer
/// reads of them, where that is known, and the word for when.
pub(super) fn tell_endpoints(
    upstream: &Upstream,
    view: &View,
    at_ms: u64,
    tried: &[u32],
    busy: impl Fn(u32) -> Option<(Load, &'static str)>,
) -> Vec<(String, String)> {
    // What was not there yet or not any more need not be told of.
    let known = upstream.endpoints().take_while(|(number, _)| *number < view.endpoints());
    let present = known.filter(|(number, _)| view.exclusion(*number) != Some(Exclusion::Removed));
    let each = present.map(|(number, endpoint)| {
        let told = match view.exclusion(number) {
            None => tell_usable(view, number, busy(number)),
            Some(exclusion) if view.is_member(number) => {
                format!("{}, but too few others are left, so it is used", tell_exclusion(exclusion, at_ms))
            }
            Some(exclusion) => tell_exclusion(exclusion, at_ms),
        };
        let tried = if tried.contains(&number) { ", tried already" } else { "" };
        (format!("{} {}", upstream.name(), endpoint.name()), format!("{told}{tried}"))
    });
    each.collect()
}

fn tell_usable(view: &View, number: u32, busy: Option<(Load, &'static str)>) -> String {
    let mut told = "can be picked".to_owned();
    if let Some(subset) = view.subset().filter(|_| view.is_beside_subset()) {
        let _ = write!(told, " since none with {subset} is usable");
    }
    let _ = write!(told, ", weight {}", view.own_weight(number).unwrap_or(0));
    if let Some(share) = view.share(number) {
        let _ = write!(told, " ({:.1}% of the traffic)", share * 100.0);
    }
    if let Some(warmth) = view.warmth(number) {
        let _ = write!(told, ", warming up: {:.0}% of its share so far", warmth * 100.0);
    }
    if let Some((load, when)) = busy {
        let _ = write!(told, ", {} requests {when}", load.in_flight);
        if let us @ 1.. = load.latency_us {
            let _ = write!(told, ", latency {}.{:03}ms", us / 1000, us % 1000);
        }
    }
    told
}

/// Why an endpoint is not used, at this time.
pub(super) fn tell_exclusion(exclusion: Exclusion, at_ms: u64) -> String {
    match exclusion {
        Exclusion::Ejected { until_ms } => {
            format!("ejected for another {:.1}s", until_ms.saturating_sub(at_ms) as f64 / 1000.0)
        }
        other => other.to_string(),
    }
}
