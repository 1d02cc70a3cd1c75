//! New processes that do not come to serve: the old one goes on as if nothing had happened, and says why.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tollgate_testkit::{Launch, Origin, Output, Tollgate, run};

use super::hand_over;
use crate::{PROGRAM, get, launch};

fn forwarding(origin: &Origin) -> Tollgate {
    launch("routes: [{ path: /, to: \"http://{origin}\" }]\n", &[("origin", &origin.address())])
}

/// The verb, as its user calls it.
fn verb(tollgate: &Tollgate, arguments: &[&str]) -> Output {
    run(Command::new(PROGRAM).arg("handover").args(arguments).arg("--socket").arg(tollgate.socket()))
}

/// A program that is none of ours.
fn script(tollgate: &Tollgate, text: &str) -> PathBuf {
    let path = tollgate.directory().join("other");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Nothing has changed: the same process serves, on the connection that was there, too, and can still hand over.
fn assert_goes_on(tollgate: &mut Tollgate, kept: &mut tollgate_testkit::Client, before: u32) {
    let answer = kept.request(get("/"));
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("hello", None));
    assert_eq!(tollgate.request(get("/")).text(), "hello");
    assert_eq!(tollgate.admin("/readyz").0, 200);
    assert_eq!(tollgate.process(), before);
}

#[test]
fn a_binary_that_ends_hangs_or_is_not_there_changes_nothing() {
    let origin = Origin::saying("hello");
    let mut tollgate = forwarding(&origin);
    let mut kept = tollgate.connect();
    assert_eq!(kept.request(get("/")).text(), "hello");
    let before = tollgate.process();
    for (text, timeout, why) in [
        (Some("exit 7"), "20s", "ended before it was ready (exit status: 7)"),
        (Some("kill -SEGV $$"), "20s", "ended before it was ready (signal: 11"),
        (Some("exec sleep 600"), "200ms", "was not ready in 0.2s, and was killed"),
        (None, "20s", "cannot start /nowhere/tollgate"),
    ] {
        let binary = text.map_or("/nowhere/tollgate".into(), |text| script(&tollgate, text));
        let binary = binary.to_str().unwrap();
        let told = verb(&tollgate, &["--binary", binary, "--timeout", timeout]);
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.stderr.contains(why), "{told:?}");
        tollgate.stderr_line(why);
        assert_goes_on(&mut tollgate, &mut kept, before);
    }
    // And after all that it can.
    hand_over(&mut tollgate);
    let answer = kept.request(get("/"));
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("hello", Some("close")));
    assert_eq!(tollgate.request(get("/")).text(), "hello");
    assert_eq!(tollgate.wait_for_predecessor().code(), Some(0));
}

#[test]
fn a_document_that_is_wrong_or_cannot_be_served_changes_nothing() {
    let origin = Origin::saying("hello");
    let mut tollgate = forwarding(&origin);
    let mut kept = tollgate.connect();
    assert_eq!(kept.request(get("/")).text(), "hello");
    let before = tollgate.process();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = tollgate.directory().join("other.yaml");
    for (text, code, why) in [
        ("version: 1\nlisten: nonsense::\n".to_owned(), Some(3), "finds the document wrong"),
        (
            format!(
                "version: 1\nlisten: \"{}\"\nroutes: [{{ path: /, respond: {{ status: 200 }} }}]\n",
                taken.local_addr().unwrap()
            ),
            Some(1),
            "ended before it was ready (exit status: 1)",
        ),
    ] {
        std::fs::write(&other, text).unwrap();
        let told = verb(&tollgate, &["--config", other.to_str().unwrap()]);
        assert_eq!(told.code, code, "{told:?}");
        assert!(told.stderr.contains(why), "{told:?}");
        assert_goes_on(&mut tollgate, &mut kept, before);
    }
    tollgate.stderr_line("cannot listen on");
}

#[test]
fn a_signal_to_end_breaks_a_hand_over_off() {
    let origin = Origin::saying("hello");
    let mut tollgate = forwarding(&origin);
    let binary = script(&tollgate, "echo started >&2; exec sleep 600");
    let asking = std::thread::scope(|scope| {
        let binary = binary.to_str().unwrap();
        let asking = scope.spawn(|| verb(&tollgate, &["--binary", binary]));
        tollgate.stderr_line("started");
        tollgate.terminate();
        asking.join().unwrap()
    });
    assert!(asking.code == Some(1) && asking.stderr.contains("told to end"), "{asking:?}");
    // The end of standard error is waited for, so also that of what was started.
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn which_program_is_not_for_the_network_to_say() {
    let tollgate = Launch::new(
        PROGRAM,
        "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nadmin: { listen: \"127.0.0.1:0\", token: \"s3cret-s3cret-s3cret\" }\n\
         routes: [{ path: /, respond: { status: 200 } }]\n",
    );
    let tollgate = tollgate.start();
    let body = "{\"binary\":\"/bin/true\"}";
    let answer = tollgate.connect_admin().request(format!(
        "POST /api/v1/handover HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cret-s3cret-s3cret\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(answer.status, 403, "{}", answer.text());
}
