//! Header fields: what passes untouched, what belongs to one connection, what origins hear of clients.

use tollgate_testkit::{Origin, Request, Response, Tollgate};

use crate::{forwarding, get, launch};

fn exchanged(tollgate: &Tollgate, origin: &Origin, fields: &str) -> (Request, Response) {
    let response = tollgate.request(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"));
    assert_eq!(response.status, 200, "{fields}");
    (origin.requests().pop().unwrap(), response)
}

#[test]
fn fields_keep_their_spelling_and_order() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 Fine By Me\r\nsErVeR: x\r\nContent-LENGTH: 0\r\nX-b: 1\r\nX-A:2\r\nx-B:  3\r\ndate: yesterday\r\n\r\n"
            .to_vec()
    });
    let tollgate = forwarding(&origin);
    let request = "GET / HTTP/1.1\r\nX-b: 1\r\nhOsT: a.example\r\nX-A:2\r\nCookie: a=b\r\nx-B:  3 \r\nCookie: c=d\r\n\r\n";
    let response = tollgate.request(request);
    assert_eq!(response.line(), "HTTP/1.1 200 Fine By Me");
    assert_eq!(&response.names()[..6], ["sErVeR", "Content-LENGTH", "X-b", "X-A", "x-B", "date"]);
    assert_eq!(response.all("date"), ["yesterday"]);
    let received = String::from_utf8(origin.received().concat()).unwrap();
    let untouched = &request["GET / HTTP/1.1\r\n".len()..request.len() - 2];
    assert!(received.starts_with(&format!("GET / HTTP/1.1\r\n{untouched}")), "{received}");
}

#[test]
fn bytes_beyond_ascii_pass_in_values() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 \xe4\r\nContent-Length: 0\r\nX: \xff\xe4\t \xc3\xa4\r\n\r\n".to_vec()
    });
    let tollgate = forwarding(&origin);
    let response = tollgate.request(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe4 \xc3\xa4\r\n\r\n");
    assert_eq!(response.get("x"), Some("\u{ff}\u{e4}\t \u{c3}\u{a4}"));
    assert_eq!(origin.only_request().get("x"), Some("\u{ff}\u{e4} \u{c3}\u{a4}"));
}

#[test]
fn fields_of_one_connection_do_not_pass() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nX-Public: 1\r\n\
          Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n\r\n"
            .to_vec()
    });
    let tollgate = forwarding(&origin);
    let (request, response) = exchanged(
        &tollgate,
        &origin,
        "Connection: x-private , X-More\r\nconnection: Keep-Alive\r\nX-Private: 1\r\nX-PRIVATE: 2\r\nX-More: 3\r\n\
         X-Public: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: websocket\r\nTE: gzip\r\n\
         HTTP2-Settings: AA\r\n",
    );
    for name in [
        "connection",
        "x-private",
        "x-more",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "te",
        "http2-settings",
    ] {
        assert_eq!(request.get(name), None, "request {name}");
    }
    for name in ["connection", "x-private", "keep-alive", "proxy-connection", "upgrade", "proxy-authenticate"]
    {
        assert_eq!(response.get(name), None, "response {name}");
    }
    assert_eq!((request.get("x-public"), response.get("x-public")), (Some("1"), Some("1")));
}

#[test]
fn the_wish_for_trailers_is_told_anew() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    let (request, _) = exchanged(&tollgate, &origin, "Connection: TE\r\nTE: gzip;q=0.5, Trailers\r\n");
    assert_eq!((request.all("te"), request.all("connection")), (vec!["trailers"], vec!["TE"]));
}

/// A request without its length, its host or what the proxy says of the client would be another.
#[test]
fn what_carries_a_request_cannot_be_named_away() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let options = "Connection: host, content-length, transfer-encoding, x-forwarded-for, x-forwarded-proto, x-request-id, via";
    let response = tollgate
        .request(format!("POST / HTTP/1.1\r\nHost: a\r\n{options}\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(response.text(), "hello");
    let request = origin.only_request();
    assert_eq!((request.all("host"), request.all("content-length")), (vec!["a"], vec!["5"]));
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-request-id", "via"] {
        assert_eq!(request.all(name).len(), 1, "{name}");
    }
    let response = tollgate.request(format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{options}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ));
    assert_eq!(response.status, 200);
}

