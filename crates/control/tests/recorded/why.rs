//! `why` names the cause that was planted.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tollgate_control::why::{Show, Why, why};
use tollgate_control::{Filter, Recorded, Recorders};
use tollgate_decision::Reason;
use tollgate_testkit::{Client, Gate, Origin, PATIENCE, refusing};

use crate::plaza::Plaza;

/// The one entry that the filter takes, as soon as it is there: a client can have its answer a moment earlier.
fn recorded(recorders: &Recorders, filter: &Filter) -> Recorded {
    let began = Instant::now();
    loop {
        if let Some(found) = recorders.last(1, filter).pop() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "nothing for {filter:?}");
        std::thread::yield_now();
    }
}

fn told(recorded: &Recorded) -> Why {
    let snapshot = recorded.entry.snapshot.upgrade();
    let why = why(recorded, snapshot.as_deref(), Show::default());
    assert_eq!(why.doubt, None, "{why}");
    // It can be printed and parsed, whatever is in it.
    let json: Json = serde_json::from_str(&why.to_json().to_string()).unwrap();
    assert_eq!(json["cause"], why.cause);
    assert!(why.to_string().starts_with(&why.cause));
    why
}

fn by_reason(plaza: &Plaza, reason: Reason) -> Why {
    told(&recorded(&plaza.recorders(), &Filter { reason: Some(reason), ..Filter::default() }))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

const LIMITS: &str = "version: 1\nlisten: { address: \"127.0.0.1:0\", name: web, max_connections_per_address: 8 }\n\
    timeouts: { head: 50ms, body: 50ms }\nrecorder: { sample: 0%, slow: 1h }\n";

/// Each refusal with the request for it, and words that must be in the cause.
#[test]
fn refusals_are_told_by_what_was_asked_for() {
    let plaza = Plaza::start(
        &format!(
            "{LIMITS}routes:\n  - {{ name: shop, host: shop.example, path: /, respond: 200 }}\n  - \
             {{ name: beta, path: /beta, match: {{ headers: {{ X-Beta: \"1\" }} }}, respond: 200 }}\n  - \
             {{ name: small, path: /small, respond: 200, body: {{ max_size: 4B }} }}\n"
        ),
        1,
    );
    for (request, reason, words) in [
        (get("/beta"), Reason::NoRoute, &["path /beta", "beta, fails by header x-beta"][..]),
        (get("/a/../../b"), Reason::BadPath, &["above its root"]),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), Reason::DuplicateHost, &["more than once"]),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".into(),
            Reason::BadContentLength,
            &["decimal"],
        ),
        ("\u{1}\u{2}\r\n\r\n".into(), Reason::BadMethod, &["method"]),
        ("GET / HTTP/1.1\r\nHo".into(), Reason::HeadTimeout, &["did not arrive in time"]),
        (
            "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".into(),
            Reason::BodyTooLarge,
            &["larger than allowed"],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)),
            Reason::TargetTooLong,
            &["longer than allowed"],
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(60_000)),
            Reason::HeadTooLarge,
            &["larger than allowed"],
        ),
    ] {
        let mut client = plaza.connect();
        // It may be answered before its last byte is sent.
        let _ = client.try_send(&request);
        let response = client.response();
        assert_eq!(response.reason().as_deref(), Some(reason.code()), "{request:?}");
        // What the client got with the answer is enough to ask.
        let id = response.get("x-request-id").unwrap().to_owned();
        assert!(response.text().contains(&format!("\"instance\":\"{id}\"")), "{}", response.text());
        let why = by_reason(&plaza, reason);
        assert_eq!((why.request_id.as_str(), why.answer.by.as_str()), (id.as_str(), "Tollgate"), "{why}");
        assert_eq!(plaza.recorders().find(&id).len(), 1);
        assert!(words.iter().all(|word| why.cause.contains(word)), "{}", why.cause);
        assert_eq!(why.answer.status, reason.status());
    }
    assert_eq!(by_reason(&plaza, Reason::BodyTooLarge).chosen.0.as_deref(), Some("small"));
}

#[test]
fn a_refused_connection_is_told_too() {
    let plaza = Plaza::start(&format!("{LIMITS}routes: [{{ path: /, respond: 200 }}]\n"), 1);
    let _held: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = plaza.connect();
            assert_eq!(client.request(get("/")).status, 200);
            client
        })
        .collect();
    let mut refused = plaza.connect();
    let response = refused.response();
    assert_eq!(response.status, 429);
    let why = by_reason(&plaza, Reason::ClientAddressFull);
    assert_eq!(Some(why.request_id.as_str()), response.get("x-request-id"));
    assert_eq!((why.request, why.client.2.as_str()), (None, "web"));
}

