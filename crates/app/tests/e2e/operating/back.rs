//! `tollgate history` and `tollgate rollback`.

use serde_json::json;
use tollgate_testkit::{Launch, Tollgate};

use super::{apply, assert_done, assert_refused, saying};
use crate::verbs::{json_of, verb};
use crate::{PROGRAM, get};

/// The numbers and occasions, newest first.
fn history(tollgate: &Tollgate) -> Vec<(u64, String)> {
    let told = json_of(&verb(tollgate, &["history", "--json"]));
    let versions = told["versions"].as_array().unwrap().iter().rev();
    let versions: Vec<_> = versions
        .map(|v| {
            (v["number"].as_u64().unwrap(), v["occasion"].as_str().unwrap().to_owned(), v["in_force"] == true)
        })
        .collect();
    assert_eq!(versions.iter().map(|v| v.2).collect::<Vec<_>>().iter().filter(|f| **f).count(), 1);
    assert!(versions[0].2, "not the newest is in force: {versions:?}");
    versions.into_iter().map(|(number, occasion, _)| (number, occasion)).collect()
}

#[test]
fn going_back_once_twice_and_to_a_number() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    assert_refused(&verb(&tollgate, &["rollback"]), 1, "no earlier document to go back to");
    for body in ["two", "three"] {
        assert_eq!(apply(&tollgate, &saying(body), &[]).code, Some(0));
    }
    let says = |body: &str| assert_eq!(tollgate.request(get("/")).text(), body);
    assert_done(&verb(&tollgate, &["rollback"]), "document 4 is in force\n  ~ route all");
    says("two");
    // Not to the one that was just left.
    assert_done(&verb(&tollgate, &["rollback"]), "document 5 is in force");
    says("one");
    assert_refused(&verb(&tollgate, &["rollback"]), 1, "there are 1, 2, 3, 4, 5");
    assert_done(&verb(&tollgate, &["rollback", "3"]), "document 6 is in force");
    says("three");
    assert_refused(
        &verb(&tollgate, &["rollback", "17"]),
        1,
        "document 17 is not kept; there are 1, 2, 3, 4, 5, 6",
    );
    assert_done(&verb(&tollgate, &["rollback", "6"]), "nothing changed");
    let occasions = ["rollback to 3", "rollback to 1", "rollback to 2", "apply", "apply", "start"];
    let expected: Vec<_> = (1..=6).rev().zip(occasions.map(str::to_owned)).collect();
    assert_eq!(history(&tollgate), expected);
    let listed = verb(&tollgate, &["history"]);
    assert!(listed.stdout.lines().nth(1).unwrap().starts_with("->       6  "), "{listed:?}");
}

#[test]
fn a_document_whose_address_was_taken_meanwhile_is_refused() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let two = saying("one").replace("\"127.0.0.1:0\"", &format!("[\"127.0.0.1:0\", \"{free}\"]"));
    let tollgate = Launch::new(PROGRAM, &two).listeners(2).start();
    assert_done(&apply(&tollgate, &saying("two"), &[]), "document 2 is in force");
    let _taken = std::net::TcpListener::bind(free).unwrap();
    let output = verb(&tollgate, &["rollback", "--json"]);
    assert_refused(&output, 1, &format!("cannot listen on {free}"));
    assert_eq!(tollgate.request(get("/")).text(), "two");
    assert_eq!(history(&tollgate).len(), 2);
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(told["config"]["last_reload"]["occasion"], json!("rollback to 1"));
    assert_done(&verb(&tollgate, &["history"]), "->       2");
    let status = verb(&tollgate, &["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("! the last rollback to 1 ("), "{status:?}");
}

#[test]
fn the_last_ten_are_kept() {
    let tollgate = Launch::new(PROGRAM, &saying("1")).start();
    for number in 2..=12 {
        assert_eq!(apply(&tollgate, &saying(&number.to_string()), &[]).code, Some(0));
    }
    let numbers: Vec<u64> = history(&tollgate).iter().map(|version| version.0).collect();
    assert_eq!(numbers, (3..=12).rev().collect::<Vec<_>>());
    assert_done(&verb(&tollgate, &["rollback", "3"]), "document 13 is in force");
    assert_eq!(tollgate.request(get("/")).text(), "3");
}
