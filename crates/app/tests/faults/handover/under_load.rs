//! One hand-over after the other under load, with no request that fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_testkit::http2::{Code, Http2Client};
use tollgate_testkit::{Client, Launch, Origin, PATIENCE};

use super::hand_over;
use crate::load::{Load, StopOnDrop, answering};
use crate::{PROGRAM, get};

const HAND_OVERS: usize = 20;
/// Names another number of hand-overs.
const VARIABLE: &str = "TOLLGATE_TEST_HAND_OVERS";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const ASK: &str = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
/// Messages that a tunnel carries until its client closes it.
const MESSAGES: usize = 200;

const DOCUMENT: &str = "version: 1\nworkers: 2\naccess_log: none\nadmin: { listen: \"127.0.0.1:0\" }\n\
    shutdown: { grace: 4s, tunnel_grace: 20s }\nlisten:\n\
    \x20 - { name: web, address: \"127.0.0.1:0\" }\n\
    \x20 - { name: bytes, tcp: \"127.0.0.1:0\", to: echo }\n\
    upstreams: { origin: { endpoints: [\"{origin}\"] }, tunnel: { endpoints: [\"{tunnel}\"] }, \
    echo: { endpoints: [\"{echo}\"] } }\n\
    routes:\n  - { path: { exact: / }, to: origin }\n  - { path: /tunnel, to: tunnel }\n\
    \x20 - { path: /two, respond: { status: 200, body: two } }\n";

fn tunnelling() -> Origin {
    Origin::start(|connection| {
        if connection.head().is_some() {
            connection.send(SWITCH);
            while connection.bytes(8).is_some_and(|block| connection.try_send(block).is_ok()) {}
        }
    })
}

fn echoing() -> Origin {
    Origin::start(
        |connection| {
            while connection.bytes(8).is_some_and(|block| connection.try_send(block).is_ok()) {}
        },
    )
}

/// Echoes over a connection that is there already, and closes it.
fn echo(mut client: Client, counted: &AtomicUsize) {
    for number in 0..MESSAGES as u64 {
        client.send(number.to_be_bytes());
        assert_eq!(client.read_exact(8), number.to_be_bytes());
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

/// Requests over HTTP/2, on another connection when the server wants no more of them on this one.
fn http2(address: std::net::SocketAddr, counted: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let client = Http2Client::connect(address);
        while !client.has_ended() && !stop.load(Ordering::Relaxed) {
            // What was not even begun may be sent again anywhere; a client hears that by GOAWAY.
            let Ok(mut exchange) = client.try_begin("GET", "/two", &[], true) else { break };
            match exchange.try_response() {
                Ok(response) => assert_eq!((response.status, response.text().as_str()), (200, "two")),
                Err(cut) => {
                    let not_begun = [Some(Code::NO_ERROR), Some(Code::REFUSED_STREAM)];
                    assert!(cut.partial.is_none() && not_begun.contains(&cut.code), "{cut:?}");
                    break;
                }
            }
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn nobody_notices_one_hand_over_after_the_other() {
    let count = std::env::var(VARIABLE).ok().and_then(|count| count.parse().ok()).unwrap_or(HAND_OVERS);
    let (origin, tunnel, carried) = (answering(), tunnelling(), echoing());
    let launch = Launch::new(PROGRAM, DOCUMENT).listeners(2);
    let launch = launch.with("origin", origin.address()).with("tunnel", tunnel.address());
    let mut tollgate = launch.with("echo", carried.address()).start();
    let (web, bytes) = (tollgate.addresses()[0], tollgate.addresses()[1]);
    let [tunnels, connections, streams] = [(); 3].map(|()| AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = Client::connect(web);
                    client.send(ASK);
                    assert_eq!(client.any_response().status, 101);
                    echo(client, &tunnels);
                }
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    echo(Client::connect(bytes), &connections);
                }
            });
            scope.spawn(|| http2(web, &streams, &stop));
            // A connection for each request.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = Client::connect(web).request(get("/two"));
                    assert_eq!((answer.status, answer.text().as_str()), (200, "two"));
                }
            });
        }
        let load = Load { clients: 8, post_every: 5, size: |number| number * 37 % 3000 };
        let outcomes = load.run(web, |outcomes| {
            for _ in 0..count {
                let kinds = [&tunnels, &connections, &streams];
                let before = kinds.map(|kind| kind.load(Ordering::Relaxed));
                hand_over(&mut tollgate);
                outcomes.wait_for_more(200);
                // Of each kind something has passed since.
                let began = std::time::Instant::now();
                while kinds.iter().zip(before).any(|(kind, before)| kind.load(Ordering::Relaxed) == before) {
                    assert!(began.elapsed() < PATIENCE, "not all kinds of clients go on");
                    std::thread::park_timeout(std::time::Duration::from_millis(1));
                }
            }
        });
        outcomes.assert_no_failures();
        stop.store(true, Ordering::Relaxed);
    });
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
}
