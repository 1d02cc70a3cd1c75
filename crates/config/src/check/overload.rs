//! Overload of an upstream: caps, its queue, its circuit breaker.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Concurrency, Upstream};

/// Checks what an upstream says about overload.
pub(super) fn check(upstream: &Upstream, found: &mut Diagnostics) {
    let concurrency = upstream.overload.concurrency.as_ref();
    let adaptive = concurrency.and_then(|concurrency| concurrency.adaptive.as_ref());
    let adaptive_on = adaptive.and_then(|adaptive| Some((adaptive.origin, adaptive.value.on()?)));
    if let Some((origin, adaptive)) = adaptive_on
        && adaptive.min.get() > adaptive.max.get()
    {
        let message =
            format!("adaptive: `min` ({}) is more than `max` ({})", adaptive.min.get(), adaptive.max.get());
        found.push(Diagnostic::error(origin, message));
    }
    let set = |concurrency: &Concurrency| {
        concurrency.upstream.is_some() || concurrency.endpoint.is_some() || adaptive_on.is_some()
    };
    let has_cap = concurrency.is_some_and(|concurrency| set(concurrency))
        || upstream.endpoints.iter().any(|endpoint| endpoint.max_requests.is_some());
    if let Some(queue) = &upstream.overload.queue {
        if !has_cap {
            let message = "nobody ever waits in this `queue`, since any number of requests may be at the upstream at once";
            let finding = Diagnostic::warning(queue.origin, message);
            found.push(finding.mend("set `concurrency`, or remove `queue`"));
        }
        if let Some(target) = &queue.target
            && target.value >= queue.timeout
        {
            let message = format!(
                "`target` ({}) is not below `timeout` ({}), so nothing is ever refused for it",
                target.value, queue.timeout
            );
            found.push(Diagnostic::warning(target.origin, message));
        }
    }
    if let Some(breaker) = &upstream.overload.circuit_breaker
        && breaker.open_for > breaker.max_open_for
    {
        let message = format!(
            "circuit_breaker: `open_for` ({}) is longer than `max_open_for` ({})",
            breaker.open_for, breaker.max_open_for
        );
        found.push(Diagnostic::error(breaker.origin, message));
    }
}
