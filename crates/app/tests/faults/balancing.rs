//! Who gets how much, seen from the origins.

use tollgate_testkit::{Gate, Origin, Tollgate, refusing};

use crate::{get, launch, origin_in_a_process};

/// Sends requests over a few connections; each must be answered.
fn send(tollgate: &Tollgate, count: usize) {
    let mut clients: Vec<_> = (0..4).map(|_| tollgate.connect()).collect();
    for number in 0..count {
        let response = clients[number % 4].request(get("/"));
        assert_eq!(response.status, 200, "{:?}", response.reason());
    }
}

fn counts<const N: usize>(origins: &[Origin; N]) -> [usize; N] {
    std::array::from_fn(|n| origins[n].requests().len())
}

#[test]
fn round_robin_gives_shares_by_weight() {
    let origins: [_; 4] = std::array::from_fn(|_| Origin::saying("hi"));
    let tollgate = launch(
        "workers: 1\nupstreams:\n  u:\n    endpoints:\n      - { address: \"{a}\", weight: 5 }\n      \
         - { address: \"{b}\", weight: 3 }\n      - { address: \"{c}\", weight: 2 }\n      \
         - { address: \"{d}\", weight: 0 }\nroutes: [{ path: /, to: u }]\n",
        &[
            ("a", &origins[0].address()),
            ("b", &origins[1].address()),
            ("c", &origins[2].address()),
            ("d", &origins[3].address()),
        ],
    );
    send(&tollgate, 1000);
    assert_eq!(counts(&origins), [500, 300, 200, 0]);
}

#[test]
fn least_requests_avoids_the_endpoint_that_is_busy() {
    let gate = Gate::new();
    let for_slow = gate.clone();
    let slow = Origin::start(move |connection| {
        while connection.request().is_some() {
            for_slow.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let fast = Origin::saying("hi");
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{slow}\", \"{fast}\"], balance: least_requests } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("slow", &slow.address()), ("fast", &fast.address())],
    );
    // Sooner or later a request is sent to the slow one, and hangs there.
    let mut hanging = Vec::new();
    while slow.requests().is_empty() {
        let mut client = tollgate.connect();
        client.send(get("/"));
        hanging.push(client);
        assert!(hanging.len() < 10_000);
        crate::wait_until("it is somewhere", || {
            slow.requests().len() + fast.requests().len() == hanging.len()
        });
    }
    let mut client = tollgate.connect();
    for _ in 0..500 {
        assert_eq!(client.request(get("/")).text(), "hi");
    }
    assert_eq!(slow.requests().len(), 1);
    gate.open();
    hanging.iter_mut().for_each(|client| assert_eq!(client.response().text(), "hi"));
}

#[test]
fn two_choices_and_random_reach_all_endpoints() {
    for balance in ["two_choices", "random"] {
        let origins: [_; 3] = std::array::from_fn(|_| Origin::saying("hi"));
        let tollgate = launch(
            "upstreams: { u: { endpoints: [\"{a}\", \"{b}\", \"{c}\"], balance: {balance} } }\n\
             routes: [{ path: /, to: u }]\n",
            &[
                ("a", &origins[0].address()),
                ("b", &origins[1].address()),
                ("c", &origins[2].address()),
                ("balance", &balance),
            ],
        );
        send(&tollgate, 1200);
        let counts = counts(&origins);
        // 400 is expected of each; this is more than 15 standard deviations away.
        assert!(counts.iter().all(|count| *count > 150), "{balance}: {counts:?}");
    }
}

#[test]
fn a_split_gives_each_upstream_its_share() {
    let origins: [_; 2] = std::array::from_fn(|_| Origin::saying("hi"));
    let tollgate = launch(
        "upstreams: { blue: [\"{blue}\"], green: [\"{green}\"] }\n\
         routes: [{ path: /, split: { blue: 95, green: 5 } }]\n",
        &[("blue", &origins[0].address()), ("green", &origins[1].address())],
    );
    send(&tollgate, 4000);
    let [blue, green] = counts(&origins);
    assert_eq!(blue + green, 4000);
    // 200 is expected, with a standard deviation of 14.
    assert!((80..=350).contains(&green), "{green} of 4000");
}

#[test]
fn an_endpoint_whose_probes_fail_is_not_picked() {
    let directory = tempfile::tempdir().unwrap();
    let (up, sick) = (
        origin_in_a_process(&directory.path().join("executed")),
        Origin::answering(|request| {
            let status = if request.target() == "/health" { "503 Unavailable" } else { "200 OK" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        }),
    );
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{up}\", \"{sick}\"]\n    \
         health: { path: \"/health\", every: 50ms, fall: 1 }\nroutes: [{ path: /, to: u }]\n",
        &[("up", &up.address()), ("sick", &sick.address())],
    );
    tollgate.stderr_line(&format!("endpoint {} of u: usable -> down", sick.address()));
    send(&tollgate, 200);
    assert!(sick.requests().iter().all(|request| request.target() == "/health"));
}

/// A program whose only endpoint fails its probes.
fn all_down(threshold: &str, origin: &Origin) -> Tollgate {
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{origin}\"]\n    panic_threshold: {threshold}\n    \
         health: { path: \"/health\", every: 50ms, fall: 1 }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address()), ("threshold", &threshold)],
    );
    tollgate.stderr_line("usable -> down");
    tollgate
}

fn sick() -> Origin {
    Origin::answering(|request| {
        let status = if request.target() == "/health" { "500 Sick" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
}

#[test]
fn when_all_are_down_they_are_all_used_after_all() {
    let origin = sick();
    let tollgate = all_down("10%", &origin);
    assert_eq!(tollgate.request(get("/")).status, 200);
}

#[test]
fn when_all_are_down_and_panic_is_off_the_answer_is_no_endpoint() {
    let origin = sick();
    let tollgate = all_down("0%", &origin);
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("no_endpoint")));
}

#[test]
fn an_endpoint_that_refuses_is_ejected_and_costs_no_more_attempts() {
    let origin = Origin::saying("hi");
    let (dead, _port) = refusing();
    let tollgate = launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{dead}\", \"{origin}\"] } }\nroutes: [{ path: /, to: u }]\n",
        &[("dead", &dead), ("origin", &origin.address())],
    );
    send(&tollgate, 200);
    tollgate.stderr_line(&format!(
        "endpoint {dead} of u: usable -> ejected: consecutive_5xx: 5 failures in a row"
    ));
    assert_eq!(tollgate.metric("tollgate_upstream_connects_failed_total{upstream=\"u\"}"), 5.0);
}
