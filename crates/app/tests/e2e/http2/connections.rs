//! Connections that many exchanges share: how many there are, how they end, what a reload does to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tollgate_testkit::http2::{ClientSettings, Http2Client, Http2Origin, OriginSettings, frames};
use tollgate_testkit::{Gate, Launch, Origin, PATIENCE, Tollgate};

use super::{before_http2, client};
use crate::{PRELUDE, PROGRAM, forwarding};

#[test]
fn exchanges_share_one_connection_to_an_endpoint() {
    let origin = Http2Origin::saying("ok");
    let tollgate = before_http2(&origin, "", "");
    let client = client(&tollgate);
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn more_at_once_than_a_connection_may_carry_open_others_and_none_is_refused() {
    const CALLS: usize = 60;
    for (announced, settings) in [(10, ""), (1000, "max_streams: 10")] {
        let gate = Gate::new();
        let opened = gate.clone();
        let limits = OriginSettings { max_streams: announced, ..OriginSettings::default() };
        let origin = Http2Origin::with(limits, move |mut served| {
            opened.wait();
            served.answer(200, &[], "ok", &[]);
        });
        let tollgate = before_http2(&origin, "", settings);
        let client = client(&tollgate);
        // The first one is alone, so that the endpoint's limit is known.
        let first = client.ask("GET", "/", &[]);
        origin.wait_for_requests(1);
        let calls: Vec<_> = (1..CALLS).map(|_| client.ask("POST", "/", &[])).collect();
        origin.wait_for_requests(CALLS);
        gate.open();
        for call in calls.into_iter().chain([first]) {
            assert_eq!(call.response().status, 200);
        }
        assert!(origin.most_streams().iter().all(|most| *most <= 10), "{:?}", origin.most_streams());
        assert_eq!(origin.connections(), CALLS / 10);
    }
}

#[test]
fn a_crowd_that_comes_before_the_limit_is_known_is_served() {
    let limits = OriginSettings { max_streams: 5, ..OriginSettings::default() };
    let origin = Http2Origin::with(limits, |mut served| {
        let _ = served.body();
        served.answer(200, &[], "ok", &[]);
    });
    let tollgate = before_http2(&origin, "", "");
    let client = client(&tollgate);
    let calls: Vec<_> = (0..80).map(|_| client.ask("POST", "/", &[])).collect();
    for call in calls {
        let response = call.response();
        assert_eq!((response.status, response.reason()), (200, None));
    }
}

/// Answers each stream, but the first only on connections behind the first: that one says that it has seen none.
fn going_away() -> Origin {
    Origin::start(|connection| {
        connection.bytes(frames::PREFACE.len());
        connection.send(frames::settings(&[]));
        let first = connection.index() == 0;
        while let Some((kind, flags, stream)) = next_frame(connection) {
            match kind {
                frames::SETTINGS if flags & frames::ACK == 0 => {
                    connection.send(frames::frame(frames::SETTINGS, frames::ACK, 0, &[]));
                }
                frames::HEADERS | frames::DATA if flags & frames::END_STREAM != 0 => {
                    if first {
                        connection.send(frames::go_away(0, 0));
                        return;
                    }
                    connection.send(frames::headers(stream, frames::END_STREAM, &[0x88]));
                }
                _ => {}
            }
        }
    })
}

fn next_frame(connection: &mut tollgate_testkit::Connection) -> Option<(u8, u8, u32)> {
    let head = connection.bytes(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    connection.bytes(length)?;
    Some((head[3], head[4], u32::from_be_bytes(head[5..9].try_into().unwrap())))
}

#[test]
fn what_an_endpoint_that_goes_away_has_not_looked_at_is_sent_again_a_post_too() {
    let origin = going_away();
    let tollgate = crate::launch(
        "upstreams: { up: { endpoints: [\"{origin}\"], protocol: h2c } }\n\
         routes: [{ name: all, path: /, to: up, retry: { attempts: 2, backoff: 1ms } }]\n",
        &[("origin", &origin.address())],
    );
    let mut call = client(&tollgate).begin("POST", "/", &[]);
    call.sending.send("body");
    call.sending.finish();
    assert_eq!(call.response().status, 200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_endpoint_that_goes_away_finishes_what_it_has_and_is_connected_to_anew() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Http2Origin::start(move |mut served| {
        if served.request.target() == "/last" {
            served.go_away();
            opened.wait();
        }
        served.answer(200, &[], served.connection.to_string(), &[]);
    });
    let tollgate = before_http2(&origin, "", "");
    let client = client(&tollgate);
    assert_eq!(client.get("/").text(), "0");
    let last = client.ask("GET", "/last", &[]);
    origin.wait_for_requests(2);
    // Those that come before the word has arrived may still be on the first.
    let began = std::time::Instant::now();
    while client.get("/").text() != "1" {
        assert!(began.elapsed() < PATIENCE);
    }
    gate.open();
    assert_eq!(last.response().text(), "0");
    origin.wait_for_ended(1);
}

#[test]
fn a_slow_reader_of_one_stream_keeps_no_other_waiting_and_holds_little() {
    const LARGE: usize = 64 << 20;
    let origin = Http2Origin::start(|mut served| {
        if served.request.target() != "/large" {
            return served.answer(200, &[], "x".repeat(20_000), &[]);
        }
        served.begin(200, &[]);
        let block = vec![b'y'; 64 * 1024];
        let Some(sending) = served.sending() else { return };
        for _ in 0..LARGE / block.len() {
            if !sending.send(&block) {
                return;
            }
        }
        sending.finish();
    });
    let tollgate = before_http2(&origin, "", "");
    let settings = ClientSettings { stream_window: 65_535, connection_window: 16 << 20 };
    let client = Http2Client::with(tollgate.address(), settings);
    assert_eq!(client.get("/").status, 200);
    let (before, _) = tollgate.memory_kib();
    let mut slow = client.ask("GET", "/large", &[]);
    slow.head().unwrap();
    for _ in 0..20 {
        let calls: Vec<_> = (0..50).map(|_| client.ask("GET", "/", &[])).collect();
        for call in calls {
            assert_eq!(call.response().body.len(), 20_000);
        }
    }
    let (after, _) = tollgate.memory_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
    let mut count = 0;
    while let Some(part) = slow.body().part().unwrap() {
        count += part.len();
    }
    assert_eq!(count, LARGE);
}

#[test]
fn a_connection_that_has_carried_enough_ends_and_fails_nothing() {
    let origin = Http2Origin::saying("ok");
    let tollgate = before_http2(&origin, "limits: { requests_per_connection: 5 }", "");
    let first = client(&tollgate);
    let mut served = 0;
    while let Ok(mut call) = first.try_begin("GET", "/", &[], true) {
        match call.try_response() {
            Ok(response) => assert_eq!(response.text(), "ok"),
            // What it has not looked at.
            Err(cut) => {
                assert!(
                    cut.code.is_none() || cut.code == Some(tollgate_testkit::http2::Code::NO_ERROR),
                    "{cut:?}"
                );
                break;
            }
        }
        served += 1;
    }
    assert!((5..50).contains(&served), "{served}");
    assert_eq!(first.ending(), None);
    assert_eq!(client(&tollgate).get("/").text(), "ok");
}

#[test]
fn a_drain_finishes_the_streams_and_takes_no_more() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Http2Origin::start(move |mut served| {
        if served.request.target() == "/wait" {
            opened.wait();
        }
        served.answer(200, &[], "x".repeat(100_000), &[]);
    });
    let mut tollgate = before_http2(&origin, "shutdown: { grace: 1m }", "");
    let client = client(&tollgate);
    let idle = super::client(&tollgate);
    assert_eq!(idle.get("/").status, 200);
    let waiting: Vec<_> = (0..20).map(|_| client.ask("GET", "/wait", &[])).collect();
    origin.wait_for_requests(21);
    tollgate.terminate();
    assert_eq!(idle.ending(), None);
    gate.open();
    for call in waiting {
        assert_eq!(call.response().body.len(), 100_000);
    }
    assert_eq!(client.ending(), None);
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());
}

#[test]
fn what_has_used_up_its_grace_is_told_so_or_cut() {
    let origin = Http2Origin::start(|mut served| {
        if served.request.target() == "/begun" {
            served.begin(200, &[]);
            served.sending().unwrap().send("part");
        }
        served.wait_for_reset();
    });
    let mut tollgate = before_http2(&origin, "shutdown: { grace: 300ms }", "");
    let client = client(&tollgate);
    let mut begun = client.ask("GET", "/begun", &[]);
    let head = begun.head().unwrap();
    assert_eq!(begun.body().at_least(4).unwrap(), b"part");
    let waiting = client.ask("GET", "/wait", &[]);
    origin.wait_for_requests(2);
    tollgate.terminate();
    let response = waiting.response();
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("draining")));
    begun.try_body(head).expect_err("a part was taken for the whole");
    assert_eq!(tollgate.wait().code(), Some(1));
}

