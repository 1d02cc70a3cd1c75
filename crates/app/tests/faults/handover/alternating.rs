//! Hand-overs and reloads in turn under load, with everything switched on that keeps requests longer than they need:
//! holding, queues, mirrors.

use std::net::SocketAddr;

use tollgate_testkit::{Launch, OriginProcess};

use super::hand_over;
use crate::load::Load;
use crate::{PRELUDE, PROGRAM, origin_in_a_process, wait_until};

/// How many of each.
const TIMES: usize = 10;
const CLIENTS: usize = 12;
/// Each so many times all endpoints are dead while it happens.
const DEAD_EVERY: usize = 4;

/// The document of a step. The clients are more than the places, so that there is always somebody in the queue.
fn document(step: usize, endpoints: [SocketAddr; 2], mirror: SocketAddr) -> String {
    let [a, b] = endpoints;
    let (places, length) = (6 + step % 3, 100 + step);
    format!(
        "{PRELUDE}workers: 2\nshutdown: {{ grace: 20s }}\nupstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\"]\n    hold: 15s\n    \
         concurrency: {{ upstream: {places} }}\n    queue: {{ length: {length}, timeout: 18s, by: address }}\n    \
         ejection: {{ base: 200ms, max: 200ms }}\n  next: [\"{mirror}\"]\n\
         routes: [{{ name: all, path: /, to: u, mirror: {{ to: next, share: 50% }} }}]\n"
    )
}

#[test]
fn hand_overs_and_reloads_in_turn_lose_nothing_that_is_held_queued_or_mirrored() {
    let directory = tempfile::tempdir().unwrap();
    let (executed, mirrored) = (directory.path().join("executed"), directory.path().join("mirrored"));
    let mut origins: [_; 2] = std::array::from_fn(|_| origin_in_a_process(&executed));
    let mirror = origin_in_a_process(&mirrored);
    let addresses = [origins[0].address(), origins[1].address()];
    let of_step = |step| document(step, addresses, mirror.address());
    let mut tollgate = Launch::new(PROGRAM, &of_step(0)).start();
    let address = tollgate.address();
    let load = Load { clients: CLIENTS, post_every: 5, size: |number| number * 37 % 3000 };
    let outcomes = load.run(address, |outcomes| {
        for step in 1..=2 * TIMES {
            outcomes.wait_for_more(100);
            let dead = step % DEAD_EVERY < 2;
            if dead {
                origins.iter_mut().for_each(OriginProcess::kill);
                let held = || tollgate.metric("tollgate_upstream_held{upstream=\"u\"}");
                wait_until("requests are held", || held() > 0.0);
            }
            if step % 2 == 1 {
                let told = tollgate.reload(&of_step(step));
                assert!(told.contains(" reload: "), "{told}");
            } else {
                hand_over(&mut tollgate);
            }
            if dead {
                origins.iter_mut().for_each(OriginProcess::restart);
            }
        }
        outcomes.wait_for_more(200);
    });
    outcomes.assert_no_failures();
    assert!(outcomes.assert_posts_executed_once(&executed) >= 2 * TIMES * 100 / 5 / 2);
    let copies = std::fs::read_to_string(&mirrored).unwrap().lines().count();
    assert!(copies > 0, "nothing was mirrored");
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
}
