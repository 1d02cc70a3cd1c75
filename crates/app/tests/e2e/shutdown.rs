//! How the program ends.

use std::io;
use std::net::TcpStream;

use rustix::process::Signal;
use tollgate_testkit::{Gate, Origin, Tollgate};

use crate::{get, launch};

/// An origin that answers `/wait` when the gate is open.
fn waiting(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target() == "/wait" {
                gate.wait();
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

fn started(origin: &Origin, settings: &str) -> Tollgate {
    launch(
        "{settings}\nadmin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, to: \"http://{origin}\", retry: none }]\n",
        &[("origin", &origin.address()), ("settings", &settings)],
    )
}

/// New connections are refused once the listener is closed, which the program does not announce.
fn assert_becomes_refused(tollgate: &Tollgate) {
    let began = std::time::Instant::now();
    loop {
        match TcpStream::connect(tollgate.address()) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            _ => assert!(began.elapsed() < tollgate_testkit::PATIENCE, "connections are still accepted"),
        }
    }
}

#[test]
fn what_runs_may_finish_and_nothing_begins() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let gate = Gate::new();
        let origin = waiting(&gate);
        let mut tollgate = started(&origin, "shutdown: { grace: 1m }");
        let mut idle = tollgate.connect();
        assert_eq!(idle.request(get("/")).status, 200);
        let mut busy = tollgate.connect();
        busy.send(get("/wait"));
        origin.wait_for_requests(2);
        tollgate.signal(signal);
        idle.assert_ended();
        assert_becomes_refused(&tollgate);
        gate.open();
        let response = busy.response();
        assert_eq!((response.text().as_str(), response.get("connection")), ("ok", Some("close")));
        busy.assert_ended();
        assert_eq!(tollgate.wait().code(), Some(0), "{signal:?}: {}", tollgate.stderr());
    }
}

#[test]
fn a_body_that_is_under_way_arrives_whole() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx");
        for_origin.wait();
        connection.send("x".repeat(999_999));
    });
    let mut tollgate = started(&origin, "shutdown: { grace: 1m }");
    let mut client = tollgate.connect();
    client.send(get("/"));
    assert_eq!(client.head().status, 200);
    tollgate.terminate();
    assert_becomes_refused(&tollgate);
    gate.open();
    assert_eq!(client.read_exact(1_000_000).len(), 1_000_000);
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let origin = waiting(&gate);
    let mut tollgate = started(&origin, "shutdown: { grace: 1h }");
    let mut busy = tollgate.connect();
    busy.send(get("/wait"));
    origin.wait_for_requests(1);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(1), "{}", tollgate.stderr());
    busy.assert_ended();
}

#[test]
fn the_grace_ends() {
    let gate = Gate::new();
    let origin = waiting(&gate);
    let mut tollgate = started(&origin, "shutdown: { grace: 300ms }");
    let mut busy = tollgate.connect();
    busy.send(get("/wait"));
    origin.wait_for_requests(1);
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(1), "{}", tollgate.stderr());
    let response = busy.response();
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("draining")));
    busy.assert_ended();
}

#[test]
fn readiness_fails_before_anything_is_closed() {
    let origin = Origin::saying("ok");
    let mut tollgate = started(&origin, "shutdown: { delay: 1s, grace: 1m }");
    assert_eq!(tollgate.admin("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(tollgate.admin("/healthz"), (200, "ok\n".to_owned()));
    tollgate.terminate();
    tollgate.stderr_line("draining");
    assert_eq!(tollgate.admin("/readyz").0, 503);
    assert_eq!(tollgate.admin("/healthz").0, 200);
    assert_eq!(tollgate.request(get("/")).status, 200);
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn every_line_of_the_log_is_written_before_the_end() {
    let document = "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 2\naccess_log: stdout\n\
                    admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, respond: 204 }]\n";
    let mut tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, document).start();
    // A scraper that keeps its connection open must not hold anything up.
    let mut scraper = tollgate.connect_admin();
    assert_eq!(scraper.request("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    let mut clients: Vec<_> = (0..10).map(|_| tollgate.connect()).collect();
    for client in &mut clients {
        for _ in 0..100 {
            assert_eq!(client.request(get("/")).status, 204);
        }
    }
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
    assert_eq!(tollgate.stdout_to_the_end().lines().count(), 1000);
}

#[test]
fn no_descriptors_are_left_behind() {
    let origin = Origin::start(|connection| {
        while let Some(request) = connection.request() {
            match request.target() {
                "/large" => connection.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}",
                    "x".repeat(1_000_000)
                )),
                "/cut" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx");
                    return;
                }
                _ => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            }
        }
    });
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"], pool: { max_idle: 0 }, ejection: none } }\n\
         routes: [{ path: /, to: u, retry: none }]\n",
        &[("origin", &origin.address())],
    );
    let round = || {
        for path in ["/", "/large", "/cut", "/gone"] {
            let mut client = tollgate.connect();
            client.send(get(path));
            if path == "/gone" {
                client.reset();
            } else {
                let _ = client.try_response();
            }
        }
        tollgate.connect().send("GET / HT");
        tollgate.request("BAD\r\n\r\n");
    };
    // The first round leaves pipes that are kept for later.
    round();
    let before = tollgate.descriptors();
    (0..50).for_each(|_| round());
    // Connections end a moment after their clients have.
    let few = before + 10;
    let began = std::time::Instant::now();
    while tollgate.descriptors() > few && began.elapsed() < tollgate_testkit::PATIENCE {
        std::thread::yield_now();
    }
    let after = tollgate.descriptors();
    assert!(after <= few, "{before} descriptors before, {after} after");
}
