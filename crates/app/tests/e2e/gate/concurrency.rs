//! Limits of requests at once: places are free again whatever becomes of who had them.

use std::time::Instant;

use tollgate_decision::Reason;
use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Gate, Origin, PATIENCE, Tollgate};

use super::{get_with, guarded, refused};

/// Answers `/hold` when the gate opens, and everything else at once.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        if request.target() == "/hold" {
            gate.wait();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    })
}

fn start(origin: &Origin, limit: &str) -> Tollgate {
    let document = format!(
        "auth: {{ keys: {{ api_key: {{ header: X-API-Key }} }} }}\n\
         routes: [{{ path: /, to: \"http://{{origin}}\", retry: none, concurrency_limit: {limit} }}]\n"
    );
    guarded(&document, &[("origin", &origin.address())])
}

/// Asks until there is room.
fn await_room(tollgate: &Tollgate) {
    let began = Instant::now();
    while tollgate.request(get_with("/", "")).status != 200 {
        assert!(began.elapsed() < PATIENCE, "there is no room");
    }
}

#[test]
fn places_are_free_again_when_answers_are_sent() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let tollgate = start(&origin, "2");
    let mut holders = [tollgate.connect(), tollgate.connect()];
    holders.iter_mut().for_each(|client| client.send(get_with("/hold", "")));
    origin.wait_for_requests(2);
    let response = tollgate.request(get_with("/", ""));
    refused(&tollgate, &response, Reason::ConcurrencyLimited);
    assert_eq!(response.get("retry-after"), Some("1"));
    gate.open();
    for client in &mut holders {
        assert_eq!(client.response().status, 200);
    }
    await_room(&tollgate);
}

#[test]
fn places_are_free_again_when_clients_leave() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let tollgate = start(&origin, "2");
    for round in 0..3 {
        let mut closing = tollgate.connect();
        closing.send(get_with("/hold", ""));
        let streams = Http2Client::connect(tollgate.address());
        let stream = streams.ask("GET", "/hold", &[]);
        origin.wait_for_requests(origin.requests().len().max(2 * round + 2));
        while origin.requests().iter().filter(|r| r.target() == "/hold").count() < 2 * round + 2 {
            std::thread::yield_now();
        }
        refused(&tollgate, &tollgate.request(get_with("/", "")), Reason::ConcurrencyLimited);
        stream.cancel();
        await_room(&tollgate);
        closing.reset();
        await_room(&tollgate);
    }
    gate.open();
}

#[test]
fn keys_have_places_of_their_own() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let tollgate = start(&origin, "{ max: 1, by: consumer, groups: { gold: 2 } }, auth: keys");
    let ask = |path: &str, key: &str| {
        let mut client = tollgate.connect();
        client.send(get_with(path, &format!("X-API-Key: {key}\r\n")));
        client
    };
    let mut held = [ask("/hold", "alice-key"), ask("/hold", "alice-key"), ask("/hold", "bob-key")];
    origin.wait_for_requests(3);
    for key in ["alice-key", "bob-key"] {
        refused(&tollgate, &ask("/", key).response(), Reason::ConcurrencyLimited);
    }
    gate.open();
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
}
