//! Who is next, and who leaves before that.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};

use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Client, Origin, Tollgate};

use super::{Turnstile, USED, WAITING, begin, started};
use crate::get;

fn queued(by: &str, gate: &Turnstile) -> (Origin, Tollgate) {
    let origin = Turnstile::origin(&[gate]);
    let tollgate = started(
        1,
        "upstreams: { u: { endpoints: [\"{origin}\"], concurrency: 1, queue: { timeout: 1m, by: {by} } } }\n\
         routes: [{ path: /low, to: u, priority: low }, { path: /first, to: u, priority: critical }, { path: /, to: u }]\n",
        &[("origin", &origin.address()), ("by", &by)],
    );
    (origin, tollgate)
}

/// The targets that the origin was asked for, in their order.
fn targets(origin: &Origin) -> Vec<String> {
    origin.requests().iter().map(|request| request.target().to_owned()).collect()
}

#[test]
fn the_quiet_does_not_wait_behind_the_flood_of_another() {
    for by in ["{ header: x-who }", "address", "consumer"] {
        let gate = Turnstile::default();
        let (origin, tollgate) = queued(by, &gate);
        let mut first = begin(&tollgate, "/occupied");
        origin.wait_for_requests(1);
        // One connection with many streams, from one address.
        let noisy = Http2Client::connect(tollgate.address());
        let flood: Vec<_> = (0..50).map(|_| noisy.ask("GET", "/noisy", &[("x-who", "noisy")])).collect();
        tollgate.await_metric(WAITING, 50.0);
        let mut quiet = Client::connect_from(IpAddr::from([127, 0, 0, 2]), tollgate.address());
        quiet.send("GET /quiet HTTP/1.1\r\nHost: a.example\r\nX-Who: quiet\r\n\r\n");
        tollgate.await_metric(WAITING, 51.0);
        gate.let_pass(3);
        origin.wait_for_requests(4);
        let order = targets(&origin);
        assert!(order[1..3].contains(&"/quiet".to_owned()), "{by}: {order:?}");
        gate.let_pass(49);
        assert_eq!((first.response().status, quiet.response().text()), (200, "/quiet".to_owned()));
        assert!(flood.into_iter().all(|exchange| exchange.response().status == 200), "{by}");
        tollgate.await_metric(USED, 0.0);
    }
}

#[test]
fn without_keys_all_are_served_as_they_came() {
    let gate = Turnstile::default();
    let (origin, tollgate) = queued("route", &gate);
    let mut clients: Vec<_> = vec![begin(&tollgate, "/0")];
    origin.wait_for_requests(1);
    for number in 1..6 {
        clients.push(begin(&tollgate, &format!("/{number}")));
        tollgate.await_metric(WAITING, f64::from(number));
    }
    gate.let_pass(6);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(targets(&origin), ["/0", "/1", "/2", "/3", "/4", "/5"]);
}

#[test]
fn the_urgent_go_first() {
    let gate = Turnstile::default();
    let (origin, tollgate) = queued("route", &gate);
    let waiting =
        |priority: &str| format!("tollgate_upstream_queue_length{{upstream=\"u\",priority=\"{priority}\"}}");
    let mut clients = vec![begin(&tollgate, "/occupied")];
    origin.wait_for_requests(1);
    for number in 1..=3 {
        clients.push(begin(&tollgate, "/low"));
        tollgate.await_metric(&waiting("low"), f64::from(number));
    }
    clients.push(begin(&tollgate, "/normal"));
    tollgate.await_metric(&waiting("normal"), 1.0);
    clients.push(begin(&tollgate, "/first"));
    tollgate.await_metric(&waiting("critical"), 1.0);
    gate.let_pass(6);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(targets(&origin), ["/occupied", "/first", "/normal", "/low", "/low", "/low"]);
}

#[test]
fn who_leaves_while_waiting_is_gone_and_the_upstream_never_hears_of_it() {
    let gate = Turnstile::default();
    let (origin, tollgate) = queued("route", &gate);
    let mut first = begin(&tollgate, "/occupied");
    origin.wait_for_requests(1);
    let waits = begin(&tollgate, "/gone");
    tollgate.await_metric(WAITING, 1.0);
    drop(waits);
    tollgate.await_metric(WAITING, 0.0);
    let streams = Http2Client::connect(tollgate.address());
    let (cancelled, stays) = (streams.ask("GET", "/gone", &[]), streams.ask("GET", "/stays", &[]));
    tollgate.await_metric(WAITING, 2.0);
    cancelled.cancel();
    tollgate.await_metric(WAITING, 1.0);
    gate.let_pass(2);
    assert_eq!((first.response().status, stays.response().text()), (200, "/stays".to_owned()));
    assert_eq!(targets(&origin), ["/occupied", "/stays"]);
    tollgate.await_metric(USED, 0.0);
}

