//! What takes endpoints out and brings them back: failures of real traffic, probes, and how that is told.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::Value;
use tollgate_testkit::http2::{Http2Origin, Served};
use tollgate_testkit::{Origin, PATIENCE, Tollgate, run};

use crate::{PROGRAM, get, launch};

const HOUR: &str = "base: 1h, max: 1h";

/// An origin that always answers with this status.
fn answering(status: u16) -> Origin {
    Origin::answering(move |_| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// Sends requests until the program says this on standard error.
fn ask_until_told(tollgate: &Tollgate, text: &str) -> String {
    let mut client = tollgate.connect();
    let began = Instant::now();
    while !tollgate.stderr().contains(text) {
        client.request(get("/"));
        assert!(began.elapsed() < PATIENCE, "{text:?} is never told: {}", tollgate.stderr());
    }
    tollgate.stderr_line(text)
}

/// The value of a series; 0 where there is none.
fn metric(tollgate: &Tollgate, series: &str) -> f64 {
    let (status, text) = tollgate.api("GET", "/metrics", "");
    assert_eq!(status, 200);
    let mut values = text.lines().filter_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    values.next().unwrap_or(0.0)
}

fn events(tollgate: &Tollgate, query: &str) -> Value {
    let (status, text) = tollgate.api("GET", &format!("/api/v1/events{query}"), "");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn one_of_five_that_fails_more_than_the_others_is_ejected_and_all_ways_tell_of_it() {
    let good: Vec<Origin> = (0..4).map(|_| answering(200)).collect();
    let odd = std::sync::atomic::AtomicUsize::new(0);
    let bad = Origin::answering(move |_| {
        // Never two failures in a row.
        let status = if odd.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { 500 } else { 200 };
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let addresses: Vec<String> = good.iter().chain([&bad]).map(|o| format!("\"{}\"", o.address())).collect();
    let document = format!(
        "upstreams:\n  u:\n    endpoints: [{}]\n    ejection: {{ consecutive_5xx: 2, interval: 200ms, {HOUR}, \
         success_rate: {{ min_requests: 10 }} }}\nroutes: [{{ path: /, to: u }}]\n",
        addresses.join(", ")
    );
    let tollgate = launch(&document, &[]);
    let line = ask_until_told(&tollgate, "usable -> ejected: success_rate: ");
    assert!(line.contains(&format!("endpoint {} of u", bad.address())), "{line}");
    let mut client = tollgate.connect();
    assert!((0..50).all(|_| client.request(get("/")).status == 200));

    let ejections = |rule: &str| {
        metric(&tollgate, &format!("tollgate_ejections_total{{upstream=\"u\",rule=\"{rule}\"}}"))
    };
    assert_eq!((ejections("success_rate"), ejections("consecutive_5xx")), (1.0, 0.0));
    assert_eq!(metric(&tollgate, "tollgate_upstream_endpoints_ejected{upstream=\"u\"}"), 1.0);

    let told = events(&tollgate, "");
    let event = &told["events"][0];
    assert_eq!((&told["latest"], &event["number"]), (&Value::from(1), &Value::from(1)), "{told}");
    assert_eq!((&event["cause"], &event["to"]), (&"success_rate".into(), &"ejected".into()), "{told}");
    assert_eq!(event["endpoint"], bad.address().to_string());
    for nothing in ["?since=1", "?upstream=other", "?limit=0"] {
        assert_eq!(events(&tollgate, nothing)["events"], Value::Array(Vec::new()), "{nothing}");
    }
    let mut verb = Command::new(PROGRAM);
    let shown = run(verb.args(["events", "--upstream", "u"]).env("TOLLGATE_SOCKET", tollgate.socket()));
    let shown = shown.stdout;
    assert!(shown.lines().count() == 1 && shown.contains("usable -> ejected: success_rate"), "{shown}");
}

#[test]
fn in_shadow_an_ejection_is_told_and_counted_and_not_made() {
    let (bad, good) = (answering(500), answering(200));
    let document = format!(
        "upstreams: {{ u: {{ endpoints: [\"{}\", \"{}\"], ejection: {{ consecutive_5xx: 3, shadow: true, {HOUR} }} }} }}\n\
         routes: [{{ path: /, to: u }}]\n",
        bad.address(),
        good.address()
    );
    let tollgate = launch(&document, &[]);
    ask_until_told(&tollgate, "would be ejected (in shadow)");
    let mut client = tollgate.connect();
    let statuses: Vec<u16> = (0..20).map(|_| client.request(get("/")).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 10, "{statuses:?}");
    let series = "{upstream=\"u\",rule=\"consecutive_5xx\"}";
    assert_eq!(metric(&tollgate, &format!("tollgate_shadow_ejections_total{series}")), 1.0);
    assert_eq!(metric(&tollgate, &format!("tollgate_ejections_total{series}")), 0.0);
    assert_eq!(metric(&tollgate, "tollgate_upstream_endpoints_ejected{upstream=\"u\"}"), 0.0);
    let event = &events(&tollgate, "")["events"][0];
    assert_eq!((&event["shadow"], &event["from"]), (&true.into(), &event["to"]));
}

#[test]
fn calls_that_end_with_a_status_of_a_broken_server_eject_and_others_do_not() {
    let ending = |status: &'static str| {
        Http2Origin::start(move |mut served: Served| {
            let _ = served.body();
            served.answer(
                200,
                &[("content-type", "application/grpc")],
                [0, 0, 0, 0, 0],
                &[("grpc-status", status)],
            );
        })
    };
    // NOT_FOUND is an answer like any other, UNAVAILABLE is not.
    let (unavailable, not_found) = (ending("14"), ending("5"));
    let document = format!(
        "upstreams: {{ u: {{ endpoints: [\"{}\", \"{}\"], protocol: grpc, ejection: {{ {HOUR} }} }} }}\n\
         routes: [{{ grpc: {{}}, to: u, retry: none }}]\n",
        unavailable.address(),
        not_found.address()
    );
    let tollgate = launch(&document, &[]);
    let client = tollgate_testkit::http2::Http2Client::connect(tollgate.address());
    let began = Instant::now();
    let told = "5 failures in a row, the last one answered with gRPC status 14";
    while !tollgate.stderr().contains(told) {
        let mut call =
            client.begin("POST", "/a.B/C", &[("content-type", "application/grpc"), ("te", "trailers")]);
        call.sending.finish();
        let _ = call.response();
        assert!(began.elapsed() < PATIENCE, "{}", tollgate.stderr());
    }
    assert!(tollgate.stderr_line(told).contains(&unavailable.address().to_string()));
    assert!(!tollgate.stderr().contains("gRPC status 5"));
}

#[test]
fn a_probe_has_its_own_port_and_expects_a_body_and_until_it_passes_nobody_is_asked() {
    let ready = Arc::new(AtomicBool::new(false));
    let says = ready.clone();
    let (origin, status) = (
        answering(200),
        Origin::answering(move |_| {
            let word = if says.load(Ordering::SeqCst) { "ready" } else { "start" };
            // In pieces, so that only their sum holds it.
            let (first, second) = word.split_at(2);
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{first}\r\n3\r\n{second}\r\n0\r\n\r\n")
                .into_bytes()
        }),
    );
    let document = format!(
        "upstreams:\n  u:\n    endpoints: [\"{}\"]\n    panic_threshold: 0%\n    health:\n      \
         http: {{ path: /status, expect: {{ statuses: 200, body: {{ regex: \"^read.$\" }} }} }}\n      \
         port: {}\n      every: 50ms\n      start: down\n      rise: 1000\nroutes: [{{ path: /, to: u }}]\n",
        origin.address(),
        status.address().port(),
    );
    let tollgate = launch(&document, &[]);
    status.wait_for_requests(2);
    let refused = tollgate.request(get("/"));
    assert_eq!((refused.status, refused.reason().as_deref()), (503, Some("no_endpoint")));
    ready.store(true, Ordering::SeqCst);
    tollgate.stderr_line("down -> usable: its probe passed");
    assert_eq!(tollgate.request(get("/")).status, 200);
    assert_eq!(origin.only_request().target(), "/");
    let asked = &status.requests()[0];
    assert_eq!((asked.target(), asked.get("host")), ("/status", Some(&*status.address().to_string())));
    assert!(
        metric(
            &tollgate,
            &format!("tollgate_probes_failed_total{{upstream=\"u\",endpoint=\"{}\"}}", origin.address())
        ) >= 1.0
    );
}

#[test]
fn probes_are_fast_while_an_endpoint_changes_and_have_their_own_time_while_it_is_down() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // Three failures take it down; the fourth comes while it is; then two take it up again.
    let origin = Origin::answering(move |_| {
        let status = if asked.fetch_add(1, Ordering::SeqCst) < 4 { 500 } else { 200 };
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    // Were any of the times after the first probe the usual one, this would take an hour.
    let document = format!(
        "upstreams: {{ u: {{ endpoints: [\"{}\"], health: {{ path: /, every: 1h, fast: 20ms, slow: 40ms }} }} }}\n\
         routes: [{{ path: /, to: u }}]\n",
        origin.address()
    );
    // `slow` is faster than `every` here, which is told and no error.
    let tollgate = launch(&document, &[]);
    tollgate.stderr_line("usable -> down: its probe failed: status 500");
    tollgate.stderr_line("down -> usable: its probe passed");
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn a_tcp_probe_may_ask_for_the_handshake_of_tls() {
    // Takes connections and closes them.
    let plain = Origin::start(|_| {});
    let document = |tls: bool| {
        format!(
            "upstreams: {{ u: {{ endpoints: [\"{}\"], tls: true, health: {{ tcp: {{ tls: {tls} }}, every: 20ms }} }} }}\n\
             routes: [{{ path: /, to: u }}]\n",
            plain.address()
        )
    };
    let tollgate = launch(&document(true), &[]);
    tollgate.stderr_line("usable -> down: its probe failed");
    drop(tollgate);
    let seen = plain.connections();
    let tollgate = launch(&document(false), &[]);
    plain.wait_for_connections(seen + 5);
    assert!(!tollgate.stderr().contains("-> down"), "{}", tollgate.stderr());
}
