//! What goes wrong around the program (endpoints that die, stall, reset; clients that vanish) and what
//! may come of it. The real program on real sockets; origins that are killed are real processes.

mod balancing;
mod budget;
mod changes;
mod cuts;
mod draining;
mod handover;
mod hashing;
mod holding;
mod kills;
mod load;
mod memory;
mod network;
mod queues;
mod reload;
mod reload_keeps;
mod resets;
mod restarts;
mod slow;
mod stalls;
mod vanishing;
mod watching;

use std::fmt::Display;

use tollgate_testkit::{Launch, OriginProcess, Tollgate};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// What all documents begin with.
const PRELUDE: &str = "version: 1\nlisten: \"127.0.0.1:0\"\nadmin: { listen: \"127.0.0.1:0\" }\n\
                       access_log: none\n";

/// A program on a document, behind [`PRELUDE`]; `values` take the places of `{name}`.
fn launch(document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let launch = Launch::new(PROGRAM, &format!("{PRELUDE}{document}"));
    values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start()
}

/// A simple GET.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// Waits until something holds that nobody tells of, such as a metric.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE, "{what}: not in time");
        // Not the time matters, only that asking again and again takes no processor from the others.
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

/// How many descriptors the program has open while it does nothing. Its route `/ready` answers at once.
fn descriptors_at_rest(tollgate: &Tollgate) -> usize {
    // The worker has everything it needs once it has answered; the connection is closed when its end is seen.
    let mut client = tollgate.connect();
    client.send("GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.assert_ended();
    tollgate.descriptors()
}

/// An origin in a process of its own; see [`origin_process`].
fn origin_in_a_process(executed: &std::path::Path) -> OriginProcess {
    OriginProcess::start("origin_process", executed)
}

#[test]
#[ignore = "no test: what a process runs that the tests start as an origin"]
fn origin_process() {
    OriginProcess::serve();
}