#[test]
fn who_waits_over_a_reload_gets_the_places_that_it_brings() {
    let gate = Turnstile::default();
    let origin = Turnstile::origin(&[&gate]);
    let document = |cap: &str| {
        format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nadmin: {{ listen: \"127.0.0.1:0\" }}\nupstreams: {{ u: {{ endpoints: [\"{}\"], {cap} }} }}\n\
             routes: [{{ path: /, to: u }}]\n",
            origin.address()
        )
    };
    for after in ["concurrency: 2, queue: { timeout: 1m }", "concurrency: 2", "balance: random"] {
        let before = origin.requests().len();
        let text = document("concurrency: 1, queue: { timeout: 1m }");
        let tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, &text).start();
        let mut first = begin(&tollgate, "/first");
        origin.wait_for_requests(before + 1);
        let mut second = begin(&tollgate, "/second");
        tollgate.await_metric(WAITING, 1.0);
        assert!(tollgate.reload(&document(after)).contains("document 2 is in force"));
        origin.wait_for_requests(before + 2);
        gate.let_pass(2);
        assert_eq!((first.response().status, second.response().status), (200, 200), "{after}");
    }
}

#[test]
fn who_waits_when_a_drain_begins_is_served() {
    let gate = Turnstile::default();
    let (origin, mut tollgate) = queued("route", &gate);
    let mut first = begin(&tollgate, "/first");
    origin.wait_for_requests(1);
    let mut second = begin(&tollgate, "/second");
    tollgate.await_metric(WAITING, 1.0);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    gate.let_pass(2);
    assert_eq!((first.response().text(), second.response().text()), ("/first".into(), "/second".into()));
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());
}

fn carrying(queue: &str, origin: &Origin) -> Tollgate {
    started(
        2,
        "listen: { tcp: \"127.0.0.1:0\", to: u }\nupstreams: { u: { endpoints: [\"{origin}\"], concurrency: 1{queue} } }\n",
        &[("origin", &origin.address()), ("queue", &queue)],
    )
}

fn echo() -> Origin {
    Origin::start(|c| while c.bytes(1).is_some_and(|byte| c.try_send(byte).is_ok()) {})
}

fn says_back(mut stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x"
}

#[test]
fn connections_that_are_carried_take_places_and_wait_too() {
    let origin = echo();
    let tollgate = carrying(", queue: { timeout: 1m }", &origin);
    let connect = || TcpStream::connect(tollgate.address()).unwrap();
    let first = connect();
    assert!(says_back(&first));
    let second = connect();
    tollgate.await_metric(WAITING, 1.0);
    assert_eq!(origin.connections(), 1);
    drop(first);
    assert!(says_back(&second));
    // One that sends nothing more may still want to receive: it keeps its turn.
    let third = connect();
    (&third).write_all(b"x").unwrap();
    third.shutdown(std::net::Shutdown::Write).unwrap();
    tollgate.await_metric(WAITING, 1.0);
    drop(second);
    let mut told = Vec::new();
    (&third).read_to_end(&mut told).unwrap();
    assert_eq!(told, b"x");
    tollgate.await_metric(USED, 0.0);
}

#[test]
fn connections_that_find_no_place_are_closed() {
    let origin = echo();
    let tollgate = carrying("", &origin);
    let first = TcpStream::connect(tollgate.address()).unwrap();
    assert!(says_back(&first));
    let second = TcpStream::connect(tollgate.address()).unwrap();
    assert!(!says_back(&second));
    let told = crate::verbs::verb(&tollgate, &["why", "--last", "--reason", "upstream_full"]).stdout;
    assert!(told.contains("concurrency.upstream of the upstream u is 1"), "{told}");
    assert!(says_back(&first) && origin.connections() == 1);
}

#[test]
fn a_waiting_request_keeps_its_body() {
    let gate = Turnstile::default();
    let (origin, tollgate) = queued("route", &gate);
    let mut first = begin(&tollgate, "/occupied");
    origin.wait_for_requests(1);
    let mut second = tollgate.connect();
    second.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    tollgate.await_metric(WAITING, 1.0);
    second.send("67890");
    gate.let_pass(2);
    assert_eq!((first.response().status, second.response().status), (200, 200));
    assert_eq!(origin.requests()[1].body, b"1234567890");
    // The connection is of use for another request.
    gate.let_pass(1);
    assert_eq!(second.request(get("/next")).status, 200);
}
