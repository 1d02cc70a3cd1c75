//! Upgrades: WebSocket and the like.

use std::time::Duration;

use tollgate_testkit::{Client, Ending, Gate, Origin};

use crate::{forwarding, get};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Asks for an upgrade and gets it.
fn upgraded(client: &mut Client) {
    client.send(ASK);
    let response = client.any_response();
    assert_eq!((response.status, response.get("upgrade")), (101, Some("websocket")));
    assert_eq!(response.get("connection"), Some("Upgrade"));
    assert_eq!(response.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn bytes_pass_both_ways_until_both_have_finished() {
    let origin = Origin::start(|connection| {
        let request = connection.head().unwrap();
        assert_eq!(request.get("upgrade"), Some("websocket"));
        assert_eq!(request.get("connection"), Some("Upgrade"));
        connection.send([SWITCH, "hello from the origin"].concat());
        assert_eq!(connection.bytes(5).unwrap(), b"first");
        connection.send("second");
        // The client has finished; the origin has not.
        assert_eq!(connection.rest(), b"\x00third\xff");
        connection.send("the last word");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    upgraded(&mut client);
    assert_eq!(client.read_exact(21), b"hello from the origin");
    client.send("first");
    assert_eq!(client.read_exact(6), b"second");
    client.send(b"\x00third\xff");
    client.finish_sending();
    assert_eq!(client.ending(), Ending::Closed(b"the last word".to_vec()));
    origin.wait_for_ended(1);
}

#[test]
fn an_upgrade_passes_beside_other_connection_options() {
    let origin = Origin::start(|connection| {
        let request = connection.head().unwrap();
        assert_eq!((request.get("upgrade"), request.get("x-hop")), (Some("websocket"), None));
        connection.send(SWITCH.replace("Connection: Upgrade", "Connection: X-Hop, Upgrade\r\nX-Hop: 1"));
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(ASK.replace("keep-alive, Upgrade", "keep-alive, X-Hop, Upgrade\r\nX-Hop: 1"));
    let response = client.any_response();
    assert_eq!(
        (response.status, response.get("upgrade"), response.get("x-hop")),
        (101, Some("websocket"), None)
    );
}

#[test]
fn the_origin_may_finish_first() {
    let origin = Origin::start(|connection| {
        connection.head().unwrap();
        connection.send([SWITCH, "bye"].concat());
        connection.finish_sending();
        assert_eq!(connection.rest(), b"and you");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    upgraded(&mut client);
    assert_eq!(client.ending(), Ending::Closed(b"bye".to_vec()));
    client.send("and you");
    client.finish_sending();
    origin.wait_for_ended(1);
}

#[test]
fn a_client_that_finished_before_the_switch_has_finished_after_it() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.head().unwrap();
        for_origin.wait();
        connection.send(SWITCH);
        assert_eq!(connection.rest(), b"");
        connection.send("the last word");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(ASK);
    client.finish_sending();
    origin.wait_for_connections(1);
    client.assert_silent(Duration::from_millis(100));
    gate.open();
    assert_eq!(client.any_response().status, 101);
    assert_eq!(client.ending(), Ending::Closed(b"the last word".to_vec()));
}

#[test]
fn large_amounts_pass_unchanged() {
    let origin = Origin::start(|connection| {
        connection.head().unwrap();
        connection.send(SWITCH);
        while let Some(block) = connection.bytes(1000) {
            connection.send(block);
        }
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    upgraded(&mut client);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let mut sender = client.try_clone();
    let for_sender = bytes.clone();
    let sending = std::thread::spawn(move || sender.send(for_sender));
    assert!(client.read_exact(bytes.len()) == bytes);
    sending.join().unwrap();
}

#[test]
fn a_refused_upgrade_leaves_http_as_it_was() {
    let origin = Origin::answering(|request| {
        let status = if request.target() == "/chat" { "403 Forbidden" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno").into_bytes()
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    assert_eq!(client.request(ASK).status, 403);
    assert_eq!(client.request(get("/")).status, 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_an_error() {
    for request in [
        get("/"),
        // Without the connection option the field asks for nothing.
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        // HTTP/1.0 has no upgrades.
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        // Nobody here looks into HTTP/2 on such a connection.
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
            .to_owned(),
    ] {
        let origin = Origin::start(|connection| {
            connection.head().unwrap();
            connection.send([SWITCH, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"].concat());
            connection.rest();
        });
        let tollgate = forwarding(&origin);
        let response = tollgate.request(&request);
        assert_eq!((response.status, response.reason().as_deref()), (502, Some("bad_upgrade")), "{request}");
        let received = String::from_utf8(origin.received().concat()).unwrap().to_ascii_lowercase();
        assert!(!received.contains("upgrade") && !received.contains("http2-settings"), "{received}");
    }
}

/// Forwarding them would let a client speak to an origin that never switched.
#[test]
fn bytes_sent_early_are_held_until_the_origin_has_switched() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.head().unwrap();
        for_origin.wait();
        connection.send(SWITCH);
        assert_eq!(connection.bytes(10).unwrap(), b"too early!");
        connection.send("fine");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send([ASK, "too early!"].concat());
    origin.wait_for_connections(1);
    client.assert_silent(Duration::from_millis(100));
    assert!(!String::from_utf8_lossy(&origin.received()[0]).contains("early"));
    gate.open();
    assert_eq!(client.any_response().status, 101);
    assert_eq!(client.ending(), Ending::Closed(b"fine".to_vec()));
}

#[test]
fn bytes_sent_early_are_a_request_of_their_own_when_the_upgrade_is_refused() {
    let origin = Origin::saying("no");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send([ASK, &get("/next")].concat());
    assert_eq!(client.response().text(), "no");
    assert_eq!(client.response().text(), "no");
    let requests = origin.requests();
    assert_eq!((requests.len(), requests[1].target()), (2, "/next"));
    assert!(requests[1].get("x-request-id").is_some(), "it went through unseen");
}

/// What a client says after its tunnel has ended is nothing that may be served.
#[test]
fn bytes_after_a_tunnel_are_no_request() {
    let origin = Origin::start(|connection| {
        connection.head().unwrap();
        connection.send(SWITCH);
        connection.reset();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(ASK);
    assert_eq!(client.any_response().status, 101);
    for _ in 0..20 {
        if client.try_send(get("/smuggled")).is_err() {
            break;
        }
    }
    client.assert_ended();
    let received = String::from_utf8(origin.received().concat()).unwrap();
    assert!(
        !received
            .contains("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example")
    );
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_resets_its_tunnel_frees_the_origin() {
    let origin = Origin::start(|connection| {
        connection.head().unwrap();
        connection.send(SWITCH);
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    upgraded(&mut client);
    client.reset();
    origin.wait_for_ended(1);
}

/// RFC 9110 section 15.5.22: the field says what to upgrade to.
#[test]
fn a_426_keeps_the_field_that_says_what_to_upgrade_to() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"
            .to_vec()
    });
    let response = forwarding(&origin).request(get("/"));
    assert_eq!((response.status, response.get("upgrade")), (426, Some("websocket")));
}

/// The rest of such a body could not be told from what follows the upgrade.
#[test]
fn a_request_with_a_body_is_sent_on_without_its_upgrade() {
    let origin = Origin::saying("ok");
    let tollgate = forwarding(&origin);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(tollgate.request(request).status, 200);
    assert!(origin.requests()[0].get("upgrade").is_none());
}
