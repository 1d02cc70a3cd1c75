//! HTTP/1.0 clients.

use tollgate_testkit::{Framing, Origin};

use crate::{forwarding, launch};

#[test]
fn the_connection_ends_with_the_response() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    let response = client.request("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(response.get("connection"), Some("close"));
    client.assert_ended();
    let request = origin.only_request();
    assert_eq!(request.line(), "GET / HTTP/1.1");
    // An HTTP/1.1 request must have the field, even if there is nothing to put into it.
    assert_eq!(request.all("host"), [""]);
}

#[test]
fn a_client_may_ask_to_keep_its_connection() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..3 {
        let response = client.request("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!((response.text().as_str(), response.get("connection")), ("hello", Some("keep-alive")));
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.requests()[0].all("connection"), Vec::<&str>::new());
}

#[test]
fn chunks_are_taken_off_for_those_who_do_not_know_them() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
            .to_vec()
    });
    let tollgate = forwarding(&origin);
    for wish in ["", "Connection: keep-alive\r\n"] {
        let response = tollgate.request(format!("GET / HTTP/1.0\r\nHost: a\r\n{wish}\r\n"));
        assert_eq!((response.framing, response.text().as_str()), (Framing::UntilClose, "abcde"));
        assert_eq!((response.get("connection"), response.get("transfer-encoding")), (Some("close"), None));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn interim_responses_are_not_for_them() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    let response = client.any_response();
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
}

#[test]
fn a_body_without_a_length_is_no_body() {
    // RFC 9112 section 6.3: a request that ends with its connection could not be answered.
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.0\r\n\r\nGET /smuggled HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "");
    client.assert_ended();
    assert_eq!(origin.only_request().body, b"");
}

#[test]
fn bodies_of_known_length_pass() {
    let origin = Origin::echo();
    let response = forwarding(&origin).request("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(response.text(), "hello");
}

#[test]
fn answers_of_our_own_fit_the_version() {
    let tollgate = launch("routes: [{ path: /a, respond: { body: hi } }]\n", &[]);
    let mut client = tollgate.connect();
    let response = client.request("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((response.text().as_str(), response.get("connection")), ("hi", Some("keep-alive")));
    let response = client.request("GET /b HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.get("connection")), (404, Some("close")));
    client.assert_ended();
}
