//! Simulating an upstream of a document: its own code and settings, a scenario's traffic and endpoints.

mod model;

use std::sync::Arc;

use tollgate_config::{self as config, Diagnostic, Diagnostics, nearest};
use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::{Action, Destination, FallbackTo, Keys, Route};
use tollgate_simulation::{Given, Report, Rules, Scenario, TimeLimits};
use tollgate_upstream::{HealthEvents, Upstream};

use crate::prepare::Ready;

/// An upstream of a document and a scenario that fits it.
#[derive(Debug)]
pub struct Simulation {
    upstream: Arc<Upstream>,
    rules: Rules,
    scenario: Scenario,
    /// What the document says that is not simulated, in words.
    pub left_out: Vec<String>,
}

/// What is simulated, where there is a choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'a> {
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The name of the route whose retries, time limits and priority hold.
    pub route: Option<&'a str>,
    /// What all that is random is made from.
    pub seed: u64,
}

/// Puts both together. `ready` must have been prepared for this alone: a simulation uses up what it was given.
///
/// # Errors
///
/// What of the scenario does not fit the document, or what was chosen and is not there.
pub fn prepare(
    ready: &Ready,
    scenario: &config::Scenario,
    chosen: Chosen<'_>,
) -> Result<Simulation, Diagnostics> {
    let snapshot = &ready.snapshot;
    let mut found = Diagnostics::default();
    let (index, upstream) = upstream(snapshot, scenario, chosen).map_err(only)?;
    let route = route(snapshot, index, chosen).map_err(only)?;
    let keys = snapshot.keys.get(index).cloned().unwrap_or_default();
    let model = model::scenario(scenario, &upstream, route, chosen.seed, &mut found);
    if found.has_errors() {
        return Err(found);
    }
    let left_out = left_out(route, &keys, &model);
    Ok(Simulation { upstream, rules: rules(route, &keys), scenario: model, left_out })
}

impl Simulation {
    /// Runs it. `health` is what the document was prepared with; `progress` is told the time, in microseconds.
    pub fn run(&self, health: &HealthEvents, progress: &mut dyn FnMut(u64)) -> Report {
        let Self { upstream, rules, scenario, .. } = self;
        tollgate_simulation::run(Given { upstream, health, rules, scenario }, progress)
    }

    /// For how long requests come, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.scenario.duration_us
    }
}

fn only(finding: Diagnostic) -> Diagnostics {
    let mut found = Diagnostics::default();
    found.push(finding);
    found
}

fn upstream(
    snapshot: &Snapshot,
    scenario: &config::Scenario,
    chosen: Chosen<'_>,
) -> Result<(usize, Arc<Upstream>), Diagnostic> {
    let named = scenario.upstream.as_ref();
    let origin =
        named.filter(|_| chosen.upstream.is_none()).map_or(config::Origin::NOWHERE, |name| name.origin);
    let name = chosen.upstream.or(named.map(|name| name.value.as_str()));
    let names = || snapshot.upstreams.iter().map(|upstream| &**upstream.name());
    let list = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = match name {
        Some(name) => snapshot.upstreams.iter().position(|upstream| **upstream.name() == *name),
        None if snapshot.upstreams.len() == 1 => Some(0),
        None => {
            let message = "the document has more than one upstream, or none";
            let mend = format!("choose one with `--upstream NAME` or `upstream: NAME`: {}", list());
            return Err(Diagnostic::error(origin, message).mend(mend));
        }
    };
    match found {
        Some(index) => Ok((index, Arc::clone(&snapshot.upstreams[index]))),
        None => {
            let name = name.unwrap_or_default();
            let mend = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", list()),
            };
            Err(Diagnostic::error(origin, format!("the document has no upstream `{name}`")).mend(mend))
        }
    }
}

/// The route whose settings hold: the one named, or the first that forwards to the upstream.
fn route<'s>(
    snapshot: &'s Snapshot,
    upstream: usize,
    chosen: Chosen<'_>,
) -> Result<Option<&'s Route>, Diagnostic> {
    let forwards = |route: &&Route| match &route.action {
        Action::Forward(Destination::Upstream(index)) => index.upstream as usize == upstream,
        Action::Forward(Destination::Split(shares)) => {
            shares.iter().any(|(_, index)| index.upstream as usize == upstream)
        }
        Action::Redirect { .. } | Action::Respond(_) => false,
    };
    let mut routes = snapshot.routes.iter().filter(forwards);
    let Some(name) = chosen.route else { return Ok(routes.next()) };
    routes.find(|route| route.name == name).map(Some).ok_or_else(|| {
        let of = snapshot.upstreams.get(upstream).map_or("", |upstream| upstream.name());
        let names = snapshot.routes.iter().filter(forwards).map(|route| format!("`{}`", route.name));
        let message = format!("no route `{name}` forwards to `{of}`");
        let mend = format!("these do: {}", names.collect::<Vec<_>>().join(", "));
        Diagnostic::error(config::Origin::NOWHERE, message).mend(mend)
    })
}

fn rules(route: Option<&Route>, keys: &Keys) -> Rules {
    let (takes_turns, balances_by_key) = (keys.turns.is_some(), keys.balance.is_some());
    let Some(settings) = route.map(|route| &route.settings) else {
        return Rules { attempts: 0, takes_turns, balances_by_key, ..Rules::default() };
    };
    let timeouts = settings.timeouts;
    Rules {
        attempts: settings.retry.attempts,
        back_off: settings.retry.back_off,
        retried: settings.rescue.as_ref().map_or_else(Vec::new, |rescue| rescue.retried.statuses.clone()),
        limits: TimeLimits {
            connect_ms: timeouts.connect_ms,
            first_byte_ms: timeouts.first_byte_ms,
            try_ms: timeouts.try_ms,
            total_ms: timeouts.total_ms,
        },
        takes_turns,
        balances_by_key,
    }
}

fn left_out(route: Option<&Route>, keys: &Keys, scenario: &Scenario) -> Vec<String> {
    let mut out = Vec::new();
    let rescue = route.and_then(|route| route.settings.rescue.as_deref());
    if rescue.is_some_and(|rescue| rescue.hold.is_some()) {
        out.push("the route holds requests while there is no endpoint; here they fail".to_owned());
    }
    if rescue.is_some_and(|rescue| rescue.hedge.is_some()) {
        out.push("the route sends a second request beside a slow one; here it does not".to_owned());
    }
    if let Some(fallback) = rescue.and_then(|rescue| rescue.fallback.as_ref()) {
        let to = match fallback.to {
            FallbackTo::Upstream(_) => "another upstream",
            FallbackTo::Respond(_) => "a fixed response",
        };
        out.push(format!("the route falls back to {to}; here such requests fail"));
    }
    if route.is_none() {
        out.push(
            "no route forwards to the upstream; there are no retries, and the usual time limits".to_owned(),
        );
    }
    if keys.balance.is_some()
        && scenario.callers.iter().map(|caller| u64::from(caller.count)).sum::<u64>() == 1
    {
        out.push(
            "the balancer goes by a key, and the scenario has one caller, so one key: give it a `count`"
                .to_owned(),
        );
    }
    out
}
