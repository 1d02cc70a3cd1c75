//! `tollgate diff`: what a document would change, in words.

use serde_json::json;
use tollgate_testkit::Launch;

use super::{assert_done, assert_refused, saying, verb_with, write};
use crate::verbs::{json_of, verb};
use crate::{PROGRAM, get};

#[test]
fn changes_are_told_and_nothing_is_changed() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let diff = |text: &str, after: &[&str]| verb_with(&tollgate, &["diff"], text, after);
    assert_done(&diff(&saying("one"), &[]), "the documents say the same");
    let text =
        saying("two").replace("workers: 1", "workers: 4") + "upstreams: { spare: [\"127.0.0.1:9\"] }\n";
    let output = diff(&text, &[]);
    for part in
        ["  ! workers 1 -> 4 (takes effect at the next start", "  + upstream spare", "  ~ route all: "]
    {
        assert_done(&output, part);
    }
    assert!(output.stderr.contains("no route uses the upstream `spare`"), "{output:?}");
    let told = json_of(&diff(&text, &["--json"]));
    let restarts: Vec<_> =
        told["changes"].as_array().unwrap().iter().map(|c| c["needs_restart"] == true).collect();
    assert_eq!((restarts, &told["traffic"]), (vec![true, false, false], &json!(null)));
    assert_eq!(tollgate.request(get("/")).text(), "one");
    assert_refused(&diff("version: 1\nroutes: 7\n", &[]), 3, "would be refused");
    // Nothing of this counts as an attempt to change it.
    assert_eq!(json_of(&verb(&tollgate, &["status", "--json"]))["config"]["last_reload"], json!(null));
}

#[test]
fn two_files_are_compared_without_an_instance_and_told_in_the_same_form() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let from = write(&tollgate, "from.yaml", &saying("zero"));
    let socket = ["--socket", "/nowhere.sock", "--from", from.to_str().unwrap()];
    let output = verb_with(&tollgate, &["diff"], &saying("two"), &socket);
    assert_done(&output, "  ~ route all: ");
    let told = json_of(&verb_with(&tollgate, &["diff", "--json"], &saying("two"), &socket));
    assert_eq!(told["changes"][0]["text"].as_str(), output.stdout.trim().lines().next());
    assert_done(&verb_with(&tollgate, &["diff"], &saying("zero"), &socket), "the documents say the same");
    let output = verb_with(&tollgate, &["diff"], "version: 1\nroutes: 7\n", &socket);
    assert_refused(&output, 3, "other.yaml:2:9");
    let output = verb_with(&tollgate, &["diff", "--traffic"], &saying("two"), &socket);
    assert_eq!(output.code, Some(2), "{output:?}");
}
