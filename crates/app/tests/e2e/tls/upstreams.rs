//! TLS to endpoints.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Authority, Issued, Launch, Origin, TlsOrigin, Tollgate, Versions, Wanted};

use super::{PRELUDE, get, until};
use crate::PROGRAM;

fn answer(connection: &mut tollgate_testkit::Connection) {
    while connection.request().is_some() {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    }
}

fn origin(issued: &Issued) -> Origin {
    Origin::start_secured(&TlsOrigin::new(issued), answer)
}

fn launch(endpoints: &[&Origin], tls: &str, more: &str) -> Tollgate {
    let endpoints: Vec<String> = endpoints.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    let endpoints = endpoints.join(", ");
    let document = format!(
        "{PRELUDE}listen: \"127.0.0.1:0\"\nupstreams: {{ api: {{ endpoints: [{endpoints}], ejection: none, tls: {tls} }} }}\n\
         routes: [{{ name: all, path: /, to: api{more} }}]\n"
    );
    Launch::new(PROGRAM, &document).start()
}

fn ca(authority: &Authority) -> String {
    format!("{{ ca: \"{}\", name: origin.example }}", authority.roots().display())
}

/// How many exchanges ended for this reason.
fn failures(tollgate: &Tollgate, reason: &str) -> f64 {
    tollgate.metric(&format!("tollgate_exchanges_total{{reason=\"{reason}\",side=\"upstream\"}}"))
}

#[test]
fn connections_are_verified_named_and_used_again() {
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    for versions in [Versions::Tls12, Versions::Tls13] {
        let origin = Origin::start_secured(&TlsOrigin::made(&issued, versions, None), |connection| {
            assert_eq!(connection.server_name().as_deref(), Some("origin.example"));
            answer(connection);
        });
        let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
        let mut client = tollgate.connect();
        for _ in 0..5 {
            assert_eq!(client.request(get("shop.example")).text(), "fine");
            let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
            assert_eq!(client.request(post).text(), "fine");
        }
        assert_eq!(origin.connections(), 1, "{versions:?}");
        assert_eq!(tollgate.metric("tollgate_upstream_connections_reused_total{upstream=\"api\"}"), 9.0);
    }
}

#[test]
fn certificates_that_do_not_verify_are_refused() {
    let authority = Authority::new("Origin CA");
    let stranger = Authority::new("Somebody else");
    let cases = [
        authority.issue("other", &["other.example"]),
        authority.make("late", &Wanted::new(&["origin.example"]).days(-10, -1)),
        authority.make("early", &Wanted::new(&["origin.example"]).days(1, 10)),
        stranger.issue("origin", &["origin.example"]),
        authority.make("client", &Wanted::client("origin.example")),
    ];
    for issued in &cases {
        let origin = origin(issued);
        let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
        assert_eq!(tollgate.request(get("shop.example")).status, 502, "{:?}", issued.cert);
        until("it is counted", || failures(&tollgate, "upstream_certificate_refused") == 1.0);
        assert!(origin.requests().is_empty());
        // The ugly name takes them all.
        let tollgate =
            launch(&[&origin], "{ insecure_accept_any_certificate: true, name: origin.example }", "");
        assert_eq!(tollgate.request(get("shop.example")).text(), "fine", "{:?}", issued.cert);
    }
    // The system's authorities do not know ours.
    let origin = origin(&authority.issue("origin", &["origin.example", "127.0.0.1"]));
    let tollgate = launch(&[&origin], "true", ", retry: none");
    assert_eq!(tollgate.request(get("shop.example")).status, 502);
    // The endpoint's address is the name where the document gives none.
    let tollgate = launch(&[&origin], &format!("{{ ca: \"{}\" }}", authority.roots().display()), "");
    assert_eq!(tollgate.request(get("shop.example")).text(), "fine");
}

#[test]
fn an_origin_that_asks_for_a_certificate_gets_it() {
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    let shown = authority.make("tollgate", &Wanted::client("tollgate"));
    for versions in [Versions::Tls12, Versions::Tls13] {
        let expected = shown.der().to_vec();
        let tls = TlsOrigin::made(&issued, versions, Some(&authority));
        let origin = Origin::start_secured(&tls, move |connection| {
            assert_eq!(connection.peer_certificate(), Some(expected.clone()));
            answer(connection);
        });
        let settings = format!(
            "{{ ca: \"{}\", name: origin.example, client_cert: \"{}\", client_key: \"{}\" }}",
            authority.roots().display(),
            shown.cert.display(),
            shown.key.display()
        );
        let tollgate = launch(&[&origin], &settings, ", retry: none");
        assert_eq!(tollgate.request(get("shop.example")).text(), "fine");
        let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
        assert_eq!(tollgate.request(get("shop.example")).status, 502, "{versions:?}");
        until("it is told as a failure of TLS", || failures(&tollgate, "upstream_tls_failed") == 1.0);
    }
}

