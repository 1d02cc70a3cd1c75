//! Mirrors: copies arrive as they should, nobody notices those that do not, and answers are compared.

use std::net::SocketAddr;
use std::sync::mpsc;

use tollgate_testkit::http2::{Http2Client, Http2Origin, Served};
use tollgate_testkit::{Origin, Request, Silent, Tollgate, refusing};

use crate::verbs::{json_of, verb};
use crate::{get, launch};

/// A route to `origin` with a mirror.
fn mirroring(origin: SocketAddr, next: SocketAddr, mirror: &str) -> Tollgate {
    launch(
        "admin: { listen: \"127.0.0.1:0\" }\nrecorder: { sample: 0% }\nupstreams: { next: [\"{next}\"] }\n\
         routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, mirror: {mirror} }]\n",
        &[("origin", &origin), ("next", &next), ("mirror", &mirror)],
    )
}

fn series(family: &str, word: &str) -> String {
    let label = if family == "tollgate_mirrored_total" { "outcome" } else { "result" };
    format!("{family}{{route=\"all\",upstream=\"next\",{label}=\"{word}\"}}")
}

fn mirrored(word: &str) -> String {
    series("tollgate_mirrored_total", word)
}

fn compared(word: &str) -> String {
    series("tollgate_mirror_compared_total", word)
}

fn post(length: usize) -> String {
    format!("POST /cart?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "b".repeat(length))
}

#[test]
fn a_mirror_gets_what_the_origin_got() {
    let (origin, next) = (Origin::saying("origin"), Origin::saying("mirror"));
    let tollgate = mirroring(origin.address(), next.address(), "next");
    let mut client = tollgate.connect();
    let chunked = "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    for request in [get("/a"), post(20_000), chunked.to_owned()] {
        assert_eq!(client.request(request).text(), "origin");
    }
    next.wait_for_requests(3);
    tollgate.await_metric(&mirrored("answered"), 3.0);
    let key = |request: &Request| (request.line().to_owned(), request.body.clone(), request.trailers.clone());
    let sorted = |requests: Vec<Request>| {
        let mut keys: Vec<_> = requests.iter().map(key).collect();
        keys.sort();
        keys
    };
    assert_eq!(sorted(origin.requests()), sorted(next.requests()));
    assert!(next.requests().iter().all(|request| request.get("x-tollgate-mirror") == Some("1")));
    assert!(origin.requests().iter().all(|request| request.get("x-tollgate-mirror").is_none()));
    // The same request id, so that both can be found.
    let ids = |requests: Vec<Request>| {
        let mut ids: Vec<_> = requests.iter().map(|r| r.get("x-request-id").unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(origin.requests()), ids(next.requests()));
}

#[test]
fn a_share_is_mirrored_and_explained() {
    let (origin, next) = (Origin::saying("origin"), Origin::saying("mirror"));
    let tollgate = mirroring(origin.address(), next.address(), "{ to: next, share: 20% }");
    let mut client = tollgate.connect();
    for _ in 0..300 {
        assert_eq!(client.request(get("/")).text(), "origin");
    }
    next.wait_for_requests(30);
    let count = next.requests().len();
    assert!(count <= 100, "{count} of 300");
    let path = tollgate.directory().join("tollgate.yaml");
    let path = path.to_str().unwrap();
    let explained = verb(&tollgate, &["explain", "-c", path, "GET", "http://a.example/"]);
    assert!(explained.stdout.contains("mirror      next gets "), "{explained:?}");
    assert!(explained.stdout.contains("its share is 20%"), "{explained:?}");
}

#[test]
fn a_mirror_that_is_dead_or_slow_harms_nobody() {
    let origin = Origin::saying("origin");
    let (refused, _guard) = refusing();
    let tollgate = mirroring(origin.address(), refused, "next");
    for _ in 0..5 {
        assert_eq!(tollgate.request(post(5)).text(), "origin");
    }
    tollgate.await_metric(&mirrored("failed"), 5.0);
    let silent = Origin::start(|connection| {
        connection.rest();
    });
    let mirror = "{ to: next, max_in_flight: 2, timeout: 5m }";
    let mut tollgate = mirroring(origin.address(), silent.address(), mirror);
    let mut client = tollgate.connect();
    for _ in 0..5 {
        assert_eq!(client.request(get("/")).text(), "origin");
    }
    tollgate.await_metric(&mirrored("busy"), 3.0);
    drop(client);
    // Copies under way do not hold up the end.
    tollgate.terminate();
    assert!(tollgate.wait().success());
}

#[test]
fn what_saves_requests_is_not_for_copies() {
    let origin = Origin::saying("origin");
    let bad = Origin::answering(|_| b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec());
    let spare = Origin::saying("spare");
    let (refused, _guard) = refusing();
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\" }\n\
         upstreams: { u: [\"{origin}\"], next: [\"{bad}\"], gone: [\"{refused}\"], spare: [\"{spare}\"] }\n\
         routes: [{ name: all, path: /, to: u, mirror: [next, gone], retry: { on: 5xx }, hold: 30s,\
         \x20fallback: { to: spare, on: 5xx } }]\n",
        &[
            ("origin", &origin.address()),
            ("bad", &bad.address()),
            ("refused", &refused),
            ("spare", &spare.address()),
        ],
    );
    let mut client = tollgate.connect();
    for _ in 0..3 {
        assert_eq!(client.request(get("/")).text(), "origin");
    }
    // Whatever the status, it is an answer.
    tollgate.await_metric(&mirrored("answered"), 3.0);
    let failed = "tollgate_mirrored_total{route=\"all\",upstream=\"gone\",outcome=\"failed\"}";
    tollgate.await_metric(failed, 3.0);
    assert_eq!((bad.requests().len(), spare.requests().len()), (3, 0));
}

