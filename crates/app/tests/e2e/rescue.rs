//! Requests that are held, sent elsewhere, or tried again for what the response says.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Origin, refusing};

use crate::verbs::verb;
use crate::{get, launch};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

fn status(code: u16, fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 {code} Said\r\nContent-Length: 3\r\n{fields}\r\nno\n").into_bytes()
}

/// Says this status to so many requests, and then that all is well.
fn recovering(code: u16, fields: &'static str, failures: usize) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) < failures {
        true => status(code, fields),
        false => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
    })
}

#[test]
fn chosen_statuses_are_tried_again() {
    let origin = recovering(503, "", 2);
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 3, on: 502-504 } }]\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(origin.requests().len(), 3);
    let id = response.get("x-request-id").unwrap().to_owned();
    let told = verb(&tollgate, &["why", &id]).stdout;
    for part in ["unwanted_status", "answered 503"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_last_attempt_s_response_is_passed_on_whatever_it_is() {
    let origin = Origin::answering(|_| status(503, "X-Says: sorry\r\n"));
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 3, on: 5xx } }]\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.get("x-says")), (503, Some("sorry")));
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_post_is_tried_again_for_its_status_only_where_the_route_says_so() {
    for (methods, expected, requests) in [("", 503, 1), (", methods: POST", 200, 2)] {
        let origin = recovering(503, "", 1);
        let tollgate = launch(
            "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
             routes: [{ path: /, to: u, retry: { on: 503{methods} } }]\n",
            &[("origin", &origin.address()), ("methods", &methods)],
        );
        assert_eq!(tollgate.request(POST).status, expected, "{methods}");
        assert_eq!(origin.requests().len(), requests, "{methods}");
        assert!(origin.requests().iter().all(|request| request.body == b"hello"));
    }
}

#[test]
fn retry_after_is_waited_for_up_to_what_the_route_allows() {
    let soon = recovering(503, "Retry-After: 1\r\n", 1);
    let late = recovering(503, "Retry-After: 120\r\n", 1);
    let unread = recovering(503, "Retry-After: Sun, 06 Nov 2033 08:49:37 GMT\r\n", 1);
    for (origin, expected, least_ms) in [(&soon, 200, 1000), (&late, 503, 0), (&unread, 503, 0)] {
        let tollgate = launch(
            "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
             routes: [{ path: /, to: u, retry: { on: 503 } }]\n",
            &[("origin", &origin.address())],
        );
        let began = std::time::Instant::now();
        assert_eq!(tollgate.request(get("/")).status, expected);
        assert!(began.elapsed().as_millis() >= least_ms);
    }
}

#[test]
fn what_the_upstream_cannot_serve_goes_to_the_fallback() {
    let (refused, _guard) = refusing();
    let spare = Origin::echo();
    let tollgate = launch(
        "upstreams: { u: [\"{refused}\"], spare: [\"{spare}\"] }\n\
         routes: [{ path: /, to: u, fallback: { to: spare } }]\n",
        &[("refused", &refused), ("spare", &spare.address())],
    );
    for request in [get("/"), POST.to_owned()] {
        let response = tollgate.request(&request);
        assert_eq!(response.status, 200, "{request}");
        let id = response.get("x-request-id").unwrap().to_owned();
        let told = verb(&tollgate, &["why", &id]).stdout;
        assert!(told.contains("spare") && told.contains("connect_failed"), "{told}");
        assert!(told.contains(&spare.address().to_string()), "{told}");
    }
    assert_eq!(spare.requests().len(), 2);
}

#[test]
fn a_post_that_may_have_been_served_goes_nowhere_else() {
    let (bad, spare) = (Origin::start(|c| drop(c.request())), Origin::echo());
    let tollgate = launch(
        "upstreams: { u: [\"{bad}\"], spare: [\"{spare}\"] }\n\
         routes: [{ path: /, to: u, retry: none, fallback: { to: spare, on: 5xx } }]\n",
        &[("bad", &bad.address()), ("spare", &spare.address())],
    );
    assert_eq!(tollgate.request(POST).status, 502);
    assert_eq!(tollgate.request(get("/")).status, 200);
    assert_eq!(spare.requests().len(), 1);
}

#[test]
fn chosen_statuses_go_to_the_fallback_with_the_body() {
    let (bad, spare) = (Origin::answering(|_| status(500, "")), Origin::echo());
    let tollgate = launch(
        "upstreams: { u: [\"{bad}\"], spare: [\"{spare}\"] }\n\
         routes: [{ path: /, to: u, fallback: { to: spare, on: [500, 503] } }]\n",
        &[("bad", &bad.address()), ("spare", &spare.address())],
    );
    let response = tollgate.request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!((bad.requests().len(), spare.requests().len()), (1, 1));
}

#[test]
fn a_fallback_that_fails_as_well_is_the_reason_told() {
    let (refused, _guard) = refusing();
    let bad = Origin::start(|c| drop(c.request()));
    let tollgate = launch(
        "upstreams: { u: [\"{refused}\"], spare: [\"{bad}\"] }\n\
         routes: [{ path: /, to: u, retry: none, fallback: { to: spare } }]\n",
        &[("refused", &refused), ("bad", &bad.address())],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("upstream_closed")));
}

#[test]
fn a_fixed_answer_stands_in() {
    let (refused, _guard) = refusing();
    let tollgate = launch(
        "upstreams: { u: [\"{refused}\"] }\n\
         routes: [{ path: /, to: u, retry: none, fallback: { respond: { status: 200, body: closed for today } } }]\n",
        &[("refused", &refused)],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.text().as_str()), (200, "closed for today"));
    let told = verb(&tollgate, &["why", response.get("x-request-id").unwrap()]).stdout;
    assert!(told.contains("connect_failed"), "{told}");
}

