//! What operators see.

use std::process::Command;

use tollgate_testkit::run;

use super::bench::{Bench, SHOP, await_status};
use crate::PROGRAM;
use crate::verbs::{json_of, verb};

#[test]
fn status_metrics_and_log_follow_an_order() {
    let bench = Bench::new();
    let tollgate = bench.start(&bench.document("http-01", &[SHOP]));
    let status = await_status(&tollgate, |status| status["ordering"] == true);
    assert!(status["expires"].is_null() && status["last_error"].is_null(), "{status}");
    let told = verb(&tollgate, &["status"]).stdout;
    assert!(told.contains("NEXT ORDER") && told.contains("○ ordering"), "{told}");
    bench.resolve(&tollgate, &[SHOP]);
    bench.obtained(&tollgate, SHOP);
    let status = await_status(&tollgate, |status| status["ordering"] == false);
    assert_eq!((&status["names"][0], &status["failures"]), (&SHOP.into(), &0.into()), "{status}");
    assert!(status["expires"].as_str() > status["next_order"].as_str(), "{status}");
    let next = tollgate.metric("tollgate_acme_next_order_timestamp_seconds{name=\"shop.example.com\"}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((59.0..62.0).contains(&((next - now) / 86_400.0)), "{next}");
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(
        told["certificates"][0]["id"], "acme:shop.example.com",
        "it is one of those that are served with"
    );
    // The order counts as begun in the log, and as over.
    let log = tollgate.stderr();
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(
        place("ACME: ordering a certificate") < place("ACME: the certificate for shop.example.com is there")
    );
}

#[test]
fn why_tells_of_a_challenge() {
    let bench = Bench::new();
    let document = bench.document("http-01", &[SHOP]);
    let tollgate = bench.start_with(&format!("{document}recorder: {{ sample: 100% }}\n"), &[SHOP]);
    let which = ["why", "--last", "--reason", "acme_challenge"];
    let told = verb(&tollgate, &which);
    assert_eq!(told.code, Some(0), "{told:?}");
    let json = json_of(&verb(&tollgate, &[&which[..], &["--json"]].concat()));
    let why = &json["exchanges"][0];
    assert!(why["reason"] == "acme_challenge" && why["doubt"].is_null(), "{why}");
    assert!(told.stdout.contains("200 from Tollgate"), "{told:?}");
}

#[test]
fn check_warns_where_no_authority_would_find_a_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    let check = |listen: &str, acme: &str| {
        let document = format!("version: 1\n{acme}listen: {listen}\nroutes: [{{ to: '127.0.0.1:1' }}]\n");
        std::fs::write(&path, document).unwrap();
        let output = run(Command::new(PROGRAM).arg("check").arg(&path));
        assert_eq!(output.code, Some(0), "{output:?}");
        format!("{}{}", output.stdout, output.stderr)
    };
    let elsewhere = "[\":8080\", { address: \":8443\", tls: { acme: [a.example.com] } }]";
    let said = check(elsewhere, "");
    assert!(said.contains("ACME asks on port 80") && said.contains("no listener is there"), "{said}");
    for (listen, acme) in [
        (elsewhere, "acme: { challenge: http-01 }\n"),
        (elsewhere, "acme: { challenge: tls-alpn-01 }\n"),
        ("[\":80\", { address: \":8443\", tls: { acme: [a.example.com] } }]", ""),
        ("https://a.example.com", ""),
        ("\":8080\"", ""),
    ] {
        assert!(!check(listen, acme).contains("ACME asks"), "{listen} {acme}");
    }
}
