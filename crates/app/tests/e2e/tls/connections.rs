//! Connections with TLS on them: bodies, ends, time-outs, nonsense, drain.

use std::time::Duration;

use tollgate_testkit::{Client, Ending, Gate, Launch, Origin, TlsClient, Versions};

use super::{PRELUDE, RESPOND, Site, get, until};
use crate::PROGRAM;

const FORWARD: &str = "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n";

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[test]
fn large_bodies_go_both_ways() {
    const LENGTH: usize = 3 << 20;
    let origin = Origin::echo();
    let site = Site::with("", "", FORWARD, &[("origin", &origin.address())]);
    for versions in [Versions::Tls12, Versions::Tls13] {
        let tls = TlsClient::made(&site.authority, "shop.example", versions, None);
        let mut client = tls.connect(site.tollgate.address());
        let head = format!("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {LENGTH}\r\n\r\n");
        client.send(head);
        let mut sender = client.try_clone();
        let sending = std::thread::spawn(move || sender.send(body(LENGTH)));
        let response = client.response();
        sending.join().unwrap();
        assert_eq!(response.status, 200);
        assert!(response.body == body(LENGTH), "{versions:?}");
        // The connection serves on.
        assert_eq!(client.request(get("shop.example")).status, 200);
    }
}

#[test]
fn a_slow_reader_stalls_the_origin_and_loses_nothing() {
    const LENGTH: usize = 64 << 20;
    let (stuck, told) = std::sync::mpsc::channel();
    let origin = Origin::start_narrow(move |connection| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
        let sent = connection.send_until_stuck(Duration::from_millis(300), LENGTH as u64);
        stuck.send(sent).unwrap();
        let rest = vec![b'x'; LENGTH - sent as usize];
        connection.send(rest);
    });
    let site = Site::with("", "", FORWARD, &[("origin", &origin.address())]);
    let mut client = site.client().on(Client::connect_narrow(site.tollgate.address()));
    client.send(get("shop.example"));
    let sent = told.recv().unwrap();
    assert!(sent < LENGTH as u64 / 2, "{sent} bytes were taken though nobody reads");
    let (_, peak) = site.tollgate.memory_kib();
    assert!(peak < 400 * 1024, "{peak} KiB");
    client.head();
    client.skip(LENGTH as u64);
    assert_eq!(client.request(get("shop.example")).status, 200);
}

#[test]
fn a_request_that_is_cut_below_tls_is_not_taken_for_whole() {
    let origin = Origin::start(|connection| drop(connection.request()));
    let site = Site::with("", "", FORWARD, &[("origin", &origin.address())]);
    let mut client = site.client().connect(site.tollgate.address());
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    origin.wait_for_connections(1);
    client.cut_short();
    site.tollgate.await_metric("tollgate_exchanges_total{reason=\"client_closed\",side=\"client\"}", 1.0);
    origin.wait_for_ended(1);
    assert!(origin.requests().is_empty());
}

#[test]
fn an_idle_connection_ends_in_order() {
    let site = Site::start("", "", &format!("timeouts: {{ idle: 300ms }}\n{RESPOND}"));
    for versions in [Versions::Tls12, Versions::Tls13] {
        let tls = TlsClient::made(&site.authority, "shop.example", versions, None);
        let mut client = tls.connect(site.tollgate.address());
        assert_eq!(client.request(get("shop.example")).status, 200);
        // With `close_notify`: else this would be a reset.
        assert_eq!(client.ending(), Ending::Closed(Vec::new()), "{versions:?}");
        let closing = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        let mut client = tls.connect(site.tollgate.address());
        assert_eq!(client.request(closing).status, 200);
        assert_eq!(client.ending(), Ending::Closed(Vec::new()), "{versions:?}");
    }
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    let site = Site::start(", handshake_timeout: 200ms", "", RESPOND);
    for beginning in [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0, 1, 252]] {
        let mut client = Client::connect(site.tollgate.address());
        client.send(beginning);
        assert!(!matches!(client.ending().bytes(), b"HTTP"), "{beginning:?}");
    }
    let series = "tollgate_tls_handshakes_total{listener=\"web\",result=\"tls_handshake_timeout\"}";
    site.tollgate.await_metric(series, 3.0);
}

