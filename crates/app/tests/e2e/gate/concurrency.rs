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

/// Asks until there is room for requests of this key.
fn await_room(tollgate: &Tollgate, key: &str) {
    let began = Instant::now();
    while tollgate.request(get_with("/", &format!("X-Of: {key}\r\n"))).status != 200 {
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
    await_room(&tollgate, "");
}

#[test]
fn places_are_free_again_when_clients_leave() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let tollgate = start(&origin, "{ max: 1, by: { header: X-Of } }");
    let full = |key: &str| {
        let response = tollgate.request(get_with("/", &format!("X-Of: {key}\r\n")));
        refused(&tollgate, &response, Reason::ConcurrencyLimited);
    };
    for round in 0..3 {
        let (closing, cancelling) = (format!("closing-{round}"), format!("cancelling-{round}"));
        let mut client = tollgate.connect();
        client.send(get_with("/hold", &format!("X-Of: {closing}\r\n")));
        let streams = Http2Client::connect(tollgate.address());
        let stream = streams.ask("GET", "/hold", &[("x-of", &cancelling)]);
        let held = || origin.requests().iter().filter(|request| request.target() == "/hold").count();
        let began = Instant::now();
        while held() < 2 * round + 2 {
            assert!(began.elapsed() < PATIENCE, "{} requests are held", held());
            std::thread::yield_now();
        }
        full(&closing);
        full(&cancelling);
        stream.cancel();
        client.reset();
        await_room(&tollgate, &closing);
        await_room(&tollgate, &cancelling);
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
