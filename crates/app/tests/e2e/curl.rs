//! A client that nobody here wrote.

use std::process::Command;

use tollgate_testkit::{Origin, Output, run};

use crate::forwarding;

fn curl(arguments: &[&str]) -> Output {
    // A curl that is missing fails these tests: skipping them would look like passing.
    let output =
        run(Command::new("curl").args(["-sS", "--noproxy", "*", "--max-time", "20"]).args(arguments));
    assert_eq!(output.code, Some(0), "curl {arguments:?}: {output:?}");
    output
}

#[test]
fn requests_of_all_kinds_succeed() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let url = format!("http://{}/path?query", tollgate.address());
    assert_eq!(curl(&[&url]).stdout, "");
    assert_eq!(curl(&["-d", "hello", &url]).stdout, "hello");
    assert_eq!(curl(&["-0", "-d", "hello", &url]).stdout, "hello");
    assert_eq!(curl(&["-d", "hello", "-H", "Transfer-Encoding: chunked", &url]).stdout, "hello");
    assert!(curl(&["-I", &url]).stdout.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(curl(&["-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}", &url]).stdout, "200");
    let connects = curl(&["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url, &url]);
    assert_eq!(connects.stdout, "1 0 ");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn files_pass_unchanged() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let directory = tempfile::tempdir().unwrap();
    let (up, down) = (directory.path().join("up"), directory.path().join("down"));
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 31 + n / 977) as u8).collect();
    std::fs::write(&up, &bytes).unwrap();
    let url = format!("http://{}/", tollgate.address());
    for extra in [&[][..], &["-H", "Transfer-Encoding: chunked"], &["-H", "Expect: 100-continue"]] {
        let arguments = ["-T", up.to_str().unwrap(), "-o", down.to_str().unwrap(), &url];
        curl(&[extra, &arguments].concat());
        assert!(std::fs::read(&down).unwrap() == bytes, "{extra:?}");
    }
}

#[test]
fn errors_are_understood() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let url = format!("http://{}/%00", tollgate.address());
    let output = curl(&["-w", "\n%{http_code} %{content_type}", &url]);
    assert!(output.stdout.ends_with("400 application/problem+json"), "{output:?}");
}
