//! The scenarios in `examples/simulation` run, and tell what they are there to tell.

use std::path::{Path, PathBuf};

use tollgate_config::{DiskFiles, load_scenario};
use tollgate_control::compile::Predecessor;
use tollgate_control::prepare::{Text, prepare};
use tollgate_control::resolve::NoResolver;
use tollgate_control::simulate::{self, Chosen};
use tollgate_simulation::Report;
use tollgate_upstream::HealthEvents;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulation")
}

/// Simulates with `orders.yaml`, some of its text replaced.
fn simulate_with(scenario: &str, replaced: &[(&str, &str)], chosen: Chosen<'_>) -> Result<Report, String> {
    let mut document = std::fs::read_to_string(folder().join("orders.yaml")).unwrap();
    for (from, to) in replaced {
        assert!(document.contains(from), "{from}");
        document = document.replace(from, to);
    }
    let (health, _) = HealthEvents::bounded(1);
    let text = Text::Inline("orders.yaml".into(), document);
    let prepared = prepare(&text, &Predecessor::default(), &NoResolver, &health);
    let ready = prepared.ready.as_ref().unwrap_or_else(|| panic!("{}", prepared.report(false)));
    let loaded = load_scenario(&folder().join(scenario), &DiskFiles, &|_| None);
    let render = |found: &_| tollgate_config::render(found, &loaded.sources, false);
    assert!(loaded.diagnostics.iter().next().is_none(), "{}", render(&loaded.diagnostics));
    let simulation =
        simulate::prepare(ready, loaded.scenario.as_ref().unwrap(), chosen).map_err(|e| render(&e))?;
    assert!(simulation.left_out.is_empty(), "{:?}", simulation.left_out);
    Ok(simulation.run(&health, &mut |_| {}))
}

fn simulated(scenario: &str, replaced: &[(&str, &str)]) -> Report {
    simulate_with(scenario, replaced, Chosen { seed: 1, ..Chosen::default() }).unwrap()
}

fn tells(report: &Report, words: &str) -> bool {
    report.happened.iter().any(|(_, told)| told.contains(words))
}

#[test]
fn a_slow_endpoint_gets_less_and_is_hardly_felt() {
    let report = simulated("slow-endpoint.yaml", &[]);
    assert_eq!(report.whole.failures(), 0, "{}", report.to_table());
    let [before, slow, _] = &report.phases[..] else { panic!("{}", report.to_table()) };
    let share = |attempts: &[u64]| attempts[1] as f64 / attempts.iter().sum::<u64>() as f64;
    assert!(share(&slow.attempts) < share(&before.attempts) / 2.0, "{}", report.to_table());
    let turns = simulated("slow-endpoint.yaml", &[("peak_ewma", "round_robin")]);
    let p99 = |report: &Report| report.phases[1].latency_us[2].unwrap();
    assert!(p99(&report) * 3 < p99(&turns) * 2, "{}\n{}", report.to_table(), turns.to_table());
}

#[test]
fn a_noisy_caller_waits_behind_itself() {
    let quiet = |report: &Report| {
        let (arrived, answered) = report.phases[1].callers[0];
        answered as f64 / arrived as f64
    };
    let (turns, line) = (
        simulated("noisy-caller.yaml", &[]),
        simulated("noisy-caller.yaml", &[("by: consumer", "by: route")]),
    );
    assert!(quiet(&turns) > 0.95, "{}", turns.to_table());
    assert!(quiet(&line) < 0.9, "{}", line.to_table());
}

#[test]
fn outages_are_met_by_probes_ejection_retries_and_the_circuit() {
    let report = simulated("outage.yaml", &[]);
    for words in [
        "usable -> ejected",
        "usable -> down",
        "down -> usable",
        "circuit of orders: open",
        "trials went well",
    ] {
        assert!(tells(&report, words), "{words}:\n{}", report.to_table());
    }
    let died = &report.phases[1];
    assert!(died.failures() * 1000 < died.arrived, "{}", report.to_table());
    let last = report.intervals.last().unwrap();
    assert_eq!(last.answered, last.arrived, "{}", report.to_table());
}

#[test]
fn in_a_spike_low_ones_are_refused_first() {
    let report = simulated("spike.yaml", &[]);
    let spike = report.phases.iter().find(|phase| phase.from_us == 35_000_000).unwrap();
    let share = |at: usize| spike.callers[at].1 as f64 / spike.callers[at].0 as f64;
    assert!(share(0) > share(1), "{}", report.to_table());
    assert!(spike.failed.iter().all(|(word, _)| word.starts_with("queue_")), "{}", report.to_table());
}

#[test]
fn each_scenario_begins_by_saying_what_it_is_for() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.collect::<Vec<_>>() {
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# "), "{}", path.display());
    }
}

#[test]
fn names_that_are_not_there_are_told_with_those_that_are() {
    let chosen = |upstream, route| simulate_with("spike.yaml", &[], Chosen { upstream, route, seed: 1 });
    assert!(chosen(Some("order"), None).unwrap_err().contains("did you mean `orders`?"));
    assert!(chosen(None, Some("x")).unwrap_err().contains("no route `x` forwards to `orders`"));
    let moved = simulate_with("slow-endpoint.yaml", &[("9002", "9009")], Chosen::default()).unwrap_err();
    assert!(
        moved.contains("`orders` has no endpoint `127.0.0.1:9002`")
            && moved.contains("slow-endpoint.yaml:7:"),
        "{moved}"
    );
}
