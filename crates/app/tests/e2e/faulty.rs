//! Origins that send what they should not, or not all of it.

use tollgate_testkit::{Client, Ending, Framing, Gate, Origin};

use crate::{forwarding, get, launch};

/// Sends these bytes after each request and then closes, or resets.
fn sending(bytes: impl Into<Vec<u8>>, reset: bool) -> Origin {
    let bytes = bytes.into();
    Origin::start(move |connection| {
        connection.request();
        connection.send(&bytes);
        if reset {
            connection.reset();
        }
    })
}

#[test]
fn a_response_that_is_cut_is_never_presented_as_complete() {
    for (name, bytes) in [
        ("known length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("known length, no body yet", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello"),
        ("between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("before the last line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
        ("in the trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y"),
    ] {
        let origin = sending(bytes, false);
        let tollgate = forwarding(&origin);
        for version in ["1.1", "1.0"] {
            let mut client = tollgate.connect();
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
            let broken = client.try_response().expect_err(name);
            // To a client that reads until the end, only a reset tells that something is missing.
            assert!(broken.reset, "{name} to HTTP/{version}: {broken:?}");
        }
    }
}

#[test]
fn a_reset_in_a_body_until_the_end_is_a_cut() {
    for version in ["1.1", "1.0"] {
        let seen = Gate::new();
        let for_origin = seen.clone();
        let origin = Origin::start(move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\n\r\nhello");
            for_origin.wait();
            connection.reset();
        });
        let tollgate = forwarding(&origin);
        let mut client = tollgate.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        seen.open();
        let ending = client.ending();
        assert!(matches!(ending, Ending::Reset(_)), "HTTP/{version}: {ending:?}");
    }
}

#[test]
fn a_large_response_that_is_cut_is_a_cut() {
    for framing in ["Content-Length: 3000000", "Transfer-Encoding: chunked"] {
        let chunked = framing.contains("chunked");
        let body =
            if chunked { format!("2dc6c0\r\n{}", "x".repeat(1_000_000)) } else { "x".repeat(1_000_000) };
        for reset in [false, true] {
            let origin = sending(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}"), reset);
            let tollgate = forwarding(&origin);
            let mut client = tollgate.connect();
            client.send(get("/"));
            let broken = client.try_response().expect_err(framing);
            assert!(broken.reset, "{framing}");
        }
    }
}

#[test]
fn what_is_no_http_is_a_bad_response() {
    for (bytes, reason) in [
        ("junk\r\n\r\n", "bad_response"),
        ("220 mail.example ESMTP\r\n", "bad_response"),
        ("<html>hello</html>", "bad_response"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "bad_response"),
        ("\x15\x03\x01\x00\x02\x02\x46", "bad_response"),
        ("HTTP/0.9 200 OK\r\n\r\n", "bad_response"),
        ("HTTP/2.0 200 OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1 20 OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1 099 OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1 abc OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1  200 OK\r\n\r\n", "bad_response"),
        ("ICY 200 OK\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\n\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\n: y\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "bad_response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "bad_response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\n\r\nhello", "bad_response"),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello", "bad_response"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "bad_response",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", "bad_response"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n", "bad_response"),
        ("HTTP/1.1 200 OK\r\nX: y", "response_incomplete"),
        ("H", "response_incomplete"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "bad_upgrade"),
        ("", "upstream_closed"),
    ] {
        let origin = sending(bytes, false);
        let tollgate = forwarding(&origin);
        let mut client = tollgate.connect();
        let response = client.request(get("/"));
        assert_eq!((response.status, response.reason().as_deref()), (502, Some(reason)), "{bytes:?}");
        // The client's connection is as good as before.
        assert_eq!(client.request(get("/")).status, 502, "{bytes:?}");
    }
}

#[test]
fn bad_responses_are_seen_byte_by_byte_too() {
    for bytes in [
        "HTTP/1.1 200 OK\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "nonsense",
    ] {
        let origin = Origin::start(move |connection| {
            connection.request();
            connection.send_bytewise(bytes);
            connection.rest();
        });
        let response = forwarding(&origin).request(get("/"));
        assert_eq!((response.status, response.reason().as_deref()), (502, Some("bad_response")), "{bytes:?}");
    }
}

#[test]
fn a_chunk_that_is_broken_later_cuts_the_response() {
    let origin = sending("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false);
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    assert!(client.try_response().unwrap_err().reset);
}

#[test]
fn heads_of_responses_have_a_largest_size() {
    let endless = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection.try_send("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    let response = forwarding(&endless).request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("response_head_too_large")));
    let large =
        sending(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "x".repeat(40_000)), false);
    let response = forwarding(&large).request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("response_head_too_large")));
    let limited = launch(
        "limits: { response_head_size: 64KiB }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &large.address())],
    );
    assert_eq!(limited.request(get("/")).status, 200);
}

#[test]
fn equal_lengths_are_one() {
    let origin =
        sending("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\ncontent-length: 5\r\n\r\nhello", false);
    let response = forwarding(&origin).request(get("/"));
    assert_eq!((response.framing, response.all("content-length").len()), (Framing::Length(5), 1));
}

#[test]
fn an_endless_row_of_interim_responses_is_passed_without_being_collected() {
    let origin = Origin::start_narrow(|connection| {
        connection.request();
        while connection
            .try_send("HTTP/1.1 103 Early Hints\r\nLink: </aaaaaaaaaaaaaaaaaaaa>\r\n\r\n".repeat(100))
            .is_ok()
        {}
    });
    let tollgate = forwarding(&origin);
    let mut client = Client::connect_narrow(tollgate.address());
    client.send(get("/"));
    for _ in 0..2000 {
        assert_eq!(client.any_response().status, 103);
    }
    let (now, _) = tollgate.memory_kib();
    assert!(now < 100_000, "{now} KiB");
}

#[test]
fn errors_of_origins_pass_as_they_are() {
    for status in [400, 404, 500, 502, 503, 599] {
        let origin = Origin::answering(move |_| {
            format!("HTTP/1.1 {status} Own Words\r\nContent-Length: 3\r\n\r\nown").into_bytes()
        });
        let response = forwarding(&origin).request(get("/"));
        assert_eq!((response.status, response.text().as_str(), response.reason()), (status, "own", None));
        assert!(response.line().ends_with("Own Words"));
    }
}
