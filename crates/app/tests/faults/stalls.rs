//! Endpoints that stand still: the kernel takes connections and bytes for them, and nothing comes back.

use std::net::SocketAddr;

use tollgate_testkit::Tollgate;

use crate::load::Load;
use crate::{get, launch, origin_in_a_process, wait_until};

#[test]
fn a_stalled_endpoint_is_ejected_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let (stalled, other) = (origin_in_a_process(&executed), origin_in_a_process(&executed));
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{stalled}\", \"{other}\"]\n    timeouts: { first_byte: 200ms }\n    \
         ejection: { base: 1s, max: 1s }\n    retry: { attempts: 3, budget: 100% }\nroutes: [{ path: /, to: u }]\n",
        &[("stalled", &stalled.address()), ("other", &other.address())],
    );
    let healthy = format!("tollgate_endpoint_healthy{{upstream=\"u\",endpoint=\"{}\"}}", stalled.address());
    let load = Load { clients: 8, post_every: 0, size: |_| 100 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        outcomes.wait_for_more(100);
        stalled.stop();
        tollgate.stderr_line(&format!("endpoint {} of u: usable -> ejected", stalled.address()));
        assert_eq!(tollgate.metric(&healthy), 0.0);
        outcomes.wait_for_more(200);
        stalled.resume();
        tollgate.stderr_line(&format!("endpoint {} of u: ejected -> usable", stalled.address()));
        wait_until("it is healthy", || tollgate.metric(&healthy) == 1.0);
        outcomes.wait_for_more(100);
    });
    outcomes.assert_no_failures();
    assert!(tollgate.stderr().contains("the last one did not begin its answer in time"));
}

#[test]
fn a_post_to_a_stalled_endpoint_is_a_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let (stalled, other) = (origin_in_a_process(&executed), origin_in_a_process(&executed));
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{stalled}\", \"{other}\"]\n    timeouts: { first_byte: 100ms }\n    \
         ejection: none\nroutes: [{ path: /, to: u }]\n",
        &[("stalled", &stalled.address()), ("other", &other.address())],
    );
    stalled.stop();
    let mut statuses = Vec::new();
    for number in 0..8 {
        let post = format!("POST /?id={number}; HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        let response = tollgate.request(post);
        if response.status != 200 {
            assert_eq!(response.reason().as_deref(), Some("first_byte_timeout"));
        }
        statuses.push(response.status);
    }
    statuses.sort_unstable();
    assert!(statuses.ends_with(&[504, 504]) && statuses.starts_with(&[200, 200]), "{statuses:?}");
    // What the kernel had taken for the stalled one is executed late, but nothing twice.
    stalled.resume();
    let lines = || std::fs::read_to_string(&executed).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until("all is executed", || lines().len() >= 8);
    let mut executed = lines();
    executed.sort_unstable();
    executed.dedup();
    assert_eq!(executed.len(), 8);
}

#[test]
fn probes_take_a_stopped_endpoint_out_and_bring_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let (stopped, other) = (origin_in_a_process(&executed), origin_in_a_process(&executed));
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{stopped}\", \"{other}\"]\n    ejection: none\n    \
         health: { path: \"/health\", every: 50ms, timeout: 1s, rise: 2, fall: 2 }\n\
         routes: [{ path: /, to: u, timeouts: { first_byte: 5s } }]\n",
        &[("stopped", &stopped.address()), ("other", &other.address())],
    );
    assert_eq!(tollgate.request(get("/?id=1;&size=2")).text(), "1;");
    stopped.stop();
    tollgate.stderr_line(&format!("endpoint {} of u: usable -> down: its probe failed", stopped.address()));
    let retries = || tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}");
    let before = retries();
    let mut client = tollgate.connect();
    for _ in 0..100 {
        assert_eq!(client.request(get("/?id=2;&size=2")).text(), "2;");
    }
    assert_eq!(retries(), before, "a request went to the stopped endpoint");
    stopped.resume();
    tollgate.stderr_line(&format!("endpoint {} of u: down -> usable: its probe passed", stopped.address()));
    for _ in 0..100 {
        assert_eq!(client.request(get("/?id=3;&size=2")).text(), "3;");
    }
}

/// Stops one of three endpoints under load, and lets it go on once `much` was answered meanwhile.
fn stop_one_of_three(
    settings: &str,
    route: &str,
    much: usize,
    meanwhile: impl FnOnce(&Tollgate, SocketAddr),
) -> Tollgate {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let origins: [_; 3] = std::array::from_fn(|_| origin_in_a_process(&executed));
    let [a, b, c] = [0, 1, 2].map(|n: usize| origins[n].address());
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\"]\n    {settings}\nroutes:\n  \
         - { path: /, to: u{route} }\n",
        &[("a", &a), ("b", &b), ("c", &c), ("settings", &settings), ("route", &route)],
    );
    let load = Load { clients: 12, post_every: 0, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        outcomes.wait_for_more(200);
        origins[1].stop();
        outcomes.wait_for_more(much);
        meanwhile(&tollgate, b);
        outcomes.wait_for_more(much);
        origins[1].resume();
        outcomes.wait_for_more(200);
    });
    outcomes.assert_no_failures();
    tollgate
}

#[test]
fn one_of_three_that_is_stopped_costs_no_get_with_a_time_for_each_attempt() {
    let settings = "timeouts: { try: 400ms }\n    ejection: { base: 1s, max: 1s }";
    let tollgate = stop_one_of_three(settings, "", 600, |tollgate, stopped| {
        tollgate.stderr_line(&format!("endpoint {stopped} of u: usable -> ejected"));
    });
    // Ejected, it costs nobody more than the attempts that found it out, each time.
    let ejections = tollgate.stderr().matches("usable -> ejected").count();
    let retries = tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}") as usize;
    assert!(
        retries >= 5 && retries <= (5 + 12) * (ejections + 1),
        "{retries} retries, {ejections} ejections"
    );
}

#[test]
fn one_of_three_that_is_stopped_costs_no_get_with_second_attempts() {
    // Without any time-out that could end an attempt before a client has lost its patience.
    let settings = "ejection: none\n    retry: { attempts: 1, budget: 100% }";
    let tollgate = stop_one_of_three(settings, ", hedge: 50ms", 300, |_, _| {});
    let won = tollgate.metric("tollgate_upstream_hedges_won_total{upstream=\"u\"}");
    // A third of the requests that were sent meanwhile went to the one that stood still first.
    assert!(won >= 600.0 / 3.0 / 2.0, "{won} second attempts answered first");
    let refused = tollgate.metric("tollgate_upstream_retries_refused_total{upstream=\"u\"}");
    assert_eq!(refused, 0.0);
}
