//! Upstreams that are spared for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_testkit::{Origin, PATIENCE, Tollgate};

use super::{cause, refused, started, status};
use crate::get;
use crate::verbs::{json_of, verb};

/// An origin that closes connections instead of answering until it is well.
fn ailing() -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let told = well.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            if !told.load(Ordering::SeqCst) {
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (origin, well)
}

fn spared(open_for: &str, route: &str, origin: &Origin) -> Tollgate {
    started(
        2,
        "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none, circuit_breaker: { min_requests: 3, {open_for} } } }\n\
         routes: [{ path: /, to: u, retry: none{route} }]\n",
        &[("origin", &origin.address()), ("open_for", &open_for), ("route", &route)],
    )
}

fn state(state: &str) -> String {
    format!("tollgate_upstream_circuit{{upstream=\"u\",state=\"{state}\"}}")
}

#[test]
fn failures_open_it_and_all_ways_tell_of_it() {
    let (origin, _well) = ailing();
    let tollgate = spared("open_for: 40s, error_rate: 60%", "", &origin);
    for _ in 0..3 {
        assert_eq!(tollgate.request(get("/")).reason().as_deref(), Some("upstream_closed"));
    }
    let response = tollgate.request(get("/"));
    assert!((35..=40).contains(&refused(&response, "circuit_open")), "{response:?}");
    assert_eq!(origin.requests().len(), 3);
    assert_eq!(tollgate.metric(&state("open")), 1.0);
    assert_eq!(tollgate.metric("tollgate_upstream_circuit_refused_total{upstream=\"u\"}"), 1.0);

    let why = cause(&tollgate, &response);
    assert!(
        why.contains(": u.") && why.contains("circuit_breaker.error_rate of the upstream u is 60%"),
        "{why}"
    );
    let line = tollgate.stderr_line("circuit of u: closed -> open: ");
    assert!(line.contains("of the last 3 exchanges 3 failed"), "{line}");
    let events = verb(&tollgate, &["events", "--upstream", "u"]).stdout;
    assert!(events.contains("u circuit: closed -> open: "), "{events}");
    let event = json_of(&verb(&tollgate, &["events", "--json"]));
    assert_eq!((&event["cause"], &event["endpoint"]), (&"tripped".into(), &serde_json::Value::Null));
    let told = status(&tollgate);
    assert_eq!(
        (&told["circuit"]["state"], &told["circuit"]["refused"]),
        (&"open".into(), &1.into()),
        "{told:#}"
    );
    let text = verb(&tollgate, &["status"]).stdout;
    assert!(text.contains("u is spared: its circuit is open for another "), "{text}");
}

#[test]
fn a_trial_that_goes_well_closes_it_and_one_that_fails_does_not() {
    let (origin, well) = ailing();
    let tollgate = spared("open_for: 50ms, max_open_for: 100ms, trials: 1", "", &origin);
    let ask = || tollgate.request(get("/")).reason();
    let began = std::time::Instant::now();
    while !tollgate.stderr().contains("circuit of u: half_open -> open: a trial failed") {
        ask();
        assert!(began.elapsed() < PATIENCE, "{}", tollgate.stderr());
    }
    well.store(true, Ordering::SeqCst);
    while tollgate.request(get("/")).status != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", tollgate.stderr());
    }
    tollgate.stderr_line("circuit of u: half_open -> closed: 1 trials went well");
    tollgate.await_metric(&state("closed"), 1.0);
    let mut client = tollgate.connect();
    assert!((0..20).all(|_| client.request(get("/")).status == 200));
}

#[test]
fn in_shadow_it_is_only_told() {
    let (origin, _well) = ailing();
    let tollgate = spared("open_for: 40s, shadow: true", "", &origin);
    for _ in 0..6 {
        assert_eq!(tollgate.request(get("/")).reason().as_deref(), Some("upstream_closed"));
    }
    tollgate.stderr_line("circuit of u (in shadow): closed -> open");
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn what_it_refuses_goes_to_the_fallback() {
    let ((origin, _well), spare) = (ailing(), Origin::saying("spare"));
    let tollgate = started(
        1,
        "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none, circuit_breaker: { min_requests: 3 } }, spare: [\"{spare}\"] }\n\
         routes: [{ path: /, to: u, retry: none, fallback: { to: spare, after: unavailable } }]\n",
        &[("origin", &origin.address()), ("spare", &spare.address())],
    );
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    (0..3).for_each(|_| assert_eq!(tollgate.request(post).status, 502));
    let response = tollgate.request(post);
    assert_eq!((response.status, response.text().as_str()), (200, "spare"));
    let id = response.get("x-request-id").unwrap().to_owned();
    let told = verb(&tollgate, &["why", &id]).stdout;
    assert!(told.contains("the upstream spare stands in (circuit_open)"), "{told}");
    assert_eq!((origin.requests().len(), spare.requests().len()), (3, 1));
}
