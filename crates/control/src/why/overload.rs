//! Exchanges that their upstream had no place for, or that it was spared from.

use tollgate_decision::{Queued, Reason};
use tollgate_proxy::Snapshot;
use tollgate_proxy::recorder::Entry;
use tollgate_upstream::Upstream;

use super::millis;
use super::setting::{capitalised, duration};

/// Whether its upstream let an exchange down before any endpoint was asked, for this reason.
pub(super) fn is_refusal(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamFull
            | Reason::QueueFull
            | Reason::QueueTimeout
            | Reason::QueueShed
            | Reason::CircuitOpen
    )
}

/// Where that was, and how the exchange met the queue, as part of a sentence.
pub(super) fn how_it_waited(entry: &Entry) -> String {
    let name = entry.names.fallback.as_deref().or(entry.names.upstream.as_deref()).unwrap_or_default();
    let queued = entry.record.queued.filter(|_| is_of_queue(entry.reason()));
    let Some(Queued { position, length, waited_us }) = queued else { return format!(": {name}") };
    let came = match length {
        0 => "nobody waited when it came".to_owned(),
        _ => format!("{length} waited when it came, {position} of them to go before it"),
    };
    match waited_us {
        0 => format!(": {name}; {came}"),
        us => format!(": {name}, after {}; {came}", millis(us)),
    }
}

fn is_of_queue(reason: Reason) -> bool {
    is_refusal(reason) && !matches!(reason, Reason::UpstreamFull | Reason::CircuitOpen)
}

/// The setting that a refusal goes back to, with its value, as a sentence without its end.
pub(super) fn that_decided(snapshot: &Snapshot, entry: &Entry) -> Option<String> {
    let upstream = snapshot.upstreams.get(entry.record.upstream_now()? as usize)?;
    match entry.reason() {
        Reason::UpstreamFull => of_places(upstream),
        Reason::CircuitOpen => of_circuit(upstream),
        reason => of_queue(snapshot, upstream, entry, reason),
    }
    .map(capitalised)
}

fn of_places(upstream: &Upstream) -> Option<String> {
    let (settings, name) = (&upstream.settings().admission, upstream.name());
    if let Some(max) = settings.upstream {
        return Some(format!("concurrency.upstream of the upstream {name} is {max}"));
    }
    if let Some(adaptive) = settings.adaptive {
        let (min, max) = (adaptive.min, adaptive.max);
        return Some(format!("concurrency.adaptive of the upstream {name} is {min} to {max}"));
    }
    if let Some(max) = settings.endpoint {
        return Some(format!("concurrency.endpoint of the upstream {name} is {max}"));
    }
    let (endpoint, max) = upstream.endpoints().find_map(|(_, e)| Some((e.name(), e.cap()?)))?;
    Some(format!("max_requests of the endpoint {endpoint} of {name} is {max}"))
}

fn of_queue(snapshot: &Snapshot, upstream: &Upstream, entry: &Entry, reason: Reason) -> Option<String> {
    let (queue, name) = (upstream.settings().admission.queue?, upstream.name());
    match reason {
        Reason::QueueFull => Some(format!("queue.length of the upstream {name} is {}", queue.length)),
        Reason::QueueShed => {
            Some(format!("queue.target of the upstream {name} is {}", duration(queue.target_ms?)))
        }
        _ => {
            let route = entry.record.route.and_then(|route| snapshot.routes.get(route as usize));
            // The whole exchange may have less time than its wait alone would.
            let shorter = route.filter(|route| route.settings.timeouts.total_ms < queue.timeout_ms);
            Some(match shorter {
                Some(route) => {
                    let total = duration(route.settings.timeouts.total_ms);
                    format!("timeouts.total of the route {} is {total}", route.name)
                }
                None => format!("queue.timeout of the upstream {name} is {}", duration(queue.timeout_ms)),
            })
        }
    }
}

fn of_circuit(upstream: &Upstream) -> Option<String> {
    let (settings, name) = (upstream.breaker()?.settings(), upstream.name());
    let share = |basis_points: u32| format!("{}%", f64::from(basis_points) / 100.0);
    let slow = settings.slow.map_or_else(String::new, |slow| {
        format!(", slow.rate {} over {}", share(slow.basis_points), duration(slow.over_ms))
    });
    let (rate, open_for) = (share(settings.error_basis_points), duration(settings.open_ms));
    Some(format!("circuit_breaker.error_rate of the upstream {name} is {rate}{slow}, open_for {open_for}"))
}
