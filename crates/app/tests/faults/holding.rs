//! Routes that hold requests: all endpoints of an upstream are away at once, and come back.

use crate::load::Load;
use crate::{launch, origin_in_a_process, wait_until};

#[test]
fn while_all_endpoints_are_away_requests_are_held_and_none_is_lost() {
    const CLIENTS: usize = 32;
    let directory = tempfile::tempdir().unwrap();
    // Without ejection all can be picked and refuse; with it, and without panic, none can be picked.
    for more in ["ejection: none", "ejection: { base: 200ms, max: 200ms }, panic_threshold: 0%"] {
        let executed = directory.path().join(if more.len() > 20 { "ejecting" } else { "picking" });
        let mut origins: Vec<_> = (0..2).map(|_| origin_in_a_process(&executed)).collect();
        let [a, b] = [0, 1].map(|n: usize| origins[n].address());
        let tollgate = launch(
            "workers: 2\nupstreams: { u: { endpoints: [\"{a}\", \"{b}\"], {more} } }\n\
             routes: [{ path: /, to: u, hold: 5m, timeouts: { total: 10m } }]\n",
            &[("a", &a), ("b", &b), ("more", &more)],
        );
        let load = Load { clients: CLIENTS, post_every: 10, size: |number| number * 97 % 4_000 };
        let outcomes = load.run(tollgate.address(), |outcomes| {
            for _ in 0..5 {
                outcomes.wait_for_more(200);
                origins.iter_mut().for_each(|origin| origin.kill());
                wait_until("all are held", || {
                    tollgate.metric("tollgate_upstream_held{upstream=\"u\"}") == CLIENTS as f64
                });
                origins.iter_mut().for_each(|origin| origin.restart());
            }
            outcomes.wait_for_more(200);
        });
        outcomes.assert_no_failures();
        let text = std::fs::read_to_string(&executed).unwrap();
        let posts: Vec<_> = text.lines().filter(|line| line.starts_with("POST ")).collect();
        let once: std::collections::HashSet<_> = posts.iter().collect();
        assert_eq!(once.len(), posts.len(), "executed more than once");
        wait_until("nobody is held", || tollgate.metric("tollgate_upstream_held{upstream=\"u\"}") == 0.0);
    }
}
