//! gRPC through the program: all kinds of calls, deadlines, cancellation, and failures as statuses of gRPC.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use tollgate_testkit::http2::{Code, Exchange, Http2Client, Http2Origin, Served};
use tollgate_testkit::{PATIENCE, Response, Silent, Tollgate, refusing};

use crate::launch;

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];
const OK: [(&str, &str); 1] = [("grpc-status", "0")];
const HEAD: [(&str, &str); 1] = [("content-type", "application/grpc")];

/// A message in its frame: not compressed, with its length.
fn message(text: &str) -> Vec<u8> {
    [&[0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

fn before(origin: &Http2Origin, settings: &str, route: &str) -> Tollgate {
    let document = format!(
        "{settings}\nupstreams: {{ up: {{ endpoints: [\"{}\"], protocol: grpc }} }}\n\
         routes: [{{ name: calls, grpc: {{ service: shop.Orders }}, to: up, {route} }}]\n",
        origin.address()
    );
    launch(&document, &[])
}

fn client(tollgate: &Tollgate) -> Http2Client {
    Http2Client::connect(tollgate.address())
}

fn call(client: &Http2Client, method: &str, fields: &[(&str, &str)]) -> Exchange {
    client.begin("POST", &format!("/shop.Orders/{method}"), &[&CALL[..], fields].concat())
}

/// A call with one message.
fn unary(client: &Http2Client, method: &str, fields: &[(&str, &str)]) -> Response {
    let mut call = call(client, method, fields);
    call.sending.send(message("request"));
    call.sending.finish();
    call.response()
}

/// The status of a call: in its trailers, or in its only head.
fn status(response: &Response) -> String {
    let trailer = response.trailers.iter().find(|(name, _)| name == "grpc-status");
    let found = trailer.map(|(_, value)| value.as_str()).or(response.get("grpc-status"));
    found.unwrap_or("none").to_owned()
}

/// What a failure made here says, and its reason.
fn refused(response: &Response, expected: &str, reason: &str) {
    assert_eq!(
        (response.status, response.get("content-type")),
        (200, Some("application/grpc")),
        "{response:?}"
    );
    assert_eq!(status(response), expected, "{response:?}");
    let told = response.get("grpc-message").unwrap_or_default();
    assert!(told.ends_with(&format!("({reason})")), "{told}");
    assert!(response.body.is_empty() && response.trailers.is_empty());
}

#[test]
fn calls_of_every_kind_pass_with_their_trailers() {
    let origin = Http2Origin::start(|mut served: Served| {
        assert_eq!(served.request.get("te"), Some("trailers"));
        match served.request.target() {
            "/shop.Orders/Only" => served.answer(200, &[HEAD[0], ("grpc-status", "5")], "", &[]),
            _ => {
                // Each message is answered by one as soon as it has come.
                served.begin(200, &HEAD);
                while let Ok(Some(part)) = served.receiving.part() {
                    assert!(served.sending().unwrap().send(&part));
                }
                served.sending().unwrap().finish_with(&[OK[0], ("grpc-message", "fine"), ("x-bin", "AAEC")]);
            }
        }
    });
    let tollgate = before(&origin, "", "retry: none");
    let client = client(&tollgate);
    let response = unary(&client, "Create", &[]);
    assert_eq!((response.body.clone(), status(&response)), (message("request"), "0".to_owned()));
    assert_eq!(response.trailers.len(), 3);
    let response = unary(&client, "Only", &[]);
    assert_eq!((response.status, response.get("grpc-status"), response.trailers.len()), (200, Some("5"), 0));
    let mut both = call(&client, "Both", &[]);
    for number in 0..50 {
        let text = message(&format!("message {number}"));
        assert!(both.sending.send(&text));
        if number == 0 {
            assert_eq!(both.head().unwrap().get("content-type"), Some("application/grpc"));
        }
        assert_eq!(both.body().at_least(text.len()).unwrap(), text);
    }
    both.sending.finish();
    assert_eq!(both.body().rest(&mut Vec::new()).unwrap()[0], ("grpc-status".to_owned(), "0".to_owned()));
}

#[test]
fn a_deadline_is_passed_on_reduced_and_kept() {
    let (told, seen) = mpsc::channel();
    let tries = AtomicUsize::new(0);
    let origin = Http2Origin::start(move |mut served: Served| {
        let _ = told.send(served.request.get("grpc-timeout").unwrap_or("none").to_owned());
        match served.request.target() {
            "/shop.Orders/Wait" => drop(served.wait_for_reset()),
            "/shop.Orders/Retried" if tries.fetch_add(1, Ordering::SeqCst) == 0 => {
                served.reset(Code::REFUSED_STREAM);
            }
            _ => {
                let _ = served.body();
                served.answer(200, &HEAD, "", &OK);
            }
        }
    });
    let tollgate = before(&origin, "", "retry: { attempts: 2, backoff: 300ms, max_backoff: 300ms }");
    let client = client(&tollgate);
    let millis = |text: String| text.strip_suffix('m').expect("milliseconds").parse::<u64>().unwrap();
    assert_eq!(status(&unary(&client, "Create", &[])), "0");
    assert_eq!(seen.recv().unwrap(), "none");
    assert_eq!(status(&unary(&client, "Create", &[("grpc-timeout", "1M")])), "0");
    let left = millis(seen.recv().unwrap());
    assert!((1..=60_000).contains(&left), "{left}");
    // The time of the first attempt and of the wait is gone.
    assert_eq!(status(&unary(&client, "Retried", &[("grpc-timeout", "60S")])), "0");
    let (first, second) = (millis(seen.recv().unwrap()), millis(seen.recv().unwrap()));
    assert!(second < first, "{first} then {second}");
    let response = unary(&client, "Wait", &[("grpc-timeout", "200m")]);
    refused(&response, "4", "deadline_exceeded");
}

#[test]
fn cancellation_reaches_the_endpoint_and_a_reset_of_the_endpoint_the_client() {
    let (told, heard) = mpsc::channel();
    let origin = Http2Origin::start(move |mut served: Served| {
        served.begin(200, &HEAD);
        let _ = served.sending().unwrap().send(message("first"));
        match served.request.target() {
            "/shop.Orders/Cut" => served.reset(Code::INTERNAL_ERROR),
            _ => {
                let _ = told.send(served.wait_for_reset());
            }
        }
    });
    let tollgate = before(&origin, "", "retry: none");
    let client = client(&tollgate);
    let mut cancelled = call(&client, "Watch", &[]);
    cancelled.head().unwrap();
    cancelled.cancel();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Some(Code::CANCEL));
    // What has begun ends with a status behind its messages, or, where even the head was overtaken, alone.
    let response = unary(&client, "Cut", &[]);
    assert_eq!((response.status, status(&response).as_str()), (200, "14"), "{response:?}");
}

#[test]
fn failures_made_here_are_statuses_of_grpc() {
    let origin = Http2Origin::start(|mut served: Served| {
        let _ = served.body();
        served.reset(Code::INTERNAL_ERROR);
    });
    let tollgate = before(&origin, "limits: { body_size: 100B }", "retry: none");
    let client = client(&tollgate);
    refused(&client_call_elsewhere(&client), "12", "no_route");
    refused(&unary(&client, "Reset", &[]), "14", "upstream_reset");
    let mut large = call(&client, "Large", &[]);
    large.sending.send(message(&"x".repeat(200)));
    refused(&large.response(), "8", "body_too_large");
    // Whoever speaks no gRPC gets a status of HTTP.
    let plain = client.ask("POST", "/nothing.Here/X", &[]).response();
    assert_eq!((plain.status, plain.reason().as_deref()), (404, Some("no_route")));
}

fn client_call_elsewhere(client: &Http2Client) -> Response {
    let mut call = client.begin("POST", "/nothing.Here/X", &CALL);
    call.sending.finish();
    call.response()
}

#[test]
fn endpoints_that_are_not_there_are_statuses_of_grpc() {
    let (nobody, _held) = refusing();
    let silent = Silent::new();
    for (address, timeouts, code, reason) in [
        (nobody, "", "14", "connect_failed"),
        (silent.address(), "timeouts: { connect: 200ms }", "14", "connect_timeout"),
    ] {
        let document = format!(
            "upstreams: {{ up: {{ endpoints: [\"{address}\"], protocol: grpc, ejection: none }} }}\n\
             routes: [{{ name: calls, grpc: {{}}, to: up, retry: none, {timeouts} }}]\n"
        );
        let tollgate = launch(&document, &[]);
        refused(&unary(&client(&tollgate), "Create", &[]), code, reason);
    }
    let document = format!(
        "upstreams: {{ up: {{ endpoints: [\"{nobody}\"], protocol: grpc, panic_threshold: 0%, health: {{ tcp: {{}}, every: 100ms, fall: 1 }} }} }}\n\
         routes: [{{ name: calls, grpc: {{}}, to: up, retry: none }}]\n"
    );
    let tollgate = launch(&document, &[]);
    let client = client(&tollgate);
    let began = std::time::Instant::now();
    let response = loop {
        let response = unary(&client, "Create", &[]);
        if response.get("grpc-message").is_some_and(|told| told.contains("no_endpoint")) {
            break response;
        }
        assert!(began.elapsed() < PATIENCE, "{response:?}");
    };
    refused(&response, "14", "no_endpoint");
}

#[test]
fn routes_are_found_by_service_and_method() {
    let origin = Http2Origin::start(|mut served: Served| {
        let _ = served.body();
        let tag = served.request.get("x-route").unwrap_or("none").to_owned();
        served.answer(200, &[HEAD[0], ("x-told", &tag)], "", &OK);
    });
    let route = |name: &str, matched: &str| {
        format!(
            "{{ name: {name}, grpc: {{ {matched} }}, to: up, headers: {{ request: {{ set: {{ x-route: {name} }} }} }} }}"
        )
    };
    let document = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"], protocol: grpc }} }}\nroutes: [{}, {}, {}]\n",
        origin.address(),
        route("create", "service: shop.Orders, method: Create"),
        route("orders", "service: shop.Orders"),
        route("list", "method: List"),
    );
    let tollgate = launch(&document, &[]);
    let client = client(&tollgate);
    for (path, expected) in [
        ("/shop.Orders/Create", Some("create")),
        ("/shop.Orders/Cancel", Some("orders")),
        ("/shop.Carts/List", Some("list")),
        ("/shop.Carts/Create", None),
    ] {
        let mut call = client.begin("POST", path, &CALL);
        call.sending.finish();
        let response = call.response();
        assert_eq!(response.get("x-told"), expected, "{path}: {response:?}");
    }
    // The same path without gRPC is another matter.
    assert_eq!(client.ask("POST", "/shop.Orders/Create", &[]).response().status, 404);
}

#[test]
fn the_health_protocol_takes_an_endpoint_out_and_in() {
    let well = Arc::new(AtomicBool::new(true));
    let said = well.clone();
    let origin = Http2Origin::start(move |mut served: Served| {
        let _ = served.body();
        if served.request.target() == "/grpc.health.v1.Health/Check" {
            // One field: status, SERVING or NOT_SERVING.
            let status = if said.load(Ordering::SeqCst) { 1 } else { 2 };
            return served.answer(200, &HEAD, [0, 0, 0, 0, 2, 8, status], &OK);
        }
        served.answer(200, &HEAD, message("ok"), &OK);
    });
    let document = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"], protocol: grpc, panic_threshold: 0%, health: {{ grpc: {{ service: shop.Orders }}, every: 50ms, fall: 1, rise: 1 }} }} }}\n\
         routes: [{{ name: calls, grpc: {{}}, to: up, retry: none }}]\n",
        origin.address()
    );
    let tollgate = launch(&document, &[]);
    let client = client(&tollgate);
    let until = |expected: &str| {
        let began = std::time::Instant::now();
        while status(&unary(&client, "Create", &[])) != expected {
            assert!(began.elapsed() < PATIENCE, "never {expected}");
        }
    };
    until("0");
    well.store(false, Ordering::SeqCst);
    until("14");
    well.store(true, Ordering::SeqCst);
    until("0");
}
