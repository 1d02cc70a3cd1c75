//! `tollgate apply`.

use std::process::Command;

use tollgate_testkit::{Launch, run};

use super::{apply, assert_done, assert_refused, saying, write};
use crate::verbs::verb;
use crate::{PRELUDE, PROGRAM, get};

#[test]
fn a_document_from_elsewhere_runs_until_the_file_is_read_again() {
    let tollgate = Launch::new(PROGRAM, &saying("file")).start();
    assert_done(&apply(&tollgate, &saying("sent"), &[]), "document 2 is in force");
    assert_eq!(tollgate.request(get("/")).text(), "sent");
    assert_done(&apply(&tollgate, &saying("sent"), &[]), "nothing changed: document 2");
    assert_done(&verb(&tollgate, &["status"]), "other.yaml, for ");
    let file = std::fs::read_to_string(tollgate.directory().join("tollgate.yaml")).unwrap();
    assert_eq!(file, saying("file"), "the instance's own file was touched");
    assert_done(&verb(&tollgate, &["reload"]), "document 3 is in force");
    assert_eq!(tollgate.request(get("/")).text(), "file");
}

#[test]
fn it_is_sent_whole_with_its_includes_and_finds_its_secrets_from_any_working_directory() {
    let tollgate = Launch::new(PROGRAM, &saying("file")).start();
    let text = format!(
        "{PRELUDE}include: \"parts/*.yaml\"\nadmin: {{ listen: \"127.0.0.1:0\", token: {{ file: token }} }}\n"
    );
    let secret = "a-secret-of-twenty-letters";
    write(&tollgate, "there/token", secret);
    write(
        &tollgate,
        "there/parts/routes.yaml",
        "routes: [{ name: part, path: /, respond: { status: 200, body: part } }]\n",
    );
    write(&tollgate, "there/main.yaml", &text);
    let mut command = Command::new(PROGRAM);
    command.args(["apply", "main.yaml", "--json"]).current_dir(tollgate.directory().join("there"));
    let output = run(command.env("TOLLGATE_SOCKET", tollgate.socket()));
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(!output.stdout.contains(secret), "{output:?}");
    assert_eq!(tollgate.request(get("/")).text(), "part");
    let shown = verb(&tollgate, &["config", "show", "--running", "--origin"]);
    assert_done(&shown, "there/parts/routes.yaml:1");
    assert!(!shown.stdout.contains(secret) && !tollgate.stderr().contains(secret));
}

#[test]
fn what_cannot_run_is_refused_and_what_runs_goes_on() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    assert_refused(&apply(&tollgate, &saying("two").replace("path: /", "path: x"), &[]), 3, "other.yaml:5:");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // The document is well, the machine is not: not the exit code of a wrong document.
    let output = apply(&tollgate, &saying("two").replace("127.0.0.1:0", &address), &[]);
    assert_refused(&output, 1, &format!("cannot listen on {address}"));
    let output = verb(&tollgate, &["apply", "/nowhere/at/all.yaml"]);
    assert_refused(&output, 1, "/nowhere/at/all.yaml");
    let missing = saying("two") + "include: parts.yaml\n";
    assert_refused(&apply(&tollgate, &missing, &[]), 3, "parts.yaml");
    assert_eq!(tollgate.request(get("/")).text(), "one");
    let listed = verb(&tollgate, &["history"]);
    assert_eq!(listed.stdout.lines().count(), 2, "{listed:?}");
}
