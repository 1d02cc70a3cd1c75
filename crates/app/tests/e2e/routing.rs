//! Routes and what they do.

use tollgate_testkit::Origin;

use crate::{get, launch};

#[test]
fn the_most_specific_route_wins() {
    let tollgate = launch(
        "routes:\n  - { name: rest, path: /, respond: { body: rest } }\n  \
         - { path: /a, respond: { body: prefix } }\n  \
         - { path: { exact: /a/b }, respond: { body: exact } }\n  \
         - { path: /a, method: POST, respond: { body: post } }\n  \
         - { path: /a, match: { headers: { X-Beta: { present: true } } }, respond: { body: beta } }\n  \
         - { path: /a, match: { query: { v: \"2\" } }, respond: { body: v2 } }\n  \
         - { host: \"*.b.example\", respond: { body: wild } }\n  \
         - { path: { regex: \"^/r/[0-9]+$\" }, respond: { body: regex } }\n",
        &[],
    );
    for (line, host, fields, body) in [
        ("GET /", "a", "", "rest"),
        ("GET /ab", "a", "", "rest"),
        ("GET /a", "a", "", "prefix"),
        ("GET /a/", "a", "", "prefix"),
        ("GET /a/b", "a", "", "exact"),
        ("GET /a/b/", "a", "", "prefix"),
        ("POST /a/c", "a", "", "post"),
        ("GET /a", "a", "x-beta: \r\n", "beta"),
        ("GET /a?v=2", "a", "", "v2"),
        ("GET /a?v=3", "a", "", "prefix"),
        ("GET /a", "x.b.example", "", "wild"),
        ("GET /r/17", "a", "", "regex"),
        ("GET /r/17x", "a", "", "rest"),
    ] {
        let response = tollgate.request(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        assert_eq!(response.text(), body, "{line} {host} {fields}");
    }
}

#[test]
fn what_no_route_takes_is_not_found() {
    let tollgate = launch("routes: [{ path: /a, method: GET, respond: 200 }]\n", &[]);
    let mut client = tollgate.connect();
    for request in [get("/b"), "DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
        let response = client.request(request);
        assert_eq!((response.status, response.reason().as_deref()), (404, Some("no_route")));
        // Nothing was wrong with the request itself.
        assert_eq!(response.get("connection"), None);
        let id = response.get("x-request-id").unwrap();
        assert!(response.text().contains(&format!("\"instance\":\"{id}\"")));
    }
}

#[test]
fn redirects_replace_parts_of_the_url() {
    let tollgate = launch(
        "routes:\n  - { path: /old, redirect: { path: { prefix: /new }, status: 301 } }\n  \
         - { path: /secure, redirect: { scheme: https, host: b.example } }\n  \
         - { path: /port, redirect: { scheme: https, port: 8443, status: 308 } }\n  \
         - { path: /full, redirect: { path: { full: /elsewhere }, status: 307 } }\n",
        &[],
    );
    let port = tollgate.address().port();
    for (path, status, location) in [
        ("/old/x?y=z", 301, format!("http://a.example:{port}/new/x?y=z")),
        ("/old", 301, format!("http://a.example:{port}/new")),
        ("/secure/x", 302, "https://b.example/secure/x".to_owned()),
        ("/port/x", 308, "https://a.example:8443/port/x".to_owned()),
        ("/full/x?y", 307, format!("http://a.example:{port}/elsewhere?y")),
    ] {
        let response = tollgate.request(get(path));
        assert_eq!((response.status, response.get("location")), (status, Some(location.as_str())), "{path}");
        assert_eq!(response.get("content-length"), Some("0"));
    }
}

#[test]
fn fixed_responses_are_what_the_document_says() {
    let tollgate = launch(
        "routes:\n  - path: /gone\n    \
         respond: { status: 410, body: \"gone\\n\", content_type: text/html, headers: { Cache-Control: no-store } }\n  \
         - { path: /none, respond: 204 }\n  - { path: /empty, respond: 200 }\n",
        &[],
    );
    let mut client = tollgate.connect();
    let response = client.request(get("/gone"));
    assert_eq!((response.line(), response.text().as_str()), ("HTTP/1.1 410 Gone", "gone\n"));
    assert_eq!(
        (response.get("content-type"), response.get("cache-control")),
        (Some("text/html"), Some("no-store"))
    );
    assert_eq!(response.get("proxy-status"), None);
    let response = client.request(get("/none"));
    assert_eq!((response.status, response.get("content-length")), (204, None));
    let response = client.request(get("/empty"));
    assert_eq!((response.status, response.get("content-length")), (200, Some("0")));
}

#[test]
fn paths_and_hosts_are_rewritten() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "routes:\n  - { path: /api, to: \"http://{origin}\", rewrite: { path: { prefix: /v2 }, host: inner.example } }\n  \
         - { path: /strip, to: \"http://{origin}\", rewrite: { path: { prefix: / } } }\n  \
         - { path: /full, to: \"http://{origin}\", rewrite: { path: { full: /fixed } } }\n",
        &[("origin", &origin.address())],
    );
    for (path, target, host) in [
        ("/api/x?q=1", "/v2/x?q=1", "inner.example"),
        ("/api", "/v2", "inner.example"),
        ("/api/", "/v2/", "inner.example"),
        ("/strip/a/b", "/a/b", "a.example"),
        ("/strip", "/", "a.example"),
        ("/full/anything?q", "/fixed?q", "a.example"),
    ] {
        assert_eq!(tollgate.request(get(path)).status, 200);
        let request = origin.requests().pop().unwrap();
        assert_eq!((request.target(), request.all("host")), (target, vec![host]), "{path}");
        assert_eq!(request.get("x-forwarded-host"), Some("a.example"));
    }
}

