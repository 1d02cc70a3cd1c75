//! Bodies, however they are framed, in both directions.

use tollgate_testkit::{Framing, Origin, Response, Tollgate};

use crate::{forwarding, get};

/// Bytes without a pattern that a lost or doubled block could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.collect()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Sends in a thread, so that an origin that answers while it reads blocks nobody.
fn post(tollgate: &Tollgate, request: Vec<u8>) -> Response {
    let mut client = tollgate.connect();
    let mut sender = client.try_clone();
    let sending = std::thread::spawn(move || sender.send(request));
    let response = client.response();
    sending.join().unwrap();
    response
}

#[test]
fn bodies_of_every_size_come_back_unchanged() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    for size in [0, 1, 2, 1000, 4096, 16_384, 65_535, 65_536, 65_537, 131_072, 1_000_003, 5_000_000] {
        let body = noise(size);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let response = post(&tollgate, [head.as_bytes(), &body].concat());
        assert!(response.body == body, "{size} bytes of known length");
        for chunk in [1 + size / 3, 70_000, 1000] {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let response = post(&tollgate, [head, chunked(&body, chunk).as_slice()].concat());
            assert!(response.body == body, "{size} bytes in chunks of {chunk}");
        }
    }
    for request in origin.requests() {
        assert!(matches!(request.framing, Framing::Chunked | Framing::Length(_)), "{request:?}");
    }
}

#[test]
fn chunked_responses_come_back_unchanged() {
    let body = noise(3_000_000);
    for chunk in [500, 8192, 70_000, 3_000_000] {
        let framed = chunked(&body, chunk);
        let origin = Origin::answering(move |_| {
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framed.as_slice()].concat()
        });
        let tollgate = forwarding(&origin);
        let mut client = tollgate.connect();
        for _ in 0..2 {
            let response = client.request(get("/"));
            assert_eq!(response.framing, Framing::Chunked);
            assert!(response.body == body, "chunks of {chunk}");
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn a_body_without_a_length_reaches_the_client_in_chunks() {
    let body = noise(300_000);
    let sent = body.clone();
    let origin = Origin::start(move |connection| {
        connection.request();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n");
        connection.send(&sent);
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..2 {
        let response = client.request(get("/"));
        assert_eq!((response.framing, response.get("connection")), (Framing::Chunked, None));
        assert!(response.body == body);
    }
}

#[test]
fn an_empty_body_without_a_length_is_complete() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let response = forwarding(&origin).request(get("/"));
    assert_eq!((response.framing, response.body.len()), (Framing::Chunked, 0));
}

#[test]
fn responses_arrive_whole_byte_by_byte() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n03\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let origin = Origin::start(move |connection| {
            while connection.request().is_some() {
                connection.send_bytewise(text);
            }
        });
        let tollgate = forwarding(&origin);
        let mut client = tollgate.connect();
        for _ in 0..3 {
            assert_eq!(client.request(get("/")).text(), "hello", "{text}");
        }
    }
}

#[test]
fn trailers_pass_but_for_those_with_a_meaning_here() {
    let trailers = "X-Checksum: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\
                    Authorization: Basic x\r\nX-Forwarded-For: 9.9.9.9\r\nSet-Cookie: a=b\r\nServer-Timing: x;dur=1\r\n";
    let origin = Origin::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n")
            .into_bytes()
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..2 {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = client.request(format!("{head}3\r\nabc\r\n0\r\n{trailers}\r\n"));
        let kept =
            [("X-Checksum".to_owned(), "1".to_owned()), ("Server-Timing".to_owned(), "x;dur=1".to_owned())];
        assert_eq!(response.trailers, kept);
        assert_eq!(response.get("trailer"), Some("X-Checksum"));
        assert_eq!(origin.requests().last().unwrap().trailers, kept);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn chunk_extensions_are_not_passed_on() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = tollgate.request(format!("{head}5;secret=1\r\nhello\r\n0;more\r\n\r\n"));
    assert_eq!(response.text(), "hello");
    let received = String::from_utf8(origin.received().concat()).unwrap();
    assert!(!received.contains("secret") && !received.contains("more"), "{received}");
}

#[test]
fn head_responses_have_fields_but_no_body() {
    let origin = Origin::answering(|request| {
        let head = match request.target() {
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
            "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
        };
        head.as_bytes().to_vec()
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for (path, length) in [("/length", Some("1000000")), ("/chunked", None), ("/none", None)] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response_to_head();
        assert_eq!((response.status, response.get("content-length")), (200, length), "{path}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn head_gets_errors_without_a_body() {
    let origin = Origin::saying("");
    let tollgate =
        crate::launch("routes: [{ path: /a, to: \"http://{origin}\" }]\n", &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    client.send("HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!((response.status, response.reason().as_deref()), (404, Some("no_route")));
    client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().status, 200);
}

#[test]
fn statuses_without_a_body_have_none() {
    let origin = Origin::answering(|request| {
        let head = match request.target() {
            "/204" => "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"x\"\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        head.as_bytes().to_vec()
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for (path, status) in [("/204", 204), ("/304", 304), ("/200", 200)] {
        let response = client.request(get(path));
        assert_eq!((response.status, response.body.len()), (status, 0));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_body_where_none_may_be_does_not_reach_the_client() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil");
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..3 {
        let response = client.request(get("/"));
        assert_eq!((response.status, response.get("content-length")), (204, None));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_large_body_with_a_get_passes() {
    let origin = Origin::echo();
    let body = noise(200_000);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    assert!(post(&forwarding(&origin), [head.as_bytes(), &body].concat()).body == body);
}
