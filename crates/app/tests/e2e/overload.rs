//! Upstreams that take only so many requests at once: who gets a place, who waits, who is refused.

mod circuit;
mod holding;
mod turns;

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex};

use tollgate_testkit::http2::{Http2Client, Http2Origin, Served};
use tollgate_testkit::{Client, Launch, Origin, PATIENCE, Response, Tollgate};

use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get};

/// What is the same in all documents here.
const ADMIN: &str = "admin: { listen: \"127.0.0.1:0\" }\nrecorder: { sample: 100% }\n";
const USED: &str = "tollgate_upstream_concurrency_used{upstream=\"u\"}";
const WAITING: &str = "tollgate_upstream_queue_length{upstream=\"u\",priority=\"normal\"}";

fn started(workers: u32, document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let prelude = PRELUDE.replace("workers: 1", &format!("workers: {workers}"));
    let prelude = match document.contains("listen: {") {
        true => prelude.replace("listen: \"127.0.0.1:0\"\n", ""),
        false => prelude,
    };
    let launch = Launch::new(PROGRAM, &format!("{prelude}{ADMIN}{document}"));
    values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start()
}

/// Where requests stand until somebody lets them pass, and are counted meanwhile.
#[derive(Clone, Debug, Default)]
struct Turnstile(Arc<(Mutex<Standing>, Condvar)>);

#[derive(Debug, Default)]
struct Standing {
    now: usize,
    most: usize,
    may_pass: usize,
}

impl Turnstile {
    /// Stands until it may pass. Whoever stands for too long passes, too: its test has failed by then.
    fn pass(&self) {
        let mut standing = self.0.0.lock().unwrap();
        standing.now += 1;
        standing.most = standing.most.max(standing.now);
        let closed = |standing: &mut Standing| standing.may_pass == 0;
        let (mut standing, _) = self.0.1.wait_timeout_while(standing, PATIENCE, closed).unwrap();
        standing.may_pass = standing.may_pass.saturating_sub(1);
        standing.now -= 1;
    }

    fn let_pass(&self, count: usize) {
        self.0.0.lock().unwrap().may_pass += count;
        self.0.1.notify_all();
    }

    /// The most that stood there at once.
    fn most(&self) -> usize {
        self.0.0.lock().unwrap().most
    }

    /// An origin whose requests pass one turnstile after the other, and are answered with their target.
    fn origin(turnstiles: &[&Self]) -> Origin {
        let turnstiles: Vec<Self> = turnstiles.iter().map(|t| (*t).clone()).collect();
        Origin::start(move |connection| {
            while let Some(request) = connection.request() {
                turnstiles.iter().for_each(Self::pass);
                let target = request.target();
                let length = target.len();
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}"));
            }
        })
    }
}

/// Sends a request on a connection of its own, and goes on.
fn begin(tollgate: &Tollgate, path: &str) -> Client {
    let mut client = tollgate.connect();
    client.send(get(path));
    client
}

/// What `why` says of the request that got this response.
fn cause(tollgate: &Tollgate, response: &Response) -> String {
    let id = response.get("x-request-id").unwrap().to_owned();
    let told = json_of(&verb(tollgate, &["why", &id, "--json"]));
    assert_eq!(told["exchanges"][0]["doubt"], serde_json::Value::Null, "{told:#}");
    told["exchanges"][0]["cause"].as_str().unwrap().to_owned()
}

/// Asserts a refusal for this reason, and tells its `Retry-After` in seconds.
fn refused(response: &Response, reason: &str) -> u32 {
    assert_eq!((response.status, response.reason().as_deref()), (503, Some(reason)), "{response:?}");
    let seconds: u32 = response.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{response:?}");
    seconds
}

/// What `tollgate status` tells of the only upstream.
fn status(tollgate: &Tollgate) -> serde_json::Value {
    json_of(&verb(tollgate, &["status", "--json"]))["upstreams"][0].clone()
}