/// What was decoded for matching must not come out as a line of its own.
#[test]
fn a_rewrite_cannot_be_made_to_split_a_request() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "routes: [{ path: /api, to: \"http://{origin}\", rewrite: { path: { prefix: /v2 } } }]\n",
        &[("origin", &origin.address())],
    );
    for path in ["/api/a%20b", "/api/%3F", "/api/%23", "/api/%25"] {
        assert_eq!(tollgate.request(get(path)).status, 200, "{path}");
        let received = origin.requests().pop().unwrap();
        assert_eq!(received.target(), path.replace("/api", "/v2"));
    }
    for path in ["/api/%0d%0aX:y", "/api/%0aX", "/api/%00", "/api%0d"] {
        assert_eq!(tollgate.request(get(path)).reason().as_deref(), Some("bad_path"), "{path}");
    }
}

#[test]
fn a_split_shares_by_weight() {
    let (blue, green, none) = (Origin::saying("blue"), Origin::saying("green"), Origin::saying("none"));
    let tollgate = launch(
        "upstreams: { blue: [\"{blue}\"], green: [\"{green}\"], none: [\"{none}\"] }\n\
         routes: [{ path: /, split: { blue: 75, green: 25, none: 0 } }]\n",
        &[("blue", &blue.address()), ("green", &green.address()), ("none", &none.address())],
    );
    let mut client = tollgate.connect();
    for _ in 0..1000 {
        assert_eq!(client.request(get("/")).status, 200);
    }
    // Eight standard deviations: by chance once in 10^15 runs.
    let blues = blue.requests().len();
    assert!((640..860).contains(&blues), "{blues}");
    assert_eq!((blues + green.requests().len(), none.connections()), (1000, 0));
}

#[test]
fn requests_take_turns_by_weight() {
    let (one, two, zero) = (Origin::saying("1"), Origin::saying("2"), Origin::saying("0"));
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{one}\", { address: \"{two}\", weight: 3 }, { address: \"{zero}\", weight: 0 }]\n\
         routes: [{ path: /, to: u }]\n",
        &[("one", &one.address()), ("two", &two.address()), ("zero", &zero.address())],
    );
    let mut client = tollgate.connect();
    for _ in 0..80 {
        client.request(get("/"));
    }
    assert_eq!((one.requests().len(), two.requests().len(), zero.connections()), (20, 60, 0));
}

#[test]
fn header_edits_apply_to_both_messages() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: secret\r\nX-Old: 1\r\nX-More: 1\r\n\r\n".to_vec()
    });
    let tollgate = launch(
        "routes:\n  - path: /\n    to: \"http://{origin}\"\n    headers:\n      \
         request: { set: { X-Shop: main, User-Agent: toll }, add: { X-Also: \"2\" }, remove: [Cookie, x-debug] }\n      \
         response: { remove: Server, set: { x-old: new }, add: { X-More: \"2\" } }\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request(
        "GET / HTTP/1.1\r\nHost: a\r\nx-shop: evil\r\nX-SHOP: evil\r\nUser-Agent: curl\r\nCookie: a\r\nX-Debug: 1\r\n\
         X-Also: 1\r\n\r\n",
    );
    let request = origin.only_request();
    assert_eq!((request.all("x-shop"), request.all("user-agent")), (vec!["main"], vec!["toll"]));
    assert_eq!(request.all("x-also"), ["1", "2"]);
    assert_eq!((request.get("cookie"), request.get("x-debug")), (None, None));
    assert_eq!((response.get("server"), response.all("x-old")), (None, vec!["new"]));
    assert_eq!(response.all("x-more"), ["1", "2"]);
}

/// Some origins must be told what a proxy in front knows, and some must not be told anything.
#[test]
fn edits_have_the_last_word_on_what_is_added() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "forwarded: both\nroutes:\n  - path: /\n    to: \"http://{origin}\"\n    headers:\n      \
         request: { set: { X-Forwarded-Proto: https, X-Request-ID: mine }, remove: [Via, Forwarded, X-Forwarded-For] }\n      \
         response: { set: { Date: never }, remove: X-Request-ID }\n",
        &[("origin", &origin.address())],
    );
    let response = tollgate.request(get("/"));
    let request = origin.only_request();
    assert_eq!(
        (request.all("x-forwarded-proto"), request.all("x-request-id")),
        (vec!["https"], vec!["mine"])
    );
    for name in ["via", "forwarded", "x-forwarded-for"] {
        assert_eq!(request.get(name), None, "{name}");
    }
    assert_eq!(request.all("x-forwarded-host"), ["a.example"]);
    assert_eq!((response.all("date"), response.get("x-request-id")), (vec!["never"], None));
}

#[test]
fn edits_apply_to_fixed_responses_too() {
    let tollgate = launch(
        "routes:\n  - { path: /, respond: { body: hi }, headers: { response: { set: { X-Frame-Options: DENY, Server: mine } } } }\n",
        &[],
    );
    let response = tollgate.request(get("/"));
    assert_eq!((response.all("x-frame-options"), response.text().as_str()), (vec!["DENY"], "hi"));
    assert_eq!(response.all("server"), ["mine"]);
}

#[test]
fn several_listeners_share_the_routes() {
    let document = "version: 1\nworkers: 2\naccess_log: none\nlisten: [\"127.0.0.1:0\", \"[::1]:0\"]\n\
                    routes: [{ path: /, respond: { body: hi } }]\n";
    let tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, document).listeners(2).start();
    for address in tollgate.addresses() {
        let mut client = tollgate_testkit::Client::connect(*address);
        assert_eq!(client.request(get("/")).text(), "hi", "{address}");
    }
}