#[test]
fn a_mirror_that_takes_too_long_is_given_up() {
    let (origin, silent) = (Origin::saying("origin"), Silent::new());
    let tollgate = mirroring(origin.address(), silent.address(), "{ to: next, timeout: 50ms }");
    assert_eq!(tollgate.request(get("/")).text(), "origin");
    tollgate.await_metric(&mirrored("timed_out"), 1.0);
}

#[test]
fn large_bodies_are_not_mirrored() {
    let (origin, next) = (Origin::echo(), Origin::echo());
    let tollgate = mirroring(origin.address(), next.address(), "{ to: next, body: 1KiB }");
    for length in [1024, 1025, 3_000_000] {
        assert_eq!(tollgate.request(post(length)).body.len(), length);
    }
    tollgate.await_metric(&mirrored("body_too_large"), 2.0);
    next.wait_for_requests(1);
    assert_eq!(next.requests().len(), 1);
}

#[test]
fn protocols_may_differ() {
    let origin = Origin::echo();
    let (told, bodies) = mpsc::channel();
    let next = Http2Origin::start(move |mut served: Served| {
        let _ = served.body();
        let _ = told.send(served.request.body.clone());
        served.answer(200, &[], "mirror", &[]);
    });
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\" }\nupstreams: { next: { endpoints: [\"{next}\"], protocol: h2c } }\n\
         routes: [{ name: all, path: /, to: \"http://{origin}\", mirror: [next, { to: \"http://{origin}\" }] }]\n",
        &[("next", &next.address()), ("origin", &origin.address())],
    );
    let chunked =
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(tollgate.request(chunked).text(), "abcde");
    tollgate.await_metric(&mirrored("answered"), 1.0);
    assert_eq!(bodies.recv().unwrap(), b"abcde");
    // From a stream to chunks: the second mirror is the origin itself.
    let mut exchange = Http2Client::connect(tollgate.address()).begin("POST", "/s", &[]);
    exchange.sending.send(b"xyz");
    exchange.sending.finish();
    assert_eq!(exchange.response().text(), "xyz");
    origin.wait_for_requests(4);
    assert_eq!(origin.requests().iter().filter(|request| request.body == b"xyz").count(), 2);
}