#[test]
fn reloads_close_no_connection_and_fail_no_request() {
    const RELOADS: usize = 100;
    const CLIENTS: usize = 4;
    let origin = Http2Origin::start(|mut served| {
        let _ = served.body();
        let body = served.request.body.clone();
        served.answer(200, &[], &body, &[("x-end", "1")]);
    });
    let document = |step: usize| {
        format!(
            "{PRELUDE}upstreams: {{ up: {{ endpoints: [\"{}\"], protocol: h2c }} }}\n\
             routes: [{{ name: all, path: /, to: up, retry: none }}, {{ name: \"r{step}\", path: /x{step}, respond: 204 }}]\n",
            origin.address()
        )
    };
    let tollgate = Launch::new(PROGRAM, &document(0)).start();
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let started = Arc::new(Barrier::new(CLIENTS + 1));
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = client(&tollgate);
            let (over, done, started) = (over.clone(), done.clone(), started.clone());
            std::thread::spawn(move || {
                started.wait();
                let body = vec![b'0' + number as u8; 3_000];
                while !over.load(Ordering::SeqCst) {
                    let calls: Vec<_> = (0..8)
                        .map(|_| {
                            let mut call = client.begin("POST", "/", &[]);
                            call.sending.send(&body);
                            call.sending.finish();
                            call
                        })
                        .collect();
                    for call in calls {
                        let response = call.response();
                        assert!(
                            response.status == 200 && response.body == body && response.trailers.len() == 1
                        );
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
                assert!(!client.has_ended());
            })
        })
        .collect();
    started.wait();
    for step in 1..=RELOADS {
        let line = reload(&tollgate, &document(step));
        assert!(line.contains(" reload: "), "{line}");
    }
    over.store(true, Ordering::SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(done.load(Ordering::SeqCst) > RELOADS);
    assert_eq!(origin.connections(), 1);
}

fn reload(tollgate: &Tollgate, document: &str) -> String {
    tollgate.reload(document)
}

#[test]
fn a_listener_that_speaks_one_protocol_only_says_so() {
    let origin = Origin::saying("ok");
    let tollgate = forwarding(&origin);
    let mut raw = tollgate.connect();
    // Both protocols on one port, told apart by what a connection begins with.
    assert_eq!(raw.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
    assert_eq!(client(&tollgate).get("/").text(), "ok");
    let only_one = crate::launch_without_listener(
        "listen: { address: \"127.0.0.1:0\", protocols: [h1] }\nroutes: [{ path: /, respond: 204 }]\n",
    );
    let mut raw = only_one.connect();
    raw.send(frames::PREFACE);
    let response = raw.response();
    assert_eq!((response.status, response.reason().as_deref()), (505, Some("bad_version")));
}

#[test]
fn an_idle_connection_is_ended_politely() {
    let origin = Origin::saying("ok");
    let document = "timeouts: { idle: 300ms }\nroutes: [{ path: /, to: \"http://{origin}\", retry: none }]\n";
    let tollgate = crate::launch(document, &[("origin", &origin.address())]);
    let client = client(&tollgate);
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.ending(), None);
    // One that never says anything after its preface is idle from the start.
    let mut silent = tollgate.connect();
    silent.send([frames::PREFACE, &frames::settings(&[])].concat());
    let _ = silent.ending();
}
