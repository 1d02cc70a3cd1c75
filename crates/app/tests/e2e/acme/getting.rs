//! From no certificate to a request over TLS that a client believes.

use std::os::unix::fs::PermissionsExt;

use super::bench::{Bench, SHOP, WWW};
use crate::verbs::verb;

#[test]
fn a_name_gets_its_certificate_by_both_challenges_while_the_listener_waits() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let bench = Bench::new();
        let tollgate = bench.start(&bench.document(challenge, &[SHOP]));
        tollgate.stderr_line("ACME: ordering a certificate for shop.example.com");
        // The listener is there, and says what is missing. All else works.
        let visitor = bench.visitor(&tollgate, SHOP);
        let refused = visitor.visit().unwrap_err();
        assert!(refused.contains("alert") || refused.contains("eof"), "{refused}");
        tollgate.await_metric("tollgate_exchanges_total{reason=\"no_certificate\",side=\"client\"}", 1.0);
        let redirected = tollgate.request("GET /cart HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
        assert_eq!(redirected.status, 308, "{challenge}");
        bench.resolve(&tollgate, &[SHOP]);
        bench.obtained(&tollgate, SHOP);
        visitor.visit().unwrap();
        let counts = bench.server.counts();
        assert_eq!((counts.accounts, counts.orders, counts.validations, counts.certificates), (1, 1, 1, 1));
        assert_eq!(counts.problems, [""; 0]);
        // No reload took place.
        assert_eq!(tollgate.metric("tollgate_config_number"), 1.0);
        let answered = tollgate.metric("tollgate_exchanges_total{reason=\"acme_challenge\",side=\"nobody\"}");
        assert_eq!(answered, f64::from(u8::from(challenge == "http-01")));
        for file in bench.files() {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }
}

#[test]
fn each_name_has_a_certificate_of_its_own_and_others_are_refused_or_get_the_first() {
    let bench = Bench::new();
    let tollgate = bench.start_with(&bench.document("http-01", &[SHOP, WWW]), &[SHOP, WWW]);
    let shop = bench.visitor(&tollgate, SHOP).visit().unwrap();
    let www = bench.visitor(&tollgate, WWW).visit().unwrap();
    assert_ne!(shop, www);
    let refused = bench.visitor(&tollgate, "other.example.com").visit().unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.open_orders_max), (1, 2, 1));
}

/// A certificate for connections that are carried; the authority asks another listener than the one that wants it.
#[test]
fn tcp_listeners_have_certificates_too_and_any_listener_with_tls_answers() {
    let bench = Bench::new();
    let document = bench.document("tls-alpn-01", &[SHOP]);
    let tcp = format!(
        "  - {{ tcp: \"127.0.0.1:0\", tls: {{ acme: [{WWW}] }}, to: \"{}\" }}\nroutes:",
        bench.origin.address()
    );
    let document = document
        .replace("routes:", &tcp)
        .replace("  - { address: \"127.0.0.1:0\", redirect_https: true }\n", "");
    let tollgate = bench.start(&document);
    let [secured, carried] = tollgate.addresses() else { panic!("two listeners are expected") };
    bench.server.resolve(SHOP, None, Some(*carried));
    bench.server.resolve(WWW, None, Some(*secured));
    bench.obtained(&tollgate, SHOP);
    bench.obtained(&tollgate, WWW);
    bench.visitor_at(*secured, SHOP).visit().unwrap();
    bench.visitor_at(*carried, WWW).visit().unwrap();
    let refused = bench.visitor_at(*carried, SHOP).visit().unwrap_err();
    assert!(refused.contains("not valid for name"), "each listener has what it wants: {refused}");
}

/// What looks like a challenge and is none goes the way of all requests.
#[test]
fn paths_of_no_challenge_are_routed() {
    let bench = Bench::new();
    let document = bench.document("http-01", &[SHOP]).replace(", redirect_https: true", "");
    let tollgate = bench.start(&document);
    tollgate.stderr_line("ACME: ordering");
    for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/guess", "/.well-known/other"] {
        let response = tollgate.request(format!("GET {path} HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{path}");
    }
    assert_eq!(bench.origin.requests().len(), 3);
    bench.resolve(&tollgate, &[SHOP]);
    bench.obtained(&tollgate, SHOP);
    assert_eq!(bench.origin.requests().len(), 3, "the authority's question did not reach the origin");
    let told = verb(&tollgate, &["status"]).stdout;
    assert!(told.contains("● valid"), "{told}");
}