#[test]
fn no_cap_is_ever_exceeded_and_all_who_wait_are_served() {
    const CLIENTS: usize = 40;
    const EACH: usize = 5;
    let cases = [
        ("concurrency: { upstream: 5, endpoint: 3 }, balance: least_requests", 5, [3, 3]),
        ("concurrency: { upstream: 4 }", 4, [4, 4]),
        ("concurrency: { endpoint: 2 }, balance: random", 4, [2, 2]),
    ];
    for (caps, all, each) in cases {
        let gate = Turnstile::default();
        let seats = [Turnstile::default(), Turnstile::default()];
        seats.iter().for_each(|seats| seats.let_pass(CLIENTS * EACH));
        // What stands at the gate stands in its endpoint's count as well.
        let origins = seats.clone().map(|seat| counted(&gate, &seat));
        let tollgate = started(
            4,
            "upstreams: { u: { endpoints: [\"{a}\", \"{b}\"], {caps}, queue: { timeout: 1m } } }\n\
             routes: [{ path: /, to: u }]\n",
            &[("a", &origins[0].address()), ("b", &origins[1].address()), ("caps", &caps)],
        );
        let address = tollgate.address();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    (0..EACH).all(|_| client.request(get("/")).status == 200)
                })
            })
            .collect();
        tollgate.await_metric(WAITING, (CLIENTS - all) as f64);
        gate.let_pass(CLIENTS * EACH);
        assert!(clients.into_iter().all(|client| client.join().unwrap()), "{caps}");
        assert!(gate.most() <= all && gate.most() >= all.min(4), "{caps}: {}", gate.most());
        for (seat, cap) in seats.iter().zip(each) {
            assert!(seat.most() <= cap, "{caps}: {} of {cap}", seat.most());
        }
        tollgate.await_metric(WAITING, 0.0);
        tollgate.await_metric(USED, 0.0);
        let refused =
            tollgate.metric("tollgate_upstream_queue_refused_total{upstream=\"u\",cause=\"queue_full\"}");
        assert_eq!(refused, 0.0, "{caps}");
    }
}

