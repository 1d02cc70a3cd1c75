//! nghttp and h2load, of the library that most others were tested with.

use std::process::Command;
use std::time::Duration;

use crate::foreign::{Foreign, program};
use crate::{certified, launch, origin};

const PACKAGE: &str = "nghttp2-client";
const LIMIT: Duration = Duration::from_secs(60);

const DOCUMENT: &str = "listen:\n  - { address: \"127.0.0.1:0\", tls: { certificates: [{cert}] } }\n  - \"127.0.0.1:0\"\n\
                        routes: [{ path: /, to: \"http://{origin}\", retry: none }]\n";

/// Runs a program with each listener's address.
fn at_each(name: &str, arguments: &[&str], path: &str, check: impl Fn(&str)) {
    let Some(program) = program(name, PACKAGE) else { return };
    let (_authority, cert) = certified();
    let origin = origin();
    let tollgate = launch(2, DOCUMENT, &[("cert", &cert.yaml()), ("origin", &origin.address())]);
    for (scheme, address) in ["https", "http"].iter().zip(tollgate.addresses()) {
        let url = format!("{scheme}://{address}{path}");
        check(&Foreign::start(Command::new(&program).args(arguments).arg(url)).succeed(LIMIT));
    }
}

#[test]
fn answers_come_with_their_trailers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    std::fs::write(&file, "body").unwrap();
    let data = format!("--data={}", file.display());
    let arguments =
        ["--verbose", "--no-content-length", "--trailer=x-sum: 4", &data, "--header=te: trailers"];
    at_each("nghttp", &arguments, "/trailers", |told| {
        assert!(told.contains(":status: 200"), "{told}");
        assert!(told.contains("x-end: yes"), "{told}");
        assert!(told.contains("x-sum: 4"), "{told}");
        // Neither the stream nor the connection ended in an error.
        assert!(!told.contains("RST_STREAM") || told.contains("NO_ERROR"), "{told}");
    });
}

#[test]
fn many_streams_of_one_connection_are_answered() {
    at_each("nghttp", &["--null-out", "--stat", "--multiply=200"], "/a", |told| {
        let answered = told.lines().filter(|line| line.contains(" 200 ") && line.ends_with("/a")).count();
        assert_eq!(answered, 200, "{told}");
    });
}

#[test]
fn load_loses_no_request() {
    at_each("h2load", &["-n", "5000", "-c", "10", "-m", "32", "-t", "1"], "/a", |told| {
        assert!(
            told.contains("requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed"),
            "{told}"
        );
        assert!(told.contains("status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{told}");
    });
}

#[test]
fn bodies_of_load_arrive_through_small_windows() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    std::fs::write(&file, vec![b'b'; 200_000]).unwrap();
    let data = format!("--data={}", file.display());
    // Windows of 2^14 - 1 bytes: each body needs many of them.
    let arguments = ["-n", "200", "-c", "4", "-m", "8", "-w", "14", "-W", "14", &data];
    at_each("h2load", &arguments, "/echo", |told| {
        assert!(told.contains("200 done, 200 succeeded, 0 failed"), "{told}");
    });
}

#[test]
fn load_over_http1_loses_no_request() {
    at_each("h2load", &["--h1", "-n", "3000", "-c", "10"], "/a", |told| {
        assert!(told.contains("3000 done, 3000 succeeded, 0 failed"), "{told}");
    });
}
