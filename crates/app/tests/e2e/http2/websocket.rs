//! WebSockets over streams of HTTP/2 (RFC 8441) to origins of HTTP/1.1, and tunnels when the process changes or ends.

use tollgate_testkit::http2::{Code, Exchange, Http2Client};
use tollgate_testkit::{Origin, PATIENCE, Tollgate};

use super::client;
use crate::{PRELUDE, launch};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Accepts WebSockets, and says back what it gets.
fn echo() -> Origin {
    Origin::start(|connection| {
        while let Some(request) = connection.head() {
            if request.get("upgrade") != Some("websocket") {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                continue;
            }
            assert_eq!(request.method(), "GET");
            assert_eq!(request.get("connection"), Some("Upgrade"));
            assert_eq!(request.get("sec-websocket-version"), Some("13"));
            let key = request.get("sec-websocket-key").expect("a key").to_owned();
            connection.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                accept_of(&key)
            ));
            while let Some(byte) = connection.bytes(1) {
                connection.send(byte);
            }
            connection.send("end");
            return;
        }
    })
}

/// Not what RFC 6455 asks for: whoever is in between does not look at it.
fn accept_of(key: &str) -> String {
    key.chars().rev().collect()
}

fn document(origin: &Origin, settings: &str, route: &str) -> String {
    format!(
        "{settings}\nroutes: [{{ name: all, path: /, to: \"http://{}\", retry: none, {route} }}]\n",
        origin.address()
    )
}

/// Asks for a WebSocket over a stream, and gets it.
fn open(client: &Http2Client) -> Exchange {
    assert_eq!(client.get("/").text(), "ok");
    assert!(client.offers_extended_connect());
    let fields =
        [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")];
    let mut call = client.begin("CONNECT", "/chat", &fields);
    let head = call.head().unwrap();
    assert_eq!((head.status, head.get("sec-websocket-protocol")), (200, Some("chat")));
    for name in ["upgrade", "connection", "sec-websocket-accept", "transfer-encoding"] {
        assert_eq!(head.get(name), None, "{name}");
    }
    call
}

fn says_back(call: &mut Exchange, bytes: &[u8]) {
    assert!(call.sending.send(bytes));
    assert_eq!(call.body().at_least(bytes.len()).unwrap(), bytes);
}

#[test]
fn a_websocket_over_a_stream_is_one_of_http1_to_its_origin() {
    let origin = echo();
    let tollgate = launch(&document(&origin, "", ""), &[]);
    let client = client(&tollgate);
    let mut first = open(&client);
    let mut second = open(&client);
    says_back(&mut first, b"\x81\x05hello");
    says_back(&mut second, &[7; 50_000]);
    says_back(&mut first, b"again");
    // The client's end is passed on, and what the origin says after that, and its end.
    first.sending.finish();
    let mut rest = Vec::new();
    first.body().rest(&mut rest).unwrap();
    assert_eq!(rest, b"end");
    says_back(&mut second, b"still");
    second.cancel();
    origin.wait_for_ended(2);
}

#[test]
fn an_origin_that_does_not_switch_makes_no_tunnel() {
    let origin = Origin::saying("no");
    let tollgate = launch(&document(&origin, "", ""), &[]);
    let client = client(&tollgate);
    assert_eq!(client.get("/").text(), "no");
    let mut call =
        client.begin("CONNECT", "/chat", &[(":protocol", "websocket"), ("sec-websocket-version", "13")]);
    let head = call.head().unwrap();
    assert_eq!(head.status, 502, "a success would be a tunnel");
    drop(call);
    let other = client.begin("CONNECT", "/chat", &[(":protocol", "something")]);
    assert_eq!(other.response().status, 501);
    assert_eq!(client.get("/").text(), "no");
}

#[test]
fn a_tunnel_that_carries_nothing_ends() {
    let origin = echo();
    let tollgate = launch(&document(&origin, "", "timeouts: { tunnel_idle: 300ms }"), &[]);
    let client = client(&tollgate);
    let mut call = open(&client);
    says_back(&mut call, b"hello");
    assert!(call.body().part().is_err());
    let mut plain = tollgate.connect();
    plain.send(ASK);
    assert_eq!(plain.head().status, 101);
    plain.send("hello");
    assert_eq!(plain.read_exact(5), b"hello");
    let _ = plain.ending();
    origin.wait_for_ended(1);
}

#[test]
fn reloads_touch_no_tunnel() {
    let origin = echo();
    let text = |step: usize| {
        let extra = format!("{PRELUDE}routes: [{{ name: \"r{step}\", path: \"/x{step}\", respond: 204 }},");
        document(&origin, "", "").replace("routes: [", &extra)
    };
    let tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, &text(0)).start();
    let client = client(&tollgate);
    let mut over_stream = open(&client);
    let mut plain = tollgate.connect();
    plain.send(ASK);
    assert_eq!(plain.head().status, 101);
    for step in 1..=50 {
        let line = tollgate.reload(&text(step));
        assert!(line.contains(" reload: "), "{line}");
        says_back(&mut over_stream, format!("step {step}").as_bytes());
        plain.send("x");
        assert_eq!(plain.read_exact(1), b"x");
    }
    assert!(!client.has_ended());
}

fn two_tunnels(tollgate: &Tollgate) -> (Http2Client, Exchange, tollgate_testkit::Client) {
    let client = client(tollgate);
    let over_stream = open(&client);
    let mut plain = tollgate.connect();
    plain.send(ASK);
    assert_eq!(plain.head().status, 101);
    (client, over_stream, plain)
}

#[test]
fn tunnels_have_a_grace_of_their_own() {
    let origin = echo();
    let settings = "shutdown: { grace: 1m, tunnel_grace: 500ms }";
    let mut tollgate = launch(&document(&origin, settings, ""), &[]);
    let (_client, mut over_stream, mut plain) = two_tunnels(&tollgate);
    let began = std::time::Instant::now();
    tollgate.terminate();
    tollgate.stderr_line("draining");
    says_back(&mut over_stream, b"still there");
    plain.send("x");
    assert_eq!(plain.read_exact(1), b"x");
    let cut = over_stream.body().part().expect_err("it was cut");
    assert_ne!(cut.code, Some(Code::NO_ERROR));
    let _ = plain.ending();
    assert_eq!(tollgate.wait().code(), Some(1), "{}", tollgate.stderr());
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn tunnels_may_outlive_the_grace_of_exchanges() {
    let origin = echo();
    let settings = "shutdown: { grace: 100ms, tunnel_grace: 1m }";
    let mut tollgate = launch(&document(&origin, settings, ""), &[]);
    let (_client, mut over_stream, mut plain) = two_tunnels(&tollgate);
    tollgate.terminate();
    tollgate.stderr_line("draining, at most 60s");
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_millis(1_500) {
        says_back(&mut over_stream, b"still there");
        plain.send("x");
        assert_eq!(plain.read_exact(1), b"x");
    }
    over_stream.sending.finish();
    over_stream.body().rest(&mut Vec::new()).unwrap();
    plain.finish_sending();
    let _ = plain.ending();
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());
}