/// An origin that counts whom it has at once in `seats`, while all stand at the gate.
fn counted(gate: &Turnstile, seats: &Turnstile) -> Origin {
    let (gate, seats) = (gate.clone(), seats.clone());
    Origin::start(move |connection| {
        while connection.request().is_some() {
            {
                let mut standing = seats.0.0.lock().unwrap();
                standing.now += 1;
                standing.most = standing.most.max(standing.now);
            }
            gate.pass();
            seats.0.0.lock().unwrap().now -= 1;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

#[test]
fn without_a_queue_who_finds_no_place_is_refused_at_once() {
    let gate = Turnstile::default();
    let origin = Turnstile::origin(&[&gate]);
    for caps in ["concurrency: 1", "concurrency: { endpoint: 1 }"] {
        let tollgate = started(
            2,
            "upstreams: { u: { endpoints: [\"{origin}\"], {caps} } }\nroutes: [{ path: /, to: u, retry: none }]\n",
            &[("origin", &origin.address()), ("caps", &caps)],
        );
        let before = origin.requests().len();
        let mut first = begin(&tollgate, "/first");
        origin.wait_for_requests(before + 1);
        let response = tollgate.request(get("/second"));
        assert_eq!(refused(&response, "upstream_full"), 1);
        let why = cause(&tollgate, &response);
        assert!(
            why.contains("of the upstream u is 1") && why.contains("as many requests as it may"),
            "{why}"
        );
        gate.let_pass(1);
        assert_eq!(first.response().text(), "/first");
        assert_eq!(origin.requests().len(), before + 1);
        // Its place is free again.
        gate.let_pass(1);
        assert_eq!(first.request(get("/third")).text(), "/third");
    }
}

#[test]
fn a_full_queue_refuses_and_who_waits_is_served() {
    let gate = Turnstile::default();
    let origin = Turnstile::origin(&[&gate]);
    let tollgate = started(
        2,
        "upstreams: { u: { endpoints: [\"{origin}\"], concurrency: 1, queue: { length: 1, by: route, timeout: 1m } } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    let mut first = begin(&tollgate, "/first");
    origin.wait_for_requests(1);
    let mut second = begin(&tollgate, "/second");
    tollgate.await_metric(WAITING, 1.0);
    let told = status(&tollgate);
    assert_eq!((&told["places"]["used"], &told["places"]["limit"]), (&1.into(), &1.into()), "{told:#}");
    assert_eq!(told["places"]["waiting"], 1, "{told:#}");
    let text = verb(&tollgate, &["status"]).stdout;
    assert!(text.contains("1 of 1"), "{text}");
    let third = tollgate.request(get("/third"));
    refused(&third, "queue_full");
    let why = cause(&tollgate, &third);
    assert!(
        why.contains("u; 1 waited when it came") && why.contains("queue.length of the upstream u is 1"),
        "{why}"
    );
    gate.let_pass(2);
    assert_eq!((first.response().text(), second.response().text()), ("/first".into(), "/second".into()));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn who_waits_too_long_is_told_so() {
    let gate = Turnstile::default();
    let origin = Turnstile::origin(&[&gate]);
    for (queue, route, setting) in [
        ("timeout: 300ms", "", "queue.timeout of the upstream u is 300ms"),
        ("timeout: 1m", ", timeouts: { total: 400ms }", "timeouts.total of the route all is 400ms"),
    ] {
        let tollgate = started(
            2,
            "upstreams: { u: { endpoints: [\"{origin}\"], concurrency: 1, queue: { {queue} } } }\n\
             routes: [{ path: /first, to: u }, { name: all, path: /, to: u{route} }]\n",
            &[("origin", &origin.address()), ("queue", &queue), ("route", &route)],
        );
        let before = origin.requests().len();
        let mut first = begin(&tollgate, "/first");
        origin.wait_for_requests(before + 1);
        let response = tollgate.request(get("/second"));
        refused(&response, "queue_timeout");
        let why = cause(&tollgate, &response);
        assert!(why.contains("as long as it may: u, after ") && why.contains(setting), "{why}");
        gate.let_pass(1);
        assert_eq!(first.response().status, 200);
        assert_eq!(origin.requests().len(), before + 1);
    }
}

#[test]
fn who_would_wait_too_long_is_refused_at_once() {
    let origin = Origin::answering(|_| {
        // How quickly places become free is what this is about.
        std::thread::sleep(std::time::Duration::from_millis(40));
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let tollgate = started(
        2,
        "upstreams: { u: { endpoints: [\"{origin}\"], concurrency: 1, queue: { timeout: 100ms } } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    let address = tollgate.address();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let done = done.clone();
            std::thread::spawn(move || {
                let (mut client, mut early) = (Client::connect(address), None);
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let response = client.request(get("/"));
                    if response.status != 200 {
                        refused(&response, "queue_timeout");
                        early = Some(response);
                    }
                }
                early
            })
        })
        .collect();
    let early = "tollgate_upstream_queue_refused_total{upstream=\"u\",cause=\"wait_too_long\"}";
    let began = std::time::Instant::now();
    while tollgate.metric(early) < 5.0 && began.elapsed() < PATIENCE {}
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused: Vec<_> = clients.into_iter().filter_map(|client| client.join().unwrap()).collect();
    assert!(tollgate.metric(early) >= 5.0 && !refused.is_empty(), "nobody was refused early");
    let told = verb(&tollgate, &["why", "--last", "--reason", "queue_timeout"]).stdout;
    assert!(told.contains("queue.timeout of the upstream u is 100ms"), "{told}");
}

#[test]
fn calls_are_refused_with_a_status_of_their_own() {
    for (queue, reason) in [("", "upstream_full"), (", queue: { timeout: 200ms }", "queue_timeout")] {
        let gate = tollgate_testkit::Gate::new();
        let for_origin = gate.clone();
        let origin = Http2Origin::start(move |mut served: Served| {
            let _ = served.body();
            for_origin.wait();
            served.answer(200, &[("content-type", "application/grpc")], [0; 5], &[("grpc-status", "0")]);
        });
        let tollgate = started(
            1,
            "upstreams: { u: { endpoints: [\"{origin}\"], protocol: grpc, concurrency: 1{queue} } }\n\
             routes: [{ grpc: {}, to: u, retry: none }]\n",
            &[("origin", &origin.address()), ("queue", &queue)],
        );
        let client = Http2Client::connect(tollgate.address());
        let call = || {
            let fields = [("content-type", "application/grpc"), ("te", "trailers")];
            let mut call = client.begin("POST", "/a.B/C", &fields);
            call.sending.finish();
            call
        };
        let before = origin.requests().len();
        let first = call();
        origin.wait_for_requests(before + 1);
        let response = call().response();
        assert_eq!(
            (response.status, response.get("grpc-status")),
            (200, Some("14")),
            "{reason}: {response:?}"
        );
        assert!(response.get("grpc-message").unwrap_or_default().contains(reason), "{response:?}");
        gate.open();
        assert_eq!(first.response().status, 200);
    }
}

#[test]
fn the_number_that_is_found_is_told() {
    let origin = Origin::echo();
    let tollgate = started(
        2,
        "upstreams: { u: { endpoints: [\"{origin}\"], concurrency: { adaptive: true } } }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    let limit = "tollgate_upstream_concurrency_limit{upstream=\"u\"}";
    // What it begins with, while the least latency is measured.
    assert_eq!(tollgate.metric(limit), 3.0);
    let mut client = tollgate.connect();
    assert!((0..50).all(|_| client.request(get("/")).status == 200));
    assert!(tollgate.metric(limit) >= 3.0);
    assert_eq!(status(&tollgate)["places"]["adaptive"], true);
}
