//! Overload of upstreams: caps, queues, circuit breakers, and how urgent routes are.

use tollgate_config::{self as config, Priority, Toggle};
use tollgate_upstream::{
    AdaptiveSettings, AdmissionSettings, BreakerSettings, Class, QueueSettings, SlowSettings,
};

/// How many requests an upstream takes at once, and what becomes of those beyond.
pub(super) fn admission(upstream: &config::Upstream) -> AdmissionSettings {
    let concurrency = upstream.overload.concurrency.as_ref();
    let adaptive = concurrency.and_then(|concurrency| concurrency.adaptive.as_ref());
    AdmissionSettings {
        upstream: concurrency.and_then(|concurrency| concurrency.upstream).map(|max| max.get()),
        endpoint: concurrency.and_then(|concurrency| concurrency.endpoint).map(|max| max.get()),
        adaptive: adaptive.and_then(|adaptive| Toggle::on(&adaptive.value)).map(|adaptive| {
            AdaptiveSettings {
                min: adaptive.min.get(),
                max: adaptive.max.get(),
                measure_every_ms: ms(adaptive.measure_every),
                tolerance_percent: percent(adaptive.tolerance),
            }
        }),
        queue: upstream.overload.queue.as_ref().map(|queue| QueueSettings {
            length: queue.length.get(),
            timeout_ms: ms(queue.timeout),
            target_ms: queue.target.as_ref().map(|target| ms(target.value)),
            interval_ms: ms(queue.interval),
        }),
    }
}

/// When an upstream is spared.
pub(super) fn breaker(upstream: &config::Upstream) -> Option<BreakerSettings> {
    let breaker = upstream.overload.circuit_breaker.as_ref()?;
    let slow = breaker.slow.as_ref();
    Some(BreakerSettings {
        error_basis_points: u32::from(breaker.error_rate.basis_points()),
        slow: slow.map(|slow| SlowSettings {
            over_ms: ms(slow.over),
            basis_points: u32::from(slow.rate.basis_points()),
        }),
        min_requests: breaker.min_requests.get(),
        window_ms: ms(breaker.window),
        open_ms: ms(breaker.open_for),
        max_open_ms: ms(breaker.max_open_for),
        trials: breaker.trials.get(),
        shadow: breaker.shadow,
    })
}

/// How urgent the requests of a route are.
pub(super) fn class(priority: Priority) -> Class {
    match priority {
        Priority::Critical => Class::Critical,
        Priority::High => Class::High,
        Priority::Normal => Class::Normal,
        Priority::Low => Class::Low,
    }
}

fn ms<const MIN: u64>(duration: config::Duration<MIN>) -> u64 {
    duration.get().as_millis() as u64
}

fn percent(percent: config::Percent) -> u32 {
    u32::from(percent.basis_points()) / 100
}