#[test]
fn an_unreachable_upstream_is_told_attempt_by_attempt() {
    let (refused, _guard) = refusing();
    let plaza = Plaza::start(
        &format!(
            "{LIMITS}upstreams: {{ shop: {{ endpoints: [\"{refused}\"], ejection: none }} }}\n\
             routes: [{{ name: all, path: /, to: shop, retry: {{ attempts: 3, backoff: 1ms }} }}]\n"
        ),
        1,
    );
    let response =
        plaza.connect().request("GET /x?token=s3cret HTTP/1.1\r\nHost: a\r\nCookie: s3cret\r\n\r\n");
    assert_eq!(response.status, 502);
    let why = by_reason(&plaza, Reason::ConnectFailed);
    let endpoint = refused.to_string();
    assert!(why.cause.contains(&format!("{endpoint} of shop, the last attempt")), "{}", why.cause);
    assert_eq!(why.attempts.len(), 3);
    assert!(why.attempts.iter().all(|a| a.endpoint == endpoint && a.ended == "connect_failed"));
    assert!(why.attempts[1].because.contains("connect_failed"));
    assert!(why.attempts[1..].iter().all(|a| a.facts.waited_us > 0), "the back-off: {why}");
    assert_eq!(why.chosen, (Some("all".into()), Some("shop".into())));
    assert!(why.timeline.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{why}");
    let text = format!("{why}\n{}", why.to_json());
    assert!(!text.contains("s3cret") && text.contains("token=[hidden]"), "{text}");
}

#[test]
fn endpoints_that_were_out_are_told_as_they_were_then() {
    let (refused, _guard) = refusing();
    let plaza = Plaza::start(
        &format!(
            "{LIMITS}upstreams:\n  shop:\n    endpoints: [\"{refused}\"]\n    panic_threshold: 0%\n    \
             health: {{ tcp: {{}}, every: 1s, timeout: 500ms, fall: 1 }}\nroutes: [{{ path: /, to: shop, retry: none }}]\n"
        ),
        1,
    );
    let began = Instant::now();
    while plaza.connect().request(get("/")).status != 503 {
        assert!(began.elapsed() < PATIENCE);
    }
    let why = by_reason(&plaza, Reason::NoEndpoint);
    assert!(why.cause.contains(&format!("shop has {refused} (its probes fail)")), "{}", why.cause);
    assert!(why.attempts.is_empty());
    assert!(why.to_string().contains("not made: there was no endpoint to pick"), "{why}");
}

#[test]
fn origins_that_fail_are_told_by_how() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |connection| {
        let Some(request) = connection.request() else { return };
        match request.target() {
            "/silent" => held.wait(),
            "/cut" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
            "/garbage" => connection.send("what?\r\n\r\n"),
            _ => {}
        }
    });
    let plaza = Plaza::start(
        &format!(
            "{LIMITS}routes: [{{ name: all, path: /, to: \"http://{}\", retry: none, timeouts: {{ first_byte: 40ms }} }}]\n",
            origin.address()
        ),
        1,
    );
    for (path, reason, by) in [
        ("/silent", Reason::FirstByteTimeout, "Tollgate"),
        ("/garbage", Reason::BadResponse, "Tollgate"),
        ("/close", Reason::UpstreamClosed, "Tollgate"),
        ("/cut", Reason::ResponseIncomplete, "but not to its end"),
    ] {
        let mut client = plaza.connect();
        client.send(get(path));
        let _ = client.try_response();
        let why = by_reason(&plaza, reason);
        assert!(why.cause.contains(&origin.address().to_string()), "{}", why.cause);
        assert!(why.answer.by.ends_with(by), "{why}");
        assert_eq!(why.attempts[0].facts.outcome, Some(reason));
        if reason == Reason::FirstByteTimeout {
            assert!(why.attempts[0].facts.end_us >= 40_000, "{why}");
        }
    }
    gate.open();
}

