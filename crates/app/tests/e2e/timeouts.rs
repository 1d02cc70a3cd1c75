//! How long anybody is waited for.

use std::time::{Duration, Instant};

use tollgate_testkit::{Gate, Origin, Silent, Tollgate};

use crate::{get, launch};

const ROUTE: &str = "routes: [{ path: /, to: \"http://{origin}\", retry: none, timeouts: { {route} } }]\n";

fn timed(client: &str, route: &str, origin: &Origin) -> Tollgate {
    launch(&format!("timeouts: {{ {client} }}\n{ROUTE}"), &[("origin", &origin.address()), ("route", &route)])
}

/// An origin that takes requests and never answers.
fn mute() -> Origin {
    Origin::start(|connection| {
        connection.request();
        connection.rest();
    })
}

#[test]
fn a_head_must_be_complete_in_time() {
    let origin = Origin::saying("ok");
    let tollgate = timed("head: 300ms, idle: 1h", "total: none", &origin);
    for (start, keep_going) in
        [("G", false), ("GET / HTTP/1.1\r\nHost: a\r\n", false), ("GET / HTTP/1.1\r\n", true)]
    {
        let mut client = tollgate.connect();
        client.send(start);
        let began = Instant::now();
        // One line after the other, so that something always moves.
        let mut sender = client.try_clone();
        let sending = std::thread::spawn(move || {
            while keep_going && began.elapsed() < Duration::from_secs(10) {
                if sender.try_send("X: y\r\n").is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let response = client.response();
        assert_eq!((response.status, response.reason().as_deref()), (408, Some("head_timeout")), "{start:?}");
        assert_eq!(response.get("connection"), Some("close"));
        assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
        drop(client);
        sending.join().unwrap();
    }
}

#[test]
fn the_time_for_a_head_begins_with_its_first_byte() {
    let origin = Origin::saying("ok");
    let tollgate = timed("head: 300ms, idle: 1h", "total: none", &origin);
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).status, 200);
    client.assert_silent(Duration::from_millis(700));
    assert_eq!(client.request(get("/")).status, 200);
    client.send("GET");
    assert_eq!(client.response().reason().as_deref(), Some("head_timeout"));
}

#[test]
fn a_connection_that_never_says_anything_is_closed() {
    let origin = Origin::saying("ok");
    let tollgate = timed("head: 200ms, idle: 1h", "total: none", &origin);
    tollgate.connect().assert_ended();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::saying("ok");
    let tollgate = timed("head: 1h, idle: 200ms", "total: none", &origin);
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).status, 200);
    client.assert_ended();
}

#[test]
fn a_body_must_keep_coming() {
    let origin = mute();
    let tollgate = timed("body: 300ms", "first_byte: 1h", &origin);
    for framing in ["Content-Length: 100\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = tollgate.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        let response = client.response();
        assert_eq!((response.status, response.reason().as_deref()), (408, Some("body_timeout")), "{framing}");
        client.assert_ended();
    }
    assert_eq!(origin.requests(), []);
}

#[test]
fn a_body_that_keeps_coming_may_take_long() {
    let origin = Origin::echo();
    let tollgate = timed("body: 500ms", "first_byte: 1h", &origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        client.send("x");
    }
    assert_eq!(client.response().text(), "xxxxxxxxxx");
}

/// The client waits for a 100, so it is the origin that is waited for.
#[test]
fn an_origin_must_say_in_time_whether_it_wants_a_body() {
    let origin = Origin::start(|connection| drop((connection.head(), connection.rest())));
    let tollgate = timed("body: 1h", "first_byte: 300ms", &origin);
    let response =
        tollgate.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((response.status, response.reason().as_deref()), (504, Some("first_byte_timeout")));
}