#[test]
fn what_is_no_tls_is_refused_and_the_next_is_served() {
    let site = Site::start("", "", RESPOND);
    let mut seed = 7_u64;
    for case in 0..30 {
        let mut garbage: Vec<u8> = (0..200)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as u8
            })
            .collect();
        match case % 3 {
            0 => garbage = get("shop.example").into_bytes(),
            1 => garbage.splice(..5, [22, 3, 1, 0, 100]).for_each(drop),
            _ => {}
        }
        let mut client = Client::connect(site.tollgate.address());
        let _ = client.try_send(&garbage);
        client.try_finish_sending();
        let ending = client.ending();
        assert!(!ending.bytes().starts_with(b"HTTP"), "case {case}: {ending:?}");
    }
    assert_eq!(site.client().connect(site.tollgate.address()).request(get("shop.example")).text(), "fine");
    assert!(
        site.tollgate.metric("tollgate_tls_handshakes_total{listener=\"web\",result=\"not_tls\"}") >= 10.0
    );
}

#[test]
fn draining_ends_idle_connections_in_order_and_lets_the_others_finish() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::answering(move |request| {
        if request.target() == "/slow" {
            waiting.wait();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine".to_vec()
    });
    let mut site = Site::with("", "", FORWARD, &[("origin", &origin.address())]);
    let mut idle = site.client().connect(site.tollgate.address());
    assert_eq!(idle.request(get("shop.example")).text(), "fine");
    let mut busy = site.client().connect(site.tollgate.address());
    busy.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    origin.wait_for_requests(2);
    site.tollgate.terminate();
    assert_eq!(idle.ending(), Ending::Closed(Vec::new()));
    gate.open();
    assert_eq!(busy.response().text(), "fine");
    assert_eq!(busy.ending(), Ending::Closed(Vec::new()));
    assert!(site.tollgate.wait().success());
}

#[test]
fn plain_requests_are_sent_to_https_which_is_told_to_stay() {
    let origin = Origin::saying("fine");
    let authority = tollgate_testkit::Authority::new("Test CA");
    let issued = authority.issue("shop", &["shop.example"]);
    let document = format!(
        "{PRELUDE}listen:\n  - {{ address: \"127.0.0.1:0\", redirect_https: 8443 }}\n  \
         - {{ address: \"127.0.0.1:0\", tls: {{ certificates: {} }}, hsts: {{ max_age: 1d, include_subdomains: true }} }}\n\
         routes: [{{ path: /, to: \"http://{}\" }}]\n",
        issued.yaml(),
        origin.address()
    );
    let tollgate = Launch::new(PROGRAM, &document).listeners(2).start();
    let mut plain = tollgate.connect();
    let redirected = plain.request("POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(redirected.status, 308);
    assert_eq!(redirected.get("location"), Some("https://shop.example:8443/a?b=c"));
    assert_eq!(redirected.get("strict-transport-security"), None);
    let mut secured = TlsClient::new(&authority, "shop.example").connect(tollgate.addresses()[1]);
    let response = secured.request(get("shop.example"));
    assert_eq!((response.status, response.text().as_str()), (200, "fine"));
    assert_eq!(response.all("strict-transport-security"), ["max-age=86400; includeSubDomains"]);
    assert_eq!(origin.only_request().all("x-forwarded-proto"), ["https"]);
}

#[test]
fn a_connection_is_counted_open_until_it_ends() {
    let site = Site::start("", "", RESPOND);
    let mut client = site.client().connect(site.tollgate.address());
    assert_eq!(client.request(get("shop.example")).status, 200);
    assert_eq!(site.tollgate.metric("tollgate_connections_open{listener=\"web\"}"), 1.0);
    client.finish_tls();
    assert_eq!(client.ending(), Ending::Closed(Vec::new()));
    until("the connection is closed", || {
        site.tollgate.metric("tollgate_connections_open{listener=\"web\"}") == 0.0
    });
}
