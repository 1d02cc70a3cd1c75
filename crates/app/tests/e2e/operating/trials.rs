//! `tollgate apply --confirm`.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Launch, Origin, Output, Tollgate};

use super::{apply, assert_done, assert_refused, saying, write};
use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get};

/// A trial that begins at once.
const TRIAL: [&str; 4] = ["--confirm", "60s", "--baseline", "0s"];

/// `tollgate apply` beside the test.
struct Applying(Child);

impl Applying {
    /// Returns when the document is on trial.
    fn start(tollgate: &Tollgate, text: &str) -> Self {
        let path = write(tollgate, "other.yaml", text);
        let mut command = Command::new(PROGRAM);
        command.arg("apply").arg(path).args(TRIAL).env("TOLLGATE_SOCKET", tollgate.socket());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let applying = Self(command.spawn().unwrap());
        tollgate.stderr_line("apply: document 2 is in force");
        applying
    }

    fn end(mut self) -> Output {
        let [mut stdout, mut stderr] = [String::new(), String::new()];
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Output { code: self.0.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn trial(tollgate: &Tollgate) -> Value {
    let (status, text) = tollgate.api("GET", "/api/v1/config/trial", "");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Answers after a while that can be changed, and with a status that can be.
struct Service {
    origin: Origin,
    failing: &'static AtomicBool,
    delay_ms: &'static AtomicU64,
}

impl Service {
    fn start() -> Self {
        // Of the test's process, which ends soon.
        let failing: &AtomicBool = Box::leak(Box::default());
        let delay_ms: &AtomicU64 = Box::leak(Box::default());
        let origin = Origin::answering(move |_| {
            std::thread::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
            let status = if failing.load(Ordering::Relaxed) { "500 Oops" } else { "200 OK" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
        });
        Self { origin, failing, delay_ms }
    }

    fn document(&self) -> String {
        format!(
            "{PRELUDE}routes: [{{ name: shop, path: /, to: \"http://{}\", retry: none }}]\n",
            self.origin.address()
        )
    }
}

/// Requests by several clients until something holds.
fn load_until(tollgate: &Tollgate, holds: impl Fn() -> bool) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = tollgate.connect();
                while !stop.load(Ordering::Relaxed) {
                    client.request(get("/"));
                }
            });
        }
        let began = std::time::Instant::now();
        while !holds() && began.elapsed() < tollgate_testkit::PATIENCE {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn is_over(tollgate: &Tollgate) -> bool {
    !matches!(trial(tollgate)["state"].as_str(), Some("running" | "taking_back"))
}

#[test]
fn confirmed_in_time_it_stays_and_nothing_else_is_taken_meanwhile() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    assert_refused(&verb(&tollgate, &["confirm"]), 1, "no document is on trial");
    let applying = Applying::start(&tollgate, &saying("two"));
    assert_eq!(tollgate.request(get("/")).text(), "two");
    for output in [
        verb(&tollgate, &["reload"]),
        apply(&tollgate, &saying("three"), &[]),
        apply(&tollgate, &saying("three"), &TRIAL),
    ] {
        assert_refused(&output, 1, "document 2 is on trial; confirm it or roll it back first");
    }
    assert!(verb(&tollgate, &["status"]).stdout.contains("! document 2 is on trial, and taken back in "));
    assert_done(&verb(&tollgate, &["confirm"]), "document 2 is confirmed");
    assert_refused(&verb(&tollgate, &["confirm"]), 1, "no document is on trial");
    let output = applying.end();
    assert_done(&output, "document 2 is in force\n  ~ route all");
    assert_done(&output, "document 2 is confirmed");
    assert!(output.stderr.contains("s left: "), "{output:?}");
    assert_eq!(tollgate.request(get("/")).text(), "two");
    assert_done(&verb(&tollgate, &["reload"]), "document 3 is in force");
}

#[test]
fn unconfirmed_it_is_taken_back() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let output = apply(&tollgate, &saying("two"), &["--confirm", "1s", "--baseline", "0s", "--json"]);
    let told = json_of(&output);
    assert_eq!((output.code, &told["state"], &told["back_to"]), (Some(1), &json!("taken_back"), &json!(1)));
    assert_eq!(told["reason"], "nobody confirmed it in time");
    assert_eq!(tollgate.request(get("/")).text(), "one");
    assert_done(&verb(&tollgate, &["history"]), "taken back to 1");
    tollgate.stderr_line("taken back to 1: document 3 is in force");
    // What is taken back is no document to go back to.
    assert_refused(&verb(&tollgate, &["rollback"]), 1, "no earlier document");
}

#[test]
fn going_back_by_hand_ends_it_and_a_failed_attempt_does_not() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let applying = Applying::start(&tollgate, &saying("two"));
    assert_refused(&verb(&tollgate, &["rollback", "9"]), 1, "document 9 is not kept");
    assert_done(&verb(&tollgate, &["rollback", "2"]), "nothing changed");
    assert_eq!(trial(&tollgate)["state"], "running");
    assert_done(&verb(&tollgate, &["rollback"]), "document 3 is in force");
    assert_refused(
        &applying.end(),
        1,
        "document 2 was taken back, 1 runs again: rolled back by the operator",
    );
    assert_eq!(tollgate.request(get("/")).text(), "one");
}

