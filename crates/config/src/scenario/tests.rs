use std::path::Path;

use super::{LoadedScenario, load_scenario};
use crate::source::MemoryFiles;

fn load(text: &str) -> LoadedScenario {
    let mut files = MemoryFiles::default();
    files.insert("s.yaml", text);
    load_scenario(Path::new("s.yaml"), &files, &|_| None)
}

fn findings(text: &str) -> Vec<String> {
    load(text).diagnostics.iter().map(|finding| finding.message.clone()).collect()
}

#[test]
fn short_and_long_forms_are_read() {
    let loaded = load(
        "duration: 10s\nrate: [100/s, { at: 5s, rate: 300/s, over: 2s }]\nendpoints:\n  default: { latency: 5ms }\n  \"127.0.0.1:9002\": { latency: { p50: 5ms, p99: 40ms } }\nevents:\n  - { at: 3s, endpoint: \"127.0.0.1:9002\", slow: 5 }\ncallers: { noisy: { rate: 50/s }, quiet: { count: 50 } }\n",
    );
    assert!(loaded.diagnostics.iter().next().is_none(), "{:?}", loaded.diagnostics);
    let scenario = loaded.scenario.unwrap();
    assert_eq!(scenario.rate.as_ref().map(|rate| rate.len()), Some(2));
    assert_eq!(scenario.callers.get("quiet").unwrap().count.get(), 50);
    assert_eq!(scenario.endpoints.len(), 2);
}

#[test]
fn what_is_wrong_is_told_all_at_once_and_with_its_place() {
    let text = "rates: 5/s\nduration: 10s\nrate: [100/s, { at: 0s, rate: 1/s }]\nendpoints: { default: { latency: { p50: 5ms } }, b: { latency: { constant: 1ms, mean: 2ms } } }\nevents: [{ at: 3s }, { at: 4s, up: false }, { at: 5s, slow: 0 }, { at: 30s, down: silent }]\n";
    let loaded = load(text);
    assert!(loaded.scenario.is_none());
    let all: String = crate::render(&loaded.diagnostics, &loaded.sources, false);
    for words in [
        "unknown key `rates`",
        "does not come after the one before",
        "`p50` needs a `p99`",
        "more than one form",
        "nothing happens then",
        "`up` can only be `true`",
        "`slow` must be more than 0",
        "by then the scenario is over",
        "s.yaml:5:",
    ] {
        assert!(all.contains(words), "{words}:\n{all}");
    }
}

#[test]
fn somebody_must_send_something() {
    assert_eq!(findings("duration: 10s\n"), ["nobody sends anything"]);
    assert_eq!(findings("callers: { a: {} }\n"), ["`a` has no `rate`, and the scenario has none to share"]);
    assert_eq!(findings("- 1\n"), ["a scenario is a mapping, but this is a list"]);
    assert!(findings("callers: { a: { rate: 1/s } }\n").is_empty());
    let missing = load_scenario(Path::new("s.yaml"), &MemoryFiles::default(), &|_| None);
    assert!(missing.diagnostics.has_errors());
}
