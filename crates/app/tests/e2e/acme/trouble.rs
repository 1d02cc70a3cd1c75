//! What goes wrong, and what goes on.

use std::process::Command;

use tollgate_testkit::{Mischief, run};

use super::bench::{Bench, SHOP, WWW, await_status};
use crate::PROGRAM;
use crate::verbs::verb;

#[test]
fn a_directory_that_is_down_at_the_start_is_asked_again() {
    let bench = Bench::new();
    bench.server.misbehave(Mischief::Hangup, 1000);
    let tollgate = bench.start(&bench.document("http-01", &[SHOP]));
    let line = tollgate.stderr_line("ACME: shop.example.com: ");
    assert!(line.contains("; next try at "), "{line}");
    let status = await_status(&tollgate, |status| status["failures"].as_u64() >= Some(1));
    assert!(status["expires"].is_null() && status["last_error"]["problem"].is_string(), "{status}");
    let told = verb(&tollgate, &["status"]).stdout;
    assert!(
        told.contains("✗ missing") && told.contains("there is no certificate for shop.example.com"),
        "{told}"
    );
    assert!(tollgate.metric("tollgate_acme_failures{name=\"shop.example.com\"}") >= 1.0);
    // All else works.
    assert_eq!(tollgate.request("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").status, 308);
    bench.resolve(&tollgate, &[SHOP]);
    bench.server.behave();
    bench.obtained(&tollgate, SHOP);
    bench.visitor(&tollgate, SHOP).visit().unwrap();
    assert_eq!(tollgate.metric("tollgate_acme_failures{name=\"shop.example.com\"}"), 0.0);
}

#[test]
fn a_name_that_the_authority_cannot_reach_is_told_and_does_not_hold_up_the_others() {
    let bench = Bench::new();
    let tollgate = bench.start(&bench.document("http-01", &["gone.example.com", SHOP]));
    let line = tollgate.stderr_line("ACME: gone.example.com: ");
    assert!(line.contains("http-01 for gone.example.com: "), "{line}");
    assert!(line.contains("no address of gone.example.com"), "{line}");
    bench.resolve(&tollgate, &[SHOP]);
    bench.obtained(&tollgate, SHOP);
    bench.visitor(&tollgate, SHOP).visit().unwrap();
}

#[test]
fn a_storage_that_cannot_be_opened_is_refused_at_the_start_and_by_a_reload() {
    let bench = Bench::new();
    let document = bench.document("http-01", &[SHOP]);
    // A file in the place of a folder: also root cannot make one there.
    let bad = document.replace("/kept,", "/ca.pem/kept,");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    std::fs::write(&path, &bad).unwrap();
    let output = run(Command::new(PROGRAM).arg("run").arg("-c").arg(&path));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("ACME: ") && output.stderr.contains("ca.pem/kept"), "{output:?}");
    let tollgate = bench.start_with(&document, &[SHOP]);
    let told = tollgate.reload(&bad);
    assert!(told.contains("reload refused") && told.contains("ca.pem/kept"), "{told}");
    bench.visitor(&tollgate, SHOP).visit().unwrap();
    assert_eq!(bench.server.counts().orders, 1);
}

#[test]
fn a_reload_that_is_refused_for_another_cause_leaves_acme_as_it_was() {
    let bench = Bench::new();
    let document = bench.document("http-01", &[SHOP]);
    let tollgate = bench.start_with(&document, &[SHOP]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("  - \"{}\"\nroutes:", taken.local_addr().unwrap());
    let bad = bench.document("http-01", &[SHOP, WWW]).replace("routes:", &listener);
    let told = tollgate.reload(&bad);
    assert!(told.contains("reload refused"), "{told}");
    let status = super::bench::status(&tollgate);
    assert_eq!((status.len(), &status[0]["names"][0]), (1, &SHOP.into()));
    assert_eq!(bench.server.counts().orders, 1);
}
