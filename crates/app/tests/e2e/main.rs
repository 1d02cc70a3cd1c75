//! The real program on real sockets, a file a subject.

mod acme;
mod addresses;
mod admin;
mod ambiguity;
mod asking;
mod bodies;
mod cli;
mod connections;
mod consumers;
mod curl;
mod discovery;
mod endpoints;
mod expectations;
mod faults;
mod faulty;
mod fields;
mod gate;
mod going_on;
mod grpc;
mod handed_on;
mod health;
mod http10;
mod http2;
mod interim;
mod limits;
mod logging;
mod matrix;
mod members;
mod mirrors;
mod operating;
mod overload;
mod reasons;
mod reload;
mod rescue;
mod retries;
mod routing;
mod shared_limits;
mod shutdown;
mod sticky;
mod streaming;
mod targets;
mod tcp;
mod telling;
mod timeouts;
mod tls;
mod tracing;
mod udp;
mod unread;
mod upgrade;
mod verbs;

use std::fmt::Display;

use tollgate_testkit::{Launch, Origin, Tollgate};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// What most documents begin with. One worker, so that all connections share one pool.
const PRELUDE: &str = "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 1\naccess_log: none\n";

/// A program on a document, behind [`PRELUDE`]; `values` take the places of `{name}`.
fn launch(document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let launch = Launch::new(PROGRAM, &format!("{PRELUDE}{document}"));
    values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start()
}

/// A program on a document that says what it listens on.
fn launch_without_listener(document: &str) -> Tollgate {
    let prelude = PRELUDE.replace("listen: \"127.0.0.1:0\"\n", "");
    Launch::new(PROGRAM, &format!("{prelude}{document}")).start()
}

/// A program that forwards everything to an origin, and tries once.
fn forwarding(origin: &Origin) -> Tollgate {
    let document = "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n";
    launch(document, &[("origin", &origin.address())])
}

/// A simple GET.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}