#[test]
fn a_slow_exchange_is_told_by_where_its_time_went() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            held.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let document = format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\nrecorder: {{ slow: 30ms, sample: 0% }}\nroutes: [{{ path: /, to: \"http://{}\" }}]\n",
        origin.address()
    );
    let plaza = Plaza::start(&document, 1);
    let mut client = plaza.connect();
    let began = Instant::now();
    client.send(get("/"));
    origin.wait_for_requests(1);
    while began.elapsed() < Duration::from_millis(40) {
        std::thread::yield_now();
    }
    gate.open();
    assert_eq!(client.response().status, 200);
    let slow = Filter { slow: Some(Duration::from_millis(30)), ..Filter::default() };
    let found = recorded(&plaza.recorders(), &slow);
    let why = told(&found);
    assert_eq!(why.kept_as, "slow");
    assert!(why.cause.contains("waiting for the first byte of the response"), "{}", why.cause);
    // When the snapshot is gone, what was recorded is still told.
    let without = tollgate_control::why::why(&found, None, Show::default());
    assert!(
        without.doubt.is_some() && without.to_string().contains(&origin.address().to_string()),
        "{without}"
    );
}

#[test]
fn filters_take_what_they_should_and_nothing_is_kept_where_nothing_shall_be() {
    let document = |recorder: &str| {
        format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\nrecorder: {recorder}\nroutes:\n  - {{ name: a, path: /a, respond: 200 }}\n  - \
             {{ name: b, path: /b, respond: 204 }}\n"
        )
    };
    let plaza = Plaza::start(&document("{ sample: 100% }"), 2);
    for path in ["/a", "/b", "/a", "/c", "/b", "/a"] {
        plaza.connect().request(get(path));
    }
    let (recorders, _) = plaza.end();
    let count = |filter: &Filter| recorders.last(100, filter).len();
    assert_eq!(count(&Filter::default()), 6);
    assert_eq!(count(&Filter { route: Some("a".into()), ..Filter::default() }), 3);
    assert_eq!(count(&Filter { status: Some((204, 204)), ..Filter::default() }), 2);
    assert_eq!(
        count(&Filter { reason: Some(Reason::NoRoute), status: Some((200, 200)), ..Filter::default() }),
        0
    );
    assert_eq!(count(&Filter { slow: Some(Duration::from_secs(3600)), ..Filter::default() }), 0);
    assert_eq!(count(&Filter { upstream: Some(String::new()), ..Filter::default() }), 0);
    let newest = recorders.last(1, &Filter::default()).remove(0);
    assert_eq!(newest.entry.names.route.as_deref(), Some("a"));
    assert_eq!(count(&Filter { since: Some(newest.entry.began), ..Filter::default() }), 1);
    assert!(recorders.last(100, &Filter::default()).is_sorted_by(|a, b| a.entry.began >= b.entry.began));

    let plaza = Plaza::start(&document("none"), 1);
    plaza.connect().request(get("/c"));
    let (recorders, _) = plaza.end();
    assert_eq!(recorders.counts(), Default::default());
}

/// The trace is told as the client and the endpoint heard of it, also where it only passes.
#[test]
fn the_trace_is_told_with_the_span_of_each_attempt() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let origin = Origin::saying("hello");
    for tracing in ["", "tracing: { otlp: \"http://[::1]:9\" }\n"] {
        let document = format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\nrecorder: {{ sample: 100% }}\n{tracing}\
             routes: [{{ path: /, to: \"http://{}\" }}]\n",
            origin.address()
        );
        let plaza = Plaza::start(&document, 1);
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n\r\n");
        assert_eq!(plaza.connect().request(request).status, 200);
        let why = by_reason(&plaza, Reason::Forwarded);
        let (json, text) = (why.to_json(), why.to_string());
        assert_eq!(json["trace"]["trace_id"], TRACE, "{json}");
        let span = json["trace"]["span_id"].as_str().unwrap();
        let heard = origin.requests().pop().unwrap().get("traceparent").unwrap().to_owned();
        if tracing.is_empty() {
            assert_eq!((span, &json["attempts"][0]["span_id"]), ("00f067aa0ba902b7", &Json::Null));
            assert!(text.contains(&format!("trace       {TRACE}, span {span}, not sampled\n")), "{text}");
        } else {
            let attempt = json["attempts"][0]["span_id"].as_str().unwrap();
            assert_eq!(heard, format!("00-{TRACE}-{attempt}-01"));
            assert!(text.contains(&format!("trace       {TRACE}, span {span}\n")), "{text}");
            assert!(span != attempt && text.contains(&format!("            span {attempt}\n")), "{text}");
        }
        plaza.end();
    }
}
