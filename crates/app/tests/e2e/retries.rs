//! Requests that could be saved are; what could do harm twice is not sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Origin, Tollgate, refusing};

use crate::{get, launch};

fn two(first: impl std::fmt::Display, second: impl std::fmt::Display, retry: &str) -> Tollgate {
    launch(
        "upstreams: { u: { endpoints: [\"{first}\", \"{second}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: {retry} }]\n",
        &[("first", &first), ("second", &second), ("retry", &retry)],
    )
}

/// Takes each request, and resets the connection instead of answering.
fn resetting() -> Origin {
    Origin::start(|connection| {
        connection.request();
        connection.reset();
    })
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED_PUT: &str =
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

#[test]
fn a_refused_connection_costs_no_request_of_any_method() {
    let (refused, _guard) = refusing();
    let good = Origin::echo();
    let tollgate = two(refused, good.address(), "{ attempts: 2 }");
    for request in [&get("/"), POST, PUT, CHUNKED_PUT] {
        for _ in 0..4 {
            assert_eq!(tollgate.request(request).status, 200, "{request}");
        }
    }
    assert_eq!(good.requests().len(), 16);
}

#[test]
fn without_a_second_attempt_a_refused_connection_is_an_error() {
    let (refused, _guard) = refusing();
    let tollgate = launch("routes: [{ path: /, to: \"http://{to}\", retry: none }]\n", &[("to", &refused)]);
    let mut client = tollgate.connect();
    for _ in 0..2 {
        let response = client.request(POST);
        assert_eq!((response.status, response.reason().as_deref()), (502, Some("connect_failed")));
        assert_eq!(response.get("connection"), None);
    }
}

#[test]
fn a_reset_before_the_answer_costs_no_idempotent_request() {
    let (bad, good) = (resetting(), Origin::echo());
    let tollgate = two(bad.address(), good.address(), "{ attempts: 2 }");
    for request in [&get("/"), PUT, CHUNKED_PUT, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for _ in 0..4 {
            let response = tollgate.request(request);
            let body = if request.contains("PUT") { "hello" } else { "" };
            assert_eq!((response.status, response.text().as_str()), (200, body), "{request}");
        }
    }
    assert!(bad.requests().len() >= 4, "the bad endpoint was asked {} times", bad.requests().len());
}

#[test]
fn a_post_that_was_sent_is_never_sent_again() {
    let (bad, good) = (resetting(), Origin::echo());
    let tollgate = two(bad.address(), good.address(), "{ attempts: 3 }");
    let mut failed = 0;
    for number in 0..20 {
        let body = format!("order{number:02}");
        let response =
            tollgate.request(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{body}"));
        if response.status == 200 {
            assert_eq!(response.text(), body);
        } else {
            assert_eq!((response.status, response.reason().as_deref()), (502, Some("upstream_closed")));
            failed += 1;
        }
    }
    let all: Vec<Vec<u8>> = bad.requests().into_iter().chain(good.requests()).map(|r| r.body).collect();
    let different: std::collections::HashSet<&Vec<u8>> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (20, 20));
    assert_eq!(failed, bad.requests().len());
    assert!(failed > 0);
}

#[test]
fn a_close_before_the_answer_is_the_same_as_a_reset() {
    let bad = Origin::start(|connection| drop(connection.request()));
    let good = Origin::saying("ok");
    let tollgate = two(bad.address(), good.address(), "{ attempts: 2 }");
    for _ in 0..6 {
        assert_eq!(tollgate.request(get("/")).text(), "ok");
    }
    assert!(bad.requests().len() >= 2);
}

#[test]
fn attempts_are_counted() {
    let bad = resetting();
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{bad}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 4, backoff: 1ms } }]\n",
        &[("bad", &bad.address())],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("upstream_closed")));
    assert_eq!(bad.requests().len(), 4);
}

/// Idle connections end whenever the origin likes. That is nobody's fault, and costs nothing.
#[test]
fn a_stale_idle_connection_costs_no_request() {
    let origin = Origin::start(|connection| {
        if let Some(request) = connection.request() {
            let body = request.body;
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            connection.send(body);
        }
    });
    let tollgate = launch(
        "routes: [{ path: /, to: \"http://{origin}\", retry: none }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    for round in 0..30 {
        let (request, body) = if round % 2 == 0 { (POST.to_owned(), "hello") } else { (get("/"), "") };
        let response = client.request(request);
        assert_eq!((response.status, response.text().as_str()), (200, body), "round {round}");
        origin.wait_for_ended(round + 1);
    }
    assert_eq!(origin.requests().len(), 30);
}

