//! Interim responses, and responses that come before the request is complete.

use std::time::Duration;

use tollgate_testkit::{Gate, Origin};

use crate::{forwarding, get, launch};

#[test]
fn interim_responses_pass_at_once() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        connection.send("HTTP/1.1 102 Processing\r\n\r\n");
        for_origin.wait();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    let early = client.any_response();
    assert_eq!((early.status, early.get("link")), (103, Some("</a.css>")));
    assert_eq!(client.any_response().status, 102);
    gate.open();
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn an_expected_continue_comes_from_the_origin_alone() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while let Some(request) = connection.head() {
            assert_eq!(request.get("expect"), Some("100-continue"));
            for_origin.wait();
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(connection.bytes(5).unwrap(), b"hello");
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.send(head);
    origin.wait_for_connections(1);
    client.assert_silent(Duration::from_millis(200));
    gate.open();
    assert_eq!(client.any_response().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "ok");
    // And again on the same connections.
    client.send(head);
    assert_eq!(client.any_response().status, 100);
    assert_eq!(client.request("hello").text(), "ok");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_final_response_instead_of_a_continue_ends_the_connection() {
    let origin = Origin::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "no"));
    assert_eq!(response.get("connection"), Some("close"));
    client.assert_ended();
}

/// Whoever has answered may not have read the body, and what is left of it must not be taken for the
/// next request.
#[test]
fn the_rest_of_a_body_after_an_early_response_is_no_request() {
    let origin = Origin::start(|connection| {
        while let Some(request) = connection.head() {
            let body = request.target().to_owned();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let tollgate = forwarding(&origin);
    let smuggled = get("/smuggled");
    for framing in
        [format!("Content-Length: {}", smuggled.len() + 10), "Transfer-Encoding: chunked".to_owned()]
    {
        let mut client = tollgate.connect();
        client.send(format!("POST /first HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        assert_eq!(client.response().text(), "/first", "{framing}");
        // The connection may be closed already.
        let _ = client.try_send(&smuggled);
        client.assert_ended();
    }
    let received = String::from_utf8(origin.received().concat()).unwrap();
    assert!(!received.contains("GET /smuggled HTTP/1.1\r\nHost: a.example\r\nX-Forwarded"), "{received}");
}

#[test]
fn an_early_response_reaches_a_client_that_is_still_sending() {
    let origin = Origin::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        // Closes with most of the body unread, which resets the connection.
    });
    let tollgate = forwarding(&origin);
    for _ in 0..10 {
        let mut client = tollgate.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{}",
            "x".repeat(100_000)
        ));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
    }
}

#[test]
fn a_response_may_begin_while_the_request_goes_on() {
    let origin = Origin::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..5 {
            let piece = connection.bytes(5).unwrap();
            connection.send("5\r\n");
            connection.send(piece);
            connection.send("\r\n");
        }
        connection.send("0\r\n\r\n");
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for number in 0..5 {
        // Each piece must come back before the next is sent: neither direction waits for the other.
        client.send(format!("ping{number}"));
        assert_eq!(client.read_exact(10), format!("5\r\nping{number}\r\n").as_bytes());
    }
    assert_eq!(client.read_exact(5), b"0\r\n\r\n");
}

#[test]
fn a_failure_after_an_interim_response_is_told() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    assert_eq!(client.any_response().status, 103);
    let response = client.response();
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("upstream_closed")));
}

#[test]
fn refused_requests_with_a_body_end_the_connection() {
    let tollgate = launch("routes: [{ path: /a, respond: 204 }]\n", &[]);
    for (path, status) in [("/a", 204), ("/b", 404)] {
        let mut client = tollgate.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n{}", get("/a")));
        let response = client.response();
        assert_eq!((response.status, response.get("connection")), (status, Some("close")));
        client.assert_ended();
    }
}

/// Everything on a worker shares its buffers. A head that was left in one once stood in the middle of
/// another client's body.
#[test]
fn a_head_of_one_client_does_not_stand_in_the_body_of_another() {
    let go_on = Gate::new();
    let gate = go_on.clone();
    let origin = Origin::start(move |connection| {
        let request = connection.request().unwrap();
        match request.target() {
            "/body" => {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
                gate.wait();
                connection.send("world");
            }
            "/interim" => {
                connection.send("HTTP/1.1 103 Early Hints\r\nLink: </secret>\r\n\r\nHTTP/1.1 200");
                gate.wait();
            }
            "/upgrade" => {
                connection
                    .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
                gate.wait();
            }
            _ => connection
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Secret: 1\r\n\r\nnonsense"),
        }
    });
    let tollgate = forwarding(&origin);
    let mut reader = tollgate.connect();
    reader.send(get("/body"));
    assert_eq!(reader.head().status, 200);
    assert_eq!(reader.read_exact(5), b"hello");
    let mut others: Vec<_> = ["/interim", "/upgrade", "/broken"]
        .map(|path| {
            let mut other = tollgate.connect();
            other
                .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"));
            other.any_response();
            other
        })
        .into();
    go_on.open();
    assert_eq!(reader.read_exact(5), b"world");
    others.clear();
}