#[test]
fn an_origin_must_begin_its_answer_in_time() {
    let origin = mute();
    let tollgate = timed("head: 10s", "first_byte: 300ms", &origin);
    let mut client = tollgate.connect();
    for _ in 0..2 {
        let response = client.request(get("/"));
        assert_eq!((response.status, response.reason().as_deref()), (504, Some("first_byte_timeout")));
        // The client did nothing wrong, and the whole request was read.
        assert_eq!(response.get("connection"), None);
    }
    origin.wait_for_ended(2);
}

#[test]
fn a_post_is_not_sent_again_after_a_timeout() {
    let origin = mute();
    let tollgate = launch(
        "routes: [{ path: /, to: \"http://{origin}\", retry: { attempts: 3 }, timeouts: { first_byte: 200ms } }]\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(response.reason().as_deref(), Some("first_byte_timeout"));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_origin_that_stalls_in_its_body_is_cut() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        connection.rest();
    });
    let tollgate = timed("head: 10s", "idle: 300ms", &origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    let broken = client.try_response().unwrap_err();
    assert_eq!(broken.partial.unwrap().body, b"hello");
    assert!(broken.reset);
    origin.wait_for_ended(1);
}

#[test]
fn an_origin_that_takes_no_bytes_is_given_up() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start_narrow(move |connection| {
        connection.head();
        for_origin.wait();
    });
    let tollgate = timed("body: 1h", "idle: 400ms, first_byte: 1h", &origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut sender = client.try_clone();
    let sending = std::thread::spawn(move || while sender.try_send([b'x'; 65_536]).is_ok() {});
    let response = client.response();
    assert_eq!((response.status, response.reason().as_deref()), (504, Some("upstream_stalled")));
    drop(client);
    gate.open();
    sending.join().unwrap();
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    for framing in ["Content-Length: 100000000", "X: until the end"] {
        let origin = Origin::start_narrow(move |connection| {
            connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
            while connection.try_send([b'x'; 65_536]).is_ok() {}
        });
        let tollgate = timed("write: 400ms", "idle: 1h", &origin);
        let mut client = tollgate_testkit::Client::connect_narrow(tollgate.address());
        client.send(get("/"));
        // The origin notices only because the program has given up on the client.
        origin.wait_for_ended(1);
        assert!(client.try_response().is_err(), "{framing}");
    }
}

#[test]
fn a_slow_client_that_takes_something_is_not_cut() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n");
        connection.send(vec![b'x'; 20_000_000]);
    });
    let tollgate = timed("write: 1s", "idle: 1h", &origin);
    let mut client = tollgate_testkit::Client::connect_narrow(tollgate.address());
    client.send(get("/"));
    assert_eq!(client.head().status, 200);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        client.skip(1_000_000);
    }
    client.skip(10_000_000);
}

#[test]
fn the_whole_may_have_a_limit() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.try_send("1\r\nx\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let tollgate = timed("head: 10s", "total: 400ms", &origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    let broken = client.try_response().unwrap_err();
    assert!(broken.reset && !broken.partial.unwrap().body.is_empty());

    let origin = mute();
    let tollgate = timed("head: 10s", "total: 300ms", &origin);
    assert_eq!(tollgate.request(get("/")).reason().as_deref(), Some("total_timeout"));
}

#[test]
fn a_connection_must_open_in_time() {
    let silent = Silent::new();
    let tollgate = launch(
        "routes: [{ path: /, to: \"http://{origin}\", retry: none, timeouts: { connect: 300ms } }]\n",
        &[("origin", &silent.address())],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (504, Some("connect_timeout")));
}

#[test]
fn one_try_may_have_a_limit_and_the_next_may_succeed() {
    let slow = mute();
    let good = Origin::saying("ok");
    let tollgate = launch(
        "upstreams: { u: [\"{slow}\", \"{good}\"] }\n\
         routes: [{ path: /, to: u, retry: { attempts: 2 }, timeouts: { try: 200ms } }]\n",
        &[("slow", &slow.address()), ("good", &good.address())],
    );
    for _ in 0..4 {
        assert_eq!(tollgate.request(get("/")).text(), "ok");
    }
    assert!(slow.connections() > 0);
}