#[test]
fn a_failed_handshake_is_tried_again_elsewhere_whatever_the_method() {
    let authority = Authority::new("Origin CA");
    let good = origin(&authority.issue("origin", &["origin.example"]));
    let bad = origin(&authority.issue("other", &["other.example"]));
    let rude = Origin::start(|connection| drop(connection.bytes(1)));
    let tollgate = launch(&[&bad, &rude, &good], &ca(&authority), ", retry: { attempts: 3 }");
    for _ in 0..6 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(tollgate.request(post).text(), "fine");
    }
    assert_eq!(good.requests().len(), 6);
    assert!(bad.connections() > 0 && rude.connections() > 0);
}

#[test]
fn an_endpoint_whose_handshakes_fail_is_left_out() {
    let authority = Authority::new("Origin CA");
    let good = origin(&authority.issue("origin", &["origin.example"]));
    let bad = origin(&authority.make("late", &Wanted::new(&["origin.example"]).days(-10, -1)));
    let document = format!(
        "{PRELUDE}listen: \"127.0.0.1:0\"\nupstreams: {{ api: {{ endpoints: [\"{}\", \"{}\"], tls: {} }} }}\n\
         routes: [{{ name: all, path: /, to: api }}]\n",
        bad.address(),
        good.address(),
        ca(&authority)
    );
    let tollgate = Launch::new(PROGRAM, &document).start();
    for _ in 0..40 {
        assert_eq!(tollgate.request(get("a")).text(), "fine");
    }
    assert!(bad.connections() < 10, "{} handshakes with an endpoint that fails them all", bad.connections());
    tollgate.stderr_line("could not be connected to");
}

#[test]
fn sessions_with_endpoints_are_resumed() {
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    for versions in [Versions::Tls12, Versions::Tls13] {
        let origin = Origin::start_secured(&TlsOrigin::made(&issued, versions, None), |connection| {
            let resumed = connection.is_resumed();
            connection.request();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n{resumed:5}"
            ));
        });
        let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
        let answers: Vec<String> =
            (0..3).map(|_| tollgate.request(get("a")).text().trim().to_owned()).collect();
        assert_eq!(answers, ["false", "true", "true"], "{versions:?}");
    }
}

#[test]
fn what_tls_says_by_itself_does_not_cost_an_idle_connection() {
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    let (changed, told) = std::sync::mpsc::channel();
    let changed = Mutex::new(changed);
    let origin = Origin::start_secured(&TlsOrigin::made(&issued, Versions::Tls13, None), move |connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
            // Comes while the connection is idle, as late tickets do.
            connection.change_keys();
            changed.lock().unwrap().send(()).unwrap();
        }
    });
    let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
    let mut client = tollgate.connect();
    for _ in 0..5 {
        assert_eq!(client.request(get("shop.example")).text(), "fine");
        told.recv().unwrap();
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_response_that_is_cut_below_tls_is_not_taken_for_whole() {
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    let orderly = AtomicUsize::new(0);
    let origin = Origin::start_secured(&TlsOrigin::new(&issued), move |connection| {
        connection.request();
        // Its end is the end of the connection.
        connection.send("HTTP/1.1 200 OK\r\n\r\nthe whole of it");
        if orderly.fetch_add(1, Ordering::SeqCst) > 0 {
            connection.cut_short();
        }
    });
    let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
    assert_eq!(tollgate.request(get("a")).text(), "the whole of it");
    let mut client = tollgate.connect();
    client.send(get("a"));
    assert!(client.try_response().is_err(), "it looked whole");
    until("it is counted", || failures(&tollgate, "response_incomplete") == 1.0);
}

#[test]
fn large_bodies_go_both_ways() {
    const LENGTH: usize = 3 << 20;
    let authority = Authority::new("Origin CA");
    let issued = authority.issue("origin", &["origin.example"]);
    let origin = Origin::start_secured(&TlsOrigin::new(&issued), |connection| {
        while let Some(request) = connection.request() {
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            connection.send(&request.body);
        }
    });
    let tollgate = launch(&[&origin], &ca(&authority), ", retry: none");
    let body: Vec<u8> = (0..LENGTH).map(|at| (at * 31 + at / 251) as u8).collect();
    let mut client = tollgate.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let (mut sender, sent) = (client.try_clone(), body.clone());
    let sending = std::thread::spawn(move || sender.send(sent));
    assert!(client.response().body == body);
    sending.join().unwrap();
}