/// The close crosses the request on its way: the request is seen by nobody.
#[test]
fn an_idempotent_request_survives_a_connection_that_ends_as_it_is_sent() {
    let origin = Origin::start(|connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // The second request on the connection is read and then dropped.
            connection.head();
        }
    });
    let tollgate = launch(
        "routes: [{ path: /, to: \"http://{origin}\", retry: none }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    for _ in 0..10 {
        assert_eq!(client.request(get("/")).text(), "ok");
    }
}

#[test]
fn a_body_too_large_to_keep_is_not_sent_again() {
    let (bad, good) = (
        Origin::start(|connection| {
            connection.request();
            connection.reset();
        }),
        Origin::echo(),
    );
    let tollgate = two(bad.address(), good.address(), "{ attempts: 2, body: 1KiB }");
    let large = "x".repeat(200_000);
    let mut failed = 0;
    for _ in 0..6 {
        let response =
            tollgate.request(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{large}"));
        match response.status {
            200 => assert!(response.text() == large),
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(failed, bad.requests().len());
    assert_eq!(failed + good.requests().len(), 6);
}

/// Nothing of the answer has reached the client, so a request that may be repeated is. One that may not is
/// sent once.
#[test]
fn an_answer_whose_head_is_cut_is_asked_for_again_where_that_is_safe() {
    for (method, times) in [("GET", 3), ("POST", 1)] {
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let origin = Origin::start(move |connection| {
            connection.request();
            count.fetch_add(1, Ordering::SeqCst);
            connection.send("HTTP/1.1 200 OK\r\nContent-Le");
        });
        let tollgate = launch(
            "routes: [{ path: /, to: \"http://{origin}\", retry: { attempts: 3, backoff: 1ms } }]\n",
            &[("origin", &origin.address())],
        );
        let response = tollgate.request(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((response.status, response.reason().as_deref()), (502, Some("response_incomplete")));
        assert_eq!(asked.load(Ordering::SeqCst), times, "{method}");
    }
}

#[test]
fn endpoints_that_keep_failing_are_left_out() {
    let (bad, good) = (resetting(), Origin::saying("ok"));
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{bad}\", \"{good}\"], ejection: { consecutive_5xx: 3, base: 1h, max: 1h } } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 2 } }]\n",
        &[("bad", &bad.address()), ("good", &good.address())],
    );
    let mut client = tollgate.connect();
    for _ in 0..60 {
        assert_eq!(client.request(get("/")).text(), "ok");
    }
    assert_eq!(bad.requests().len(), 3);
}

#[test]
fn probes_take_an_endpoint_out_and_bring_it_back() {
    let healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = healthy.clone();
    let first = Origin::answering(move |request| {
        let sick = request.target() == "/healthz" && !flag.load(Ordering::SeqCst);
        let status = if sick { "503 No" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\n1").into_bytes()
    });
    let second = Origin::saying("2");
    let tollgate = launch(
        "upstreams:\n  u: { endpoints: [\"{first}\", \"{second}\"], health: { path: /healthz, every: 50ms, rise: 1, fall: 1 } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("first", &first.address()), ("second", &second.address())],
    );
    let mut client = tollgate.connect();
    let mut until = |wanted: bool| {
        let began = std::time::Instant::now();
        loop {
            let answers: Vec<String> = (0..4).map(|_| client.request(get("/")).text()).collect();
            if answers.contains(&"1".to_owned()) == wanted {
                return;
            }
            assert!(began.elapsed() < tollgate_testkit::PATIENCE, "still {answers:?}");
        }
    };
    until(true);
    healthy.store(false, Ordering::SeqCst);
    until(false);
    healthy.store(true, Ordering::SeqCst);
    until(true);
}

#[test]
fn without_a_healthy_endpoint_panic_uses_them_all_or_says_so() {
    let (refused, _guard) = refusing();
    let tollgate = launch(
        "upstreams:\n  u: { endpoints: [\"{to}\"], panic_threshold: 0%, health: { tcp: {}, every: 50ms, fall: 1 } }\n\
         routes: [{ path: /, to: u, retry: none }]\n",
        &[("to", &refused)],
    );
    let mut client = tollgate.connect();
    let began = std::time::Instant::now();
    while client.request(get("/")).reason().as_deref() != Some("no_endpoint") {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE);
    }
    let response = client.request(get("/"));
    assert_eq!((response.status, response.get("retry-after")), (503, Some("1")));
}
