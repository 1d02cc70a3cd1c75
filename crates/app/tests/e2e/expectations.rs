//! The tests that stand in a document: `check` runs them, and a document can ask not to be used if they fail.

use std::process::Command;

use tollgate_testkit::{Launch, Output, run};

use crate::verbs::{json_of, verb};
use crate::{PROGRAM, get};

/// A route that answers with a status, and a test of what is expected of it.
fn document(more: &str, status: u16, expected: u16) -> String {
    format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\n{more}routes:\n  \
         - {{ name: home, path: /, respond: {{ status: {status}, body: \"{status}\" }} }}\ntests:\n  \
         - {{ name: home is there, request: \"http://a.example/\", expect: {{ route: home, status: {expected} }} }}\n  \
         - {{ name: it is plain, request: \"http://a.example/x\", expect: {{ headers: {{ Content-Type: {{ present: true }} }} }} }}\n"
    )
}

fn with_file(text: &str, arguments: &[&str]) -> (String, Output) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg(&path).env_remove("TOLLGATE_CONFIG").env("NO_COLOR", "1");
    (path, run(&mut command))
}

#[test]
fn a_check_tells_how_many_tests_passed() {
    let (path, output) = with_file(&document("", 200, 200), &["check"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let fine = format!("{path} is fine: 1 listeners, 1 routes, 0 upstreams\n2 tests passed\n");
    assert_eq!(output.stdout, fine);
}

#[test]
fn a_check_fails_with_a_test_whatever_the_document_says_of_failed_ones() {
    for more in ["", "on_failed_tests: warn\n", "on_failed_tests: refuse\n"] {
        let (path, output) = with_file(&document(more, 200, 404), &["check"]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(3), ""), "{more}");
        for part in [
            "error: the test `home is there` fails: status: expected 404, got 200 fixed_response",
            &format!("{path}:{}:", if more.is_empty() { 7 } else { 8 }),
            "= note: the route `home` takes host a.example, path /",
            "1 of 2 tests failed\n",
        ] {
            assert!(output.stderr.contains(part), "{part} is not in\n{}", output.stderr);
        }
    }
}

#[test]
fn programs_are_told_of_tests_too() {
    let (path, output) = with_file(&document("", 200, 404), &["check", "--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(3), ""));
    let told = json_of(&output);
    assert_eq!((&told["fine"], &told["errors"]), (&false.into(), &1.into()));
    let tests = &told["tests"];
    assert_eq!((&tests["run"], &tests["failed"]), (&2.into(), &1.into()));
    let failure = &tests["failures"][0];
    assert_eq!((&failure["name"], &failure["place"]["file"]), (&"home is there".into(), &path.into()));
    let difference = &failure["differences"][0];
    assert_eq!((&difference["what"], &difference["expected"]), (&"status".into(), &"404".into()));
    assert_eq!(told["findings"][0]["severity"], "error");
    let told = json_of(&with_file(&document("", 200, 200), &["check", "--json"]).1);
    assert_eq!((&told["fine"], &told["tests"]["run"]), (&true.into(), &2.into()));
}

#[test]
fn a_process_does_not_start_with_a_document_that_wants_its_tests_to_pass() {
    let (_, output) = with_file(&document("on_failed_tests: refuse\n", 200, 404), &["run", "-c"]);
    assert_eq!(output.code, Some(3));
    assert!(output.stderr.contains("the test `home is there` fails"), "{}", output.stderr);
}

#[test]
fn a_document_whose_tests_fail_is_refused_if_it_says_so_and_the_old_one_goes_on() {
    let strict = "on_failed_tests: refuse\n";
    let tollgate = Launch::new(PROGRAM, &document(strict, 200, 200)).start();
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).text(), "200");
    let said = tollgate.reload(&document(strict, 404, 200));
    let refused = "reload refused, what runs goes on as it was: the document is not fit for use";
    assert!(said.contains(refused) && said.contains("the test `home is there` fails"), "{said}");
    tollgate.stderr_line("status: expected 200, got 404 fixed_response");
    assert_eq!(client.request(get("/")).text(), "200");
    let (path, folder) = (tollgate.directory().join("next.yaml"), tollgate.directory());
    std::fs::write(&path, document(strict, 410, 200)).unwrap();
    let applied = verb(&tollgate, &["apply", path.to_str().unwrap()]);
    assert_eq!(applied.code, Some(3), "in {}", folder.display());
    assert!(applied.stderr.contains("got 410 fixed_response"), "{applied:?}");
    assert_eq!(client.request(get("/")).text(), "200");
    // One that only warns is taken.
    let said = tollgate.reload(&document("", 404, 200));
    assert!(said.contains("document 2 is in force"), "{said}");
    tollgate.stderr_line("warning: the test `home is there` fails: status: expected 200, got 404");
    assert_eq!(client.request(get("/")).text(), "404");
    // And the way back is open.
    assert_eq!(verb(&tollgate, &["rollback"]).code, Some(0));
    assert_eq!(client.request(get("/")).text(), "200");
}