#[test]
fn requests_are_held_until_an_endpoint_is_back() {
    let origin = Origin::echo();
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\" }\nupstreams: { u: [\"{origin}\"] }\nroutes: [{ path: /, to: u, hold: 30s }]\n",
        &[("origin", &origin.address())],
    );
    let endpoint = origin.address().to_string();
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "u", &endpoint]).code, Some(0));
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut client = tollgate.connect();
            std::thread::spawn(move || client.request(POST))
        })
        .collect();
    tollgate.await_metric("tollgate_upstream_held{upstream=\"u\"}", 5.0);
    assert_eq!(verb(&tollgate, &["endpoint", "undrain", "u", &endpoint]).code, Some(0));
    for held in waiting {
        let response = held.join().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    }
}

/// Answers only once it is told to.
fn gated(body: &'static str) -> (Origin, std::sync::Arc<std::sync::Barrier>) {
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    let waits = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            waits.wait();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if connection.try_send(answer).is_err() {
                return;
            }
        }
    });
    (origin, gate)
}

#[test]
fn a_slow_attempt_gets_another_beside_it_and_the_first_answer_is_passed_on() {
    let ((slow, gate), quick) = (gated("slow"), Origin::saying("quick"));
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\" }\nupstreams: { u: [\"{slow}\", \"{quick}\"] }\n\
         routes: [{ path: /, to: u, hedge: 20ms }]\n",
        &[("slow", &slow.address()), ("quick", &quick.address())],
    );
    let mut hedged = 0.0;
    for _ in 0..4 {
        let before = slow.requests().len();
        let response = tollgate.request(get("/"));
        assert_eq!((response.status, response.text().as_str()), (200, "quick"));
        if slow.requests().len() > before {
            hedged += 1.0;
            gate.wait();
            let told = verb(&tollgate, &["why", response.get("x-request-id").unwrap()]).stdout;
            for part in ["hedged", "made beside it", "answered 200"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
    }
    assert!(hedged > 0.0, "the slow endpoint was never picked");
    assert_eq!(tollgate.metric("tollgate_upstream_hedges_total{upstream=\"u\"}"), hedged);
    assert_eq!(tollgate.metric("tollgate_upstream_hedges_won_total{upstream=\"u\"}"), hedged);
}

#[test]
fn the_first_attempt_wins_where_the_second_is_even_slower() {
    let ((one, one_gate), (two, two_gate)) = (gated("one"), gated("two"));
    let tollgate = launch(
        "upstreams: { u: [\"{one}\", \"{two}\"] }\nroutes: [{ path: /, to: u, hedge: 10ms }]\n",
        &[("one", &one.address()), ("two", &two.address())],
    );
    let mut client = tollgate.connect();
    client.send(get("/"));
    one.wait_for_requests(1);
    two.wait_for_requests(1);
    // Whichever was first, one of them answers, and that is what comes.
    one_gate.wait();
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "one"));
    two_gate.wait();
    client.send(get("/"));
    one.wait_for_requests(2);
    two.wait_for_requests(2);
    two_gate.wait();
    assert_eq!(client.response().text(), "two");
    one_gate.wait();
}

#[test]
fn what_is_not_safe_to_send_twice_is_not_hedged() {
    let ((slow, gate), quick) = (gated("slow"), Origin::saying("quick"));
    let tollgate = launch(
        "upstreams: { u: [\"{slow}\", \"{quick}\"] }\nroutes: [{ path: /, to: u, hedge: 1ms }]\n",
        &[("slow", &slow.address()), ("quick", &quick.address())],
    );
    // One of two goes to each.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            slow.wait_for_requests(1);
            gate.wait();
        });
        for _ in 0..2 {
            assert_eq!(tollgate.request(POST).status, 200);
        }
    });
    assert_eq!((slow.requests().len(), quick.requests().len()), (1, 1));
}

#[test]
fn an_endpoint_is_told_how_long_it_has() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |connection| {
        if let Some(request) = connection.request() {
            assert_eq!(request.all("x-request-timeout").len(), 1);
            if asked.fetch_add(1, Ordering::SeqCst) > 0 {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, timeouts: { total: 20s, try: 9s, tell: X-Request-Timeout } }]\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: 99999999\r\n\r\n");
    assert_eq!(response.status, 200);
    let told: Vec<u64> = origin
        .requests()
        .iter()
        .map(|request| request.get("x-request-timeout").unwrap().parse().unwrap())
        .collect();
    assert_eq!(told, [9000, 9000]);
}

#[test]
fn a_response_that_cannot_be_read_is_one_that_did_not_come() {
    let (bad, spare) = (Origin::answering(|_| b"HTTP/1.1 what\r\n\r\n".to_vec()), Origin::echo());
    let tollgate = launch(
        "upstreams: { u: [\"{bad}\"], spare: [\"{spare}\"] }\n\
         routes: [{ path: /, to: u, fallback: { to: spare } }]\n",
        &[("bad", &bad.address()), ("spare", &spare.address())],
    );
    assert_eq!(tollgate.request(get("/")).status, 200);
    // What was sent is not sent again, wherever to.
    let response = tollgate.request(POST);
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("bad_response")));
    assert_eq!((bad.requests().len(), spare.requests().len()), (2, 1));
}
