//! Endpoints that are killed, and come back.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use tollgate_testkit::{Client, Origin, refusing};

use crate::load::Load;
use crate::{get, launch, origin_in_a_process, wait_until};

const THREE: &str = "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\"]\n    \
                     ejection: { base: 100ms, max: 100ms }\nroutes: [{ path: /, to: u }]\n";

#[test]
fn killing_endpoints_under_load_fails_no_request_that_may_be_repeated_and_repeats_no_other() {
    const KILLS: usize = 24;
    const BETWEEN: usize = 250;
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let mut origins: Vec<_> = (0..3).map(|_| origin_in_a_process(&executed)).collect();
    let [a, b, c] = [0, 1, 2].map(|n: usize| origins[n].address());
    let tollgate = launch(THREE, &[("a", &a), ("b", &b), ("c", &c)]);
    let load = Load { clients: 32, post_every: 10, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        let answered = || outcomes.answered.load(Ordering::Relaxed);
        let more = |before: usize| {
            wait_until("requests go on", || {
                outcomes.assert_no_failures();
                answered() >= before + BETWEEN
            });
        };
        for kill in 0..KILLS {
            more(answered());
            origins[kill % 3].kill();
            more(answered());
            origins[kill % 3].restart();
        }
        more(answered());
    });
    outcomes.assert_no_failures();
    let text = std::fs::read_to_string(&executed).unwrap();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for id in text.lines().filter_map(|line| line.strip_prefix("POST ")) {
        *times.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "executed more than once: {twice:?}");
    let answered = outcomes.executed.lock().unwrap();
    assert!(answered.iter().all(|id| times.get(id.as_str()) == Some(&1)), "answered, but not executed");
    assert!(answered.len() >= KILLS, "too few POSTs to mean anything");
    let total = outcomes.answered.load(Ordering::Relaxed);
    assert!(total - answered.len() >= 10_000, "{total} requests");
}
