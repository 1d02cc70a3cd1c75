//! Consumers: credentials are made by the program itself, and files of consumers are taken without a reload.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tollgate_testkit::{Launch, Output, run};

use crate::{PRELUDE, PROGRAM};

const ROUTES: &str = "admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, respond: 200 }]\n";
const STUCK: &str = "tollgate_files_stuck{kind=\"consumers\"}";

/// The verb with this on its standard input.
fn credential(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("credential").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn json(arguments: &[&str], input: &str) -> Value {
    let output = credential(&[arguments, &["--json"]].concat(), input);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// What `check` says of a document with these consumers; `text` goes to its own file beside them.
fn check(directory: &std::path::Path, document: &str) -> Output {
    let path = directory.join("tollgate.yaml");
    std::fs::write(&path, format!("{PRELUDE}{ROUTES}{document}")).unwrap();
    run(Command::new(PROGRAM).arg("check").arg(path))
}

#[test]
fn what_is_made_can_be_pasted_into_a_document() {
    let directory = tempfile::tempdir().unwrap();
    let public = directory.path().join("bob.pub.pem");
    let public = public.to_str().unwrap();
    for arguments in [
        &["new", "api_key", "--consumer", "alice"][..],
        &["new", "password", "--consumer", "alice", "--user", "a \"b\" #"],
        &["new", "signature", "--consumer", "alice", "--key-id", "k: 1"],
        &["new", "signature", "--consumer", "alice", "--algorithm", "ed25519", "--public-key", public],
    ] {
        let output = credential(arguments, "");
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let (before, document) = output.stdout.split_once("For the document:\n\n").unwrap();
        let secret = before.split("\n\n").nth(1).unwrap();
        assert!(before.starts_with("For the caller, ") && !secret.is_empty(), "{before}");
        let checked = check(directory.path(), document);
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{document}");
    }
    // A key that is in use is not written over.
    let again = credential(&["new", "signature", "--algorithm", "ed25519", "--public-key", public], "");
    assert!(again.code == Some(1) && again.stdout.is_empty() && again.stderr.contains(public), "{again:?}");
}

#[test]
fn a_key_and_a_password_that_there_are_give_what_the_document_keeps() {
    let made = json(&["new", "api_key"], "");
    let key = made["secret"].as_str().unwrap();
    assert!(key.starts_with("tg_"), "{made}");
    let hashed = json(&["hash", "api_key"], &format!("{key}\n"));
    assert_eq!(hashed["credential"], made["credential"]);
    assert_eq!(hashed["secret"], Value::Null);
    let other = json(&["new", "api_key"], "");
    assert_ne!(other["secret"], made["secret"]);

    for arguments in
        [&["hash", "password", "--user", "al"][..], &["new", "password", "--user", "al", "--stdin"]]
    {
        let password = json(arguments, "hunter2\r\n");
        let kept = &password["credential"]["password"];
        assert_eq!((kept["user"].as_str(), &password["secret"]), (Some("al"), &Value::Null));
        assert!(kept["hash"].as_str().unwrap().starts_with("$argon2id$"), "{kept}");
    }
}

#[test]
fn secrets_that_cannot_be_are_refused() {
    for (arguments, input) in [
        (&["hash", "api_key"][..], ""),
        (&["hash", "api_key"], "two\nlines\n"),
        (&["hash", "api_key"], &"x".repeat(513)),
        (&["hash", "password", "--user", "al"], &"x".repeat(1025)),
        (&["new", "password", "--user", "al", "--stdin"], "\n"),
    ] {
        let output = credential(arguments, input);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(!output.stderr.contains("xxx"), "{output:?}");
    }
    for arguments in [
        &["new", "password"][..],
        &["new", "password", "--user", "a:b"],
        &["new", "api_key", "--consumer", "a b"],
        &["hash", "password", "--user", "al", "hunter2"],
        &["hash", "signature"],
    ] {
        assert_eq!(credential(arguments, "").code, Some(2), "{arguments:?}");
    }
}

#[test]
fn files_of_consumers_are_taken_without_a_reload() {
    let document = format!(
        "{PRELUDE}{ROUTES}consumers: {{ own: {{}} }}\nconsumer_files: [\"{{directory}}/more/*.yaml\"]\n"
    );
    let tollgate = Launch::new(PROGRAM, &document).start();
    let write = |name: &str, text: &str| {
        let folder = tollgate.directory().join("more");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    };
    tollgate.await_metric("tollgate_consumers", 1.0);
    // A folder and a file that were not there.
    write("a.yaml", "alice: {}\nbob: {}\n");
    tollgate.await_metric("tollgate_consumers", 3.0);
    tollgate.stderr_line("3 consumers are in force");

    // What is broken keeps what it held, and says so at its place; the others are taken.
    write("a.yaml", "alice: { credentials: [{ api_key: hunter2 }] }\n");
    write("b.yaml", "carl: {}\n");
    tollgate.await_metric(STUCK, 1.0);
    tollgate.await_metric("tollgate_consumers", 4.0);
    let line = tollgate.stderr_line("what was there before stays in force");
    assert!(line.contains("more/a.yaml:1:") && !line.contains("hunter2"), "{line}");
    let status = run(Command::new(PROGRAM).arg("status").arg("--socket").arg(tollgate.socket()));
    assert!(status.stdout.contains("more/a.yaml:1:"), "{status:?}");

    write("a.yaml", "alice: {}\n");
    tollgate.await_metric(STUCK, 0.0);
    tollgate.await_metric("tollgate_consumers", 3.0);
    std::fs::remove_file(tollgate.directory().join("more/b.yaml")).unwrap();
    tollgate.await_metric("tollgate_consumers", 2.0);
    assert_eq!(tollgate.metric("tollgate_config_number"), 1.0, "no reload was made");
}

#[test]
fn requests_by_key_follow_the_files() {
    let document = format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\nconsumer_files: \"*.consumers\"\n\
         auth: {{ partners: {{ api_key: {{ header: X-API-Key }} }} }}\n\
         routes: [{{ path: /, auth: partners, respond: 200 }}]\n"
    );
    let tollgate = Launch::new(PROGRAM, &document).start();
    let status = |key: &Value| {
        let key = key["secret"].as_str().unwrap();
        tollgate.request(format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-API-Key: {key}\r\n\r\n")).status
    };
    let write = |keys: &[&Value]| {
        let consumer = |(number, key): (usize, &&Value)| {
            format!("c{number}: {{ credentials: [{}] }}\n", key["credential"])
        };
        let text: String = keys.iter().enumerate().map(consumer).collect();
        std::fs::write(tollgate.directory().join("all.consumers"), text).unwrap();
        tollgate.await_metric("tollgate_consumers", keys.len() as f64);
    };
    let [one, two] = [(); 2].map(|()| json(&["new", "api_key"], ""));
    assert_eq!([status(&one), status(&two)], [401, 401]);
    write(&[&one]);
    assert_eq!([status(&one), status(&two)], [200, 401]);
    write(&[&two, &one]);
    assert_eq!([status(&one), status(&two)], [200, 200]);
    write(&[&two]);
    assert_eq!([status(&one), status(&two)], [401, 200]);
}
