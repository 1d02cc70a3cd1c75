//! Reading a scenario of a simulation.

use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{LatencyModel, RateStep, Scenario, ScenarioEvent};
use crate::setting::{Decoder, Setting};
use crate::source::{Files, Located, Origin, Sources};
use crate::tree::{Value, parse};

/// Bytes that a scenario may have.
const MAX_SCENARIO: u64 = 4 << 20;

/// What became of a scenario.
#[derive(Debug)]
pub struct LoadedScenario {
    /// The scenario, if nothing in it is wrong.
    pub scenario: Option<Scenario>,
    /// What was found, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The text that the findings point into.
    pub sources: Sources,
}

/// Reads, decodes and checks the scenario at a path; `files` and `environment` as for documents.
pub fn load_scenario(
    path: &Path,
    files: &dyn Files,
    environment: &dyn Fn(&str) -> Option<String>,
) -> LoadedScenario {
    let (mut diagnostics, mut sources) = (Diagnostics::default(), Sources::default());
    let read = files.read_part(path, MAX_SCENARIO).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    let scenario = match text {
        Ok(text) => {
            let file = sources.add(path.display().to_string(), text.clone());
            parse(file, &text, environment, &mut diagnostics).and_then(|node| {
                if !matches!(node.value, Value::Mapping(_)) {
                    let message = format!("a scenario is a mapping, but this is {}", node.kind());
                    diagnostics
                        .push(Diagnostic::error(node.origin, message).mend("begin with `rate: 1000/s`"));
                    return None;
                }
                let mut decoder = Decoder { diagnostics: &mut diagnostics, sources: &mut sources, files };
                Scenario::decode(&node, &mut decoder)
            })
        }
        Err(problem) => {
            let message = format!("cannot read `{}`: {problem}", path.display());
            diagnostics.push(Diagnostic::error(Origin::NOWHERE, message));
            None
        }
    };
    if let Some(scenario) = &scenario {
        check(scenario, &mut diagnostics);
    }
    diagnostics.sort();
    LoadedScenario { scenario: scenario.filter(|_| !diagnostics.has_errors()), diagnostics, sources }
}

fn check(scenario: &Scenario, found: &mut Diagnostics) {
    if let Some(rate) = &scenario.rate {
        steps(rate, scenario, found);
    }
    for (name, caller) in scenario.callers.iter() {
        match &caller.rate {
            Some(rate) => steps(&rate.value, scenario, found),
            None if scenario.rate.is_none() => {
                let message = format!("`{}` has no `rate`, and the scenario has none to share", name.value);
                found.push(
                    Diagnostic::error(name.origin, message).mend("write `rate: 100/s` here or at the top"),
                );
            }
            None => {}
        }
    }
    if scenario.rate.is_none() && scenario.callers.is_empty() {
        let message = "nobody sends anything";
        found.push(Diagnostic::error(Origin::NOWHERE, message).mend("add `rate: 1000/s`"));
    }
    for (_, model) in scenario.endpoints.iter() {
        model.latency.iter().chain(&model.failure_latency).for_each(|latency| distribution(latency, found));
    }
    scenario.events.iter().for_each(|event| event_of(event, scenario, found));
}

fn steps(steps: &[RateStep], scenario: &Scenario, found: &mut Diagnostics) {
    for pair in steps.windows(2) {
        if pair[1].at.value <= pair[0].at.value {
            let message = format!("this step does not come after the one before, at {}", pair[0].at.value);
            found
                .push(Diagnostic::error(pair[1].at.origin, message).mend("write steps in the order of time"));
        }
    }
    for step in steps.iter().filter(|step| step.at.value.get() >= scenario.duration.get()) {
        let message = format!("by then the scenario is over, after {}", scenario.duration);
        found.push(Diagnostic::warning(step.at.origin, message).mend("make `duration` longer"));
    }
}

fn distribution(latency: &Located<LatencyModel>, found: &mut Diagnostics) {
    let LatencyModel { constant, mean, p50, p99 } = &latency.value;
    let forms = [constant.is_some(), mean.is_some(), p50.is_some() || p99.is_some()];
    let mend = "write a time, `{ mean: 5ms }`, or `{ p50: 5ms, p99: 40ms }`";
    let mut refuse = |message: &str| found.push(Diagnostic::error(latency.origin, message).mend(mend));
    match forms.iter().filter(|form| **form).count() {
        0 => refuse("this latency has no time"),
        1 => match (p50, p99) {
            (Some(p50), Some(p99)) if p99 < p50 => refuse("`p99` is shorter than `p50`"),
            (Some(_), None) => refuse("`p50` needs a `p99` beside it"),
            (None, Some(_)) => refuse("`p99` needs a `p50` beside it"),
            _ => {}
        },
        _ => refuse("this latency has more than one form"),
    }
}

fn event_of(event: &ScenarioEvent, scenario: &Scenario, found: &mut Diagnostics) {
    let at = &event.at;
    let changes = event.slow.is_some()
        || event.capacity.is_some()
        || event.failures.is_some()
        || event.connect_failures.is_some()
        || event.down.is_some()
        || event.up.is_some();
    if !changes {
        let mend = "add `slow: 5`, `capacity: 10`, `failures: 20%`, `connect_failures: 20%`, `down: refusing` or `up: true`";
        found.push(Diagnostic::error(at.origin, "nothing happens then").mend(mend));
    }
    if let Some(up) = &event.up {
        if event.down.is_some() {
            found.push(
                Diagnostic::error(up.origin, "`up` cannot stand beside `down`").mend("make them two events"),
            );
        } else if !up.value {
            let mend = "write `down: refusing` or `down: silent`";
            found.push(Diagnostic::error(up.origin, "`up` can only be `true`").mend(mend));
        }
    }
    if let Some(slow) = event.slow.as_ref().filter(|slow| slow.value.as_thousandths() == 0) {
        found.push(
            Diagnostic::error(slow.origin, "`slow` must be more than 0")
                .mend("write `slow: 1` for as at the beginning"),
        );
    }
    if at.value.get() >= scenario.duration.get() {
        let message = format!("by then the scenario is over, after {}", scenario.duration);
        found.push(Diagnostic::warning(at.origin, message).mend("make `duration` longer"));
    }
}

#[cfg(test)]
#[path = "scenario/tests.rs"]
mod tests;