/// Answers by path; what it says differs by `version`.
fn versioned(version: u32) -> Origin {
    Origin::answering(move |request| {
        let (status, kind, body) = match request.target() {
            "/noise" if version == 1 => {
                ("200 OK", "application/json", "{\"at\":1,\"id\":1.0,\"list\":[1,2]}".into())
            }
            "/noise" => ("200 OK", "application/json", "{\"list\":[1,2],\"id\":1,\"at\":2}".into()),
            "/status" if version == 2 => ("500 Oops", "text/plain", "broken".into()),
            "/type" if version == 2 => ("200 OK", "text/html", "same".to_owned()),
            "/type" => ("200 OK", "text/plain", "same".into()),
            "/large" => ("200 OK", "text/plain", "x".repeat(400_000) + &version.to_string()),
            _ => ("200 OK", "application/json", format!("{{\"items\":[{{\"price\":{version}}}]}}")),
        };
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    })
}

#[test]
fn answers_are_compared_and_told() {
    let (origin, next) = (versioned(1), versioned(2));
    let mirror = "{ to: next, compare: { ignore: { json: [\"$.at\"] } } }";
    let tollgate = mirroring(origin.address(), next.address(), mirror);
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/noise")).status, 200);
    tollgate.await_metric(&compared("same"), 1.0);
    assert_eq!(client.request(get("/status")).status, 200);
    tollgate.await_metric(&compared("status"), 1.0);
    assert_eq!(client.request(get("/type")).text(), "same");
    tollgate.await_metric(&compared("headers"), 1.0);
    let response = client.request(get("/json"));
    tollgate.await_metric(&compared("body"), 1.0);
    assert_eq!(client.request(get("/large")).body.len(), 400_001);
    // Too large to be compared, which is no difference.
    tollgate.await_metric(&compared("same"), 2.0);

    let id = response.get("x-request-id").unwrap();
    let why = verb(&tollgate, &["why", id]);
    for part in [
        "next answered otherwise: 1 difference",
        "$.items[0].price: 1, at the mirror 2",
        "kept as     mirror",
    ] {
        assert!(why.stdout.contains(part), "{part}: {why:?}");
    }
    let table = verb(&tollgate, &["mirrors"]);
    for part in ["40.0%", "$.items[*].price", "header content-type", "status", id] {
        assert!(table.stdout.contains(part), "{part}: {table:?}");
    }
    let told = json_of(&verb(&tollgate, &["mirrors", "--json"]));
    assert_eq!(told["mirrors"][0]["compared"]["body"], 1);
    assert_eq!(told["exchanges"][0]["differences"][0]["mirror"], "2");
}

#[test]
fn values_can_be_hidden_and_silence_is_told() {
    let (origin, next) = (versioned(1), versioned(2));
    let tollgate = mirroring(origin.address(), next.address(), "{ to: next, compare: { values: false } }");
    let id = tollgate.request(get("/json")).get("x-request-id").unwrap().to_owned();
    tollgate.await_metric(&compared("body"), 1.0);
    let why = verb(&tollgate, &["why", &id]);
    assert!(why.stdout.contains("$.items[0].price: (hidden), at the mirror (hidden)"), "{why:?}");
    let (refused, _guard) = refusing();
    let tollgate = mirroring(origin.address(), refused, "{ to: next, compare: true }");
    let id = tollgate.request(get("/json")).get("x-request-id").unwrap().to_owned();
    tollgate.await_metric(&compared("unanswered"), 1.0);
    let why = verb(&tollgate, &["why", &id]);
    assert!(why.stdout.contains("next did not answer: connect_failed"), "{why:?}");
}
