//! The parts together on real sockets: origin, floor and load, a few hundred requests each.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-bench");

/// A server of the benchmark's own, ended with its handle.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        let mut process = command.args(args).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("announces itself");
        let address = line.trim_end().strip_prefix("listening ").expect("an address").to_owned();
        Self { process, address }
    }

    fn load(&self, args: &[&str]) -> Output {
        self.run("load", "60", args)
    }

    fn run(&self, verb: &str, seconds: &str, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args([verb, &self.address, "--warm-up", "0", "--seconds", seconds]).args(args);
        command.output().expect("runs")
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.load(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("is JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn assert_clean(outcome: &serde_json::Value, at_least: u64) {
    assert_eq!(outcome["errors"]["first"], serde_json::Value::Null, "{outcome}");
    assert!(outcome["requests"].as_u64().is_some_and(|requests| requests >= at_least), "{outcome}");
}

#[test]
fn the_floor_forwards_every_request_whole() {
    let origin = Server::start(&["origin"]);
    let floor = Server::start(&["floor", "--to", &origin.address]);
    let pid = floor.process.id().to_string();
    for (path, body) in [("/r{route}/128", "128"), ("/16384", "16384"), ("/1048576", "1048576"), ("/0", "0")]
    {
        let args =
            ["--path", path, "--body", body, "--routes", "50", "--connections", "8", "--account", &pid];
        let outcome = floor.json(&[&args[..], &["--requests", "300"]].concat());
        assert_clean(&outcome, 300);
        assert!(outcome["usage"]["cpu_seconds"].as_f64().is_some_and(|cpu| cpu > 0.0), "{outcome}");
        assert_eq!(outcome["usage"]["processes_changed"], false, "{outcome}");
    }
}

#[test]
fn a_connection_per_request_and_held_connections_work() {
    let origin = Server::start(&["origin"]);
    assert_clean(&origin.json(&["--connection-per-request", "--connections", "8", "--requests", "300"]), 300);
    let pid = origin.process.id().to_string();
    let held = origin.json(&["--hold", "300", "--connections", "8", "--account", &pid]);
    assert_clean(&held, 300);
    assert_eq!(held["held"]["connections"], 300, "{held}");
}

#[test]
fn wrong_answers_are_errors() {
    let origin = Server::start(&["origin"]);
    for (args, complaint) in [
        (["--path", "/127", "--body", "128"], "127 bytes instead of 128"),
        (["--path", "/none", "--body", "0"], "status 404 instead of 200"),
    ] {
        let output = origin.load(&[&args[..], &["--connections", "2"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(complaint), "{text}");
    }
}

#[test]
fn datagrams_come_back_and_lost_ones_are_errors() {
    let origin = Server::start(&["datagram-origin"]);
    let output = origin.run("datagrams", "1", &["--connections", "8", "--json"]);
    assert!(output.status.success(), "{output:?}");
    assert_clean(&serde_json::from_slice(&output.stdout).expect("is JSON"), 1);
    // Bound, but nobody reads: no reply ever comes.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = silent.local_addr().expect("has one").to_string();
    let mut command = Command::new(PROGRAM);
    command.args(["datagrams", &address, "--warm-up", "0", "--seconds", "0.4", "--patience", "0.01"]);
    let output = command.output().expect("runs");
    assert!(!output.status.success(), "{output:?}");
}
