//! Services that are restarted as a whole, under load: what may be repeated is held until they are back.

use tollgate_testkit::OriginProcess;

use crate::load::{Load, Version};
use crate::{launch, origin_in_a_process, wait_until};

const ROUNDS: usize = 6;
const CLIENTS: usize = 16;
const BETWEEN: usize = 200;

/// Kills all endpoints at once under load, and starts them again once all clients wait for them, again and again.
/// Returns how many POSTs were answered.
fn kill_all(version: Version, settings: &str) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let mut origins: Vec<_> = (0..3).map(|_| origin_in_a_process(&executed)).collect();
    let [a, b, c] = [0, 1, 2].map(|n: usize| origins[n].address());
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\"]\n    hold: 15s\n    {settings}\n\
         routes: [{ path: /, to: u }]\n",
        &[("a", &a), ("b", &b), ("c", &c), ("settings", &settings)],
    );
    let held = || tollgate.metric("tollgate_upstream_held{upstream=\"u\"}") as usize;
    let load = Load { clients: CLIENTS, post_every: 5, size: |number| number * 97 % 12_000 };
    let outcomes = load.run_over(version, tollgate.address(), |outcomes| {
        for round in 0..ROUNDS {
            outcomes.wait_for_more(BETWEEN);
            origins.iter_mut().for_each(OriginProcess::kill);
            // All of them, since POSTs whose fate nobody knows are told so, and their clients send another request.
            wait_until("all clients wait", || {
                outcomes.assert_no_failures();
                held() == CLIENTS
            });
            // Whichever comes first, and be it the only one for a while.
            for next in 0..3 {
                origins[(round + next) % 3].restart();
            }
        }
        outcomes.wait_for_more(BETWEEN);
    });
    outcomes.assert_no_failures();
    wait_until("nobody is held", || held() == 0);
    assert!(outcomes.answered() >= ROUNDS * BETWEEN);
    outcomes.assert_posts_executed_once(&executed)
}

/// Nothing is known of the endpoints but that nobody can connect to them.
const FOUND_OUT: &str = "";
/// Probes know of all endpoints that they are down.
const PROBED: &str =
    "health: { path: /health, every: 20ms, rise: 1, fall: 1 }\n    panic_threshold: 0%\n    ejection: none";

#[test]
fn all_endpoints_restarted_under_load_over_http1_lose_nothing() {
    assert!(kill_all(Version::One, FOUND_OUT) > ROUNDS * BETWEEN / 10);
}

#[test]
fn all_endpoints_restarted_under_load_over_http2_lose_nothing() {
    assert!(kill_all(Version::Two, FOUND_OUT) > ROUNDS * BETWEEN / 10);
}

#[test]
fn all_endpoints_that_probes_find_down_under_load_lose_nothing() {
    for version in [Version::One, Version::Two] {
        assert!(kill_all(version, PROBED) > ROUNDS * BETWEEN / 10);
    }
}
