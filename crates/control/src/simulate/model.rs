//! From a scenario as it is written to the one that runs.

use tollgate_config::{self as config, Diagnostic, Diagnostics, Located, nearest};
use tollgate_proxy::snapshot::Route;
use tollgate_simulation::{Caller, Change, ChangeTo, Down, EndpointModel, Latency, RateStep, Scenario};
use tollgate_upstream::{Class, Upstream};

/// What stands for all endpoints that are not named.
const DEFAULT: &str = "default";

pub(super) fn scenario(
    scenario: &config::Scenario,
    upstream: &Upstream,
    route: Option<&Route>,
    seed: u64,
    found: &mut Diagnostics,
) -> Scenario {
    let changes = scenario.events.iter().map(|event| change(event, upstream, found)).collect();
    let mut changes: Vec<Change> = changes;
    changes.sort_by_key(|change| change.at_us);
    Scenario {
        duration_us: micros(scenario.duration.get()),
        workers: scenario.workers.get(),
        even_arrivals: scenario.arrivals == config::ArrivalsWord::Even,
        callers: callers(scenario, route.map_or(Class::Normal, |route| route.settings.priority)),
        endpoints: endpoints(scenario, upstream, found),
        changes,
        seed,
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn callers(scenario: &config::Scenario, class: Class) -> Vec<Caller> {
    let repeatable = scenario.idempotent.fraction();
    if scenario.callers.is_empty() {
        let rate = scenario.rate.as_ref().map_or_else(Vec::new, |rate| steps(rate, 1.0));
        return vec![Caller { name: "all".to_owned(), count: 1, rate, class, repeatable }];
    }
    let sharing = scenario.callers.iter().filter(|(_, caller)| caller.rate.is_none());
    let shares: f64 = sharing.map(|(_, caller)| f64::from(caller.share.get())).sum();
    let group = |(name, caller): &(Located<config::Label>, config::ScenarioCaller)| {
        let count = caller.count.get();
        let rate = match (&caller.rate, &scenario.rate) {
            (Some(rate), _) => steps(&rate.value, f64::from(count)),
            (None, Some(rate)) => steps(rate, f64::from(caller.share.get()) / shares),
            (None, None) => Vec::new(),
        };
        Caller {
            name: name.to_string(),
            count,
            rate,
            class: caller.priority.map_or(class, of_priority),
            repeatable: caller.idempotent.map_or(repeatable, config::Percent::fraction),
        }
    };
    scenario.callers.iter().map(group).collect()
}

fn of_priority(priority: config::Priority) -> Class {
    match priority {
        config::Priority::Critical => Class::Critical,
        config::Priority::High => Class::High,
        config::Priority::Normal => Class::Normal,
        config::Priority::Low => Class::Low,
    }
}

fn steps(steps: &[config::RateStep], times: f64) -> Vec<RateStep> {
    let step = |step: &config::RateStep| RateStep {
        at_us: micros(step.at.value.get()),
        per_second: f64::from(step.rate.count()) / step.rate.period().as_secs_f64() * times,
        over_us: micros(step.over.get()),
    };
    steps.iter().map(step).collect()
}

fn endpoints(
    scenario: &config::Scenario,
    upstream: &Upstream,
    found: &mut Diagnostics,
) -> Vec<EndpointModel> {
    let default = scenario.endpoints.get(DEFAULT).map(|model| over(&EndpointModel::default(), model));
    let default = default.unwrap_or_default();
    let mut models = vec![default.clone(); upstream.slots()];
    for (name, model) in scenario.endpoints.iter().filter(|(name, _)| name.as_ref() != DEFAULT) {
        for at in named(name, upstream, found) {
            models[at as usize] = over(&default, model);
        }
    }
    models
}

/// The endpoints of a name; an address may be listed twice.
fn named(name: &Located<config::Label>, upstream: &Upstream, found: &mut Diagnostics) -> Vec<u32> {
    let is_it = |endpoint: &tollgate_upstream::Endpoint| {
        **endpoint.name() == *name.value.as_ref() || endpoint.address().to_string() == name.value.as_ref()
    };
    let those: Vec<u32> = upstream.endpoints().filter(|(_, e)| is_it(e)).map(|(index, _)| index).collect();
    if those.is_empty() {
        let message = format!("`{}` has no endpoint `{}`", upstream.name(), name.value);
        let names: Vec<&str> = upstream.endpoints().map(|(_, endpoint)| &**endpoint.name()).collect();
        let mend = match nearest(name.value.as_ref(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "it has {}",
                names.iter().take(8).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        found.push(Diagnostic::error(name.origin, message).mend(mend));
    }
    those
}

fn over(default: &EndpointModel, model: &config::EndpointModel) -> EndpointModel {
    let fraction =
        |percent: Option<config::Percent>, before: f64| percent.map_or(before, config::Percent::fraction);
    EndpointModel {
        latency: model.latency.as_ref().and_then(latency).unwrap_or(default.latency),
        capacity: model.capacity.map(|capacity| capacity.get()).or(default.capacity),
        backlog: model.backlog.map(|backlog| backlog.get()).or(default.backlog),
        failures: fraction(model.failures, default.failures),
        status: model.status.and_then(|status| u16::try_from(status.get()).ok()).unwrap_or(default.status),
        failure_latency: model.failure_latency.as_ref().and_then(latency).or(default.failure_latency),
        connect_us: model.connect.map_or(default.connect_us, config::ShortTime::micros),
        connect_failures: fraction(model.connect_failures, default.connect_failures),
    }
}

fn latency(latency: &Located<config::LatencyModel>) -> Option<Latency> {
    let config::LatencyModel { constant, mean, p50, p99 } = &latency.value;
    match (constant, mean, p50, p99) {
        (Some(constant), ..) => Some(Latency::Constant { us: constant.micros() }),
        (_, Some(mean), ..) => Some(Latency::Exponential { mean_us: mean.micros() }),
        (.., Some(p50), Some(p99)) => Some(Latency::LogNormal { p50_us: p50.micros(), p99_us: p99.micros() }),
        _ => None,
    }
}

fn change(event: &config::ScenarioEvent, upstream: &Upstream, found: &mut Diagnostics) -> Change {
    let all = || upstream.endpoints().map(|(index, _)| index).collect();
    let endpoints = match &event.endpoint {
        None => all(),
        Some(labels) => {
            let each =
                labels.value.iter().map(|label| Located { value: label.clone(), origin: labels.origin });
            each.flat_map(|label| named(&label, upstream, found)).collect()
        }
    };
    let down = event.down.map(|down| match down {
        config::DownWord::Refusing => Down::Refusing,
        config::DownWord::Silent => Down::Silent,
    });
    let to = ChangeTo {
        slow: event.slow.as_ref().map(|slow| f64::from(slow.value.as_thousandths()) / 1000.0),
        capacity: event.capacity.map(|capacity| capacity.get()),
        failures: event.failures.map(config::Percent::fraction),
        connect_failures: event.connect_failures.map(config::Percent::fraction),
        down: if event.up.is_some() { Some(None) } else { down.map(Some) },
    };
    Change { at_us: micros(event.at.value.get()), endpoints, to, words: words(event) }
}

fn words(event: &config::ScenarioEvent) -> String {
    let mut words = Vec::new();
    words.extend(event.slow.as_ref().map(|slow| match slow.value.as_thousandths() {
        1000 => "as fast as at the beginning".to_owned(),
        _ => format!("{} times as slow", slow.value),
    }));
    words.extend(event.capacity.map(|capacity| format!("capacity {}", capacity.get())));
    words.extend(event.failures.map(|share| format!("failures {share}")));
    words.extend(event.connect_failures.map(|share| format!("failed connections {share}")));
    words.extend(event.down.map(|down| format!("down ({})", down.word())));
    words.extend(event.up.as_ref().map(|_| "up again".to_owned()));
    let who = match &event.endpoint {
        None => "all endpoints".to_owned(),
        Some(labels) => labels.value.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    format!("{who}: {}", words.join(", "))
}