#[test]
fn a_new_upstream_that_only_fails_takes_it_back_at_once() {
    let (good, bad) = (Service::start(), Service::start());
    bad.failing.store(true, Ordering::Relaxed);
    let tollgate = Launch::new(PROGRAM, &good.document()).start();
    load_until(&tollgate, || good.origin.requests().len() > 200);
    let applying = Applying::start(&tollgate, &bad.document());
    load_until(&tollgate, || is_over(&tollgate));
    let output = applying.end();
    assert_refused(&output, 1, "document 2 was taken back, 1 runs again: failures of route shop: ");
    assert!(output.stderr.trim().ends_with("before 0.0 %"), "{output:?}");
    let before = good.origin.requests().len();
    assert_eq!(tollgate.request(get("/")).status, 200);
    assert_eq!(good.origin.requests().len(), before + 1);
}

#[test]
fn slow_answers_take_it_back() {
    let (fast, slow) = (Service::start(), Service::start());
    slow.delay_ms.store(60, Ordering::Relaxed);
    let tollgate = Launch::new(PROGRAM, &fast.document()).start();
    load_until(&tollgate, || fast.origin.requests().len() > 400);
    let applying = Applying::start(&tollgate, &slow.document());
    load_until(&tollgate, || is_over(&tollgate));
    assert_refused(&applying.end(), 1, "1 runs again: route shop: p90 ");
}

#[test]
fn requests_that_lose_their_route_take_it_back() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    load_until(&tollgate, || json_of(&verb(&tollgate, &["top", "--json", "--interval", "0.05"])).is_object());
    let applying = Applying::start(&tollgate, &saying("two").replace("path: /", "path: /elsewhere"));
    load_until(&tollgate, || is_over(&tollgate));
    assert_refused(&applying.end(), 1, "requests that no route takes: 100.0 % of ");
}

#[test]
fn what_cannot_work_is_told_before_anybody_waits() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let own = tollgate.directory().join("tollgate.yaml");
    let began = std::time::Instant::now();
    let output = apply(&tollgate, "version: 1\nroutes: 7\n", &["--confirm", "60s", "--baseline", "10m"]);
    assert_refused(&output, 3, "other.yaml:2:9");
    let output = verb(&tollgate, &["apply", own.to_str().unwrap(), "--confirm", "60s", "--baseline", "10m"]);
    assert_done(&output, "nothing changed");
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_refused(&apply(&tollgate, &saying("two"), &["--confirm", "2d"]), 1, "confirm_seconds");
    assert_eq!(apply(&tollgate, &saying("two"), &["--baseline", "10s"]).code, Some(2));
    assert_eq!(tollgate.request(get("/")).text(), "one");
}