#[test]
fn a_stranger_cannot_say_who_it_is() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    let (request, response) = exchanged(
        &tollgate,
        &origin,
        "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: evil\r\nX-Forwarded-Port: 1\r\n\
         X-Real-IP: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Request-ID: mine\r\n",
    );
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    assert_eq!(request.all("x-forwarded-host"), ["a.example"]);
    for name in ["x-forwarded-port", "x-real-ip", "forwarded"] {
        assert!(
            !request.all(name).iter().any(|v| v.contains("9.9.9.9") || *v == "1"),
            "{name}: {:?}",
            request.all(name)
        );
    }
    assert_eq!(request.all("via"), ["1.1 tollgate"]);
    let id = request.get("x-request-id").unwrap();
    assert_eq!((id.len(), response.all("x-request-id")), (36, vec![id]));
}

#[test]
fn each_request_has_an_id_of_its_own() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    let ids: std::collections::HashSet<String> =
        (0..50).map(|_| client.request(get("/")).get("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "trusted_proxies: [127.0.0.0/8]\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    let (request, response) = exchanged(
        &tollgate,
        &origin,
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
         X-Forwarded-Port: 443\r\nX-Real-IP: 203.0.113.9\r\nX-Request-ID: its-own_id.1\r\n",
    );
    assert_eq!(request.all("x-forwarded-for"), ["203.0.113.9", "127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["https"]);
    assert_eq!(request.all("x-forwarded-host"), ["shop.example"]);
    assert_eq!(request.all("x-forwarded-port"), ["443"]);
    assert_eq!(request.all("x-request-id"), ["its-own_id.1"]);
    assert_eq!(response.all("x-request-id"), ["its-own_id.1"]);
    // An id that could break a log or a header is replaced, even from a friend.
    for id in ["a b", "\u{e4}", &"x".repeat(200), ""] {
        let (request, _) = exchanged(&tollgate, &origin, &format!("X-Request-ID: {id}\r\n"));
        assert_eq!(request.get("x-request-id").unwrap().len(), 36, "{id:?}");
    }
}

#[test]
fn forwarded_can_be_the_standard_one() {
    let origin = Origin::saying("");
    let both = |kind: &str| {
        launch(
            "forwarded: {kind}\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
            &[("origin", &origin.address()), ("kind", &kind)],
        )
    };
    let stranger = "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 9.9.9.9\r\n";
    let (request, _) = exchanged(&both("rfc7239"), &origin, stranger);
    assert_eq!(request.all("forwarded"), ["for=127.0.0.1;host=\"a.example\";proto=http"]);
    assert_eq!(request.all("x-forwarded-for"), Vec::<&str>::new());
    let (request, _) = exchanged(&both("both"), &origin, stranger);
    assert_eq!((request.all("forwarded").len(), request.all("x-forwarded-for").len()), (1, 1));
    let (request, _) = exchanged(&both("none"), &origin, stranger);
    assert_eq!((request.all("forwarded").len(), request.all("x-forwarded-for").len()), (0, 0));
}

#[test]
fn a_missing_date_is_added() {
    let origin = Origin::saying("");
    let (_, response) = exchanged(&forwarding(&origin), &origin, "");
    let date = response.get("date").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
}

#[test]
fn credentials_and_cookies_pass() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nWWW-Authenticate: Basic\r\n\r\n".to_vec()
    });
    let (request, response) = exchanged(
        &forwarding(&origin),
        &origin,
        "Authorization: Basic eDp5\r\nCookie: a=b\r\nRange: bytes=0-1\r\n",
    );
    assert_eq!(request.get("authorization"), Some("Basic eDp5"));
    assert_eq!((request.get("cookie"), request.get("range")), (Some("a=b"), Some("bytes=0-1")));
    assert_eq!(
        (response.all("set-cookie"), response.get("www-authenticate")),
        (vec!["a=b", "c=d"], Some("Basic"))
    );
}

#[test]
fn large_heads_pass_both_ways() {
    let origin = Origin::answering(|request| {
        let fields: String = (0..80).map(|n| format!("X-{n}: {}\r\n", "r".repeat(300))).collect();
        format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Got: {}\r\n{fields}\r\nabc", request.names().len())
            .into_bytes()
    });
    let tollgate = forwarding(&origin);
    let fields: String = (0..80).map(|n| format!("X-{n}: {}\r\n", "q".repeat(350))).collect();
    let (request, response) = exchanged(&tollgate, &origin, &fields);
    assert_eq!((request.get("x-79").unwrap().len(), response.get("x-79").unwrap().len()), (350, 300));
    assert_eq!(response.text(), "abc");
}
