//! HTTP/3 with aioquic.

use std::time::Duration;

use crate::foreign::Foreign;
use crate::python::python;
use crate::{NAME, certified, launch, origin};

/// More than one case takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs cases of the client against a listener in front of an HTTP/1.1 origin.
fn run(cases: &[&str]) {
    let (authority, cert) = certified();
    let origin = origin();
    let document = "listen: { address: \"127.0.0.1:0\", tls: { certificates: [{cert}] }, protocols: [h1, h2, h3] }\n\
                    routes: [{ path: /, to: \"http://{origin}\", retry: none }]\n";
    let tollgate = launch(1, document, &[("cert", &cert.yaml()), ("origin", &origin.address())]);
    let Some(mut client) = python("h3_client.py") else { return };
    client.arg(tollgate.address().port().to_string()).arg(authority.roots()).arg(NAME).args(cases);
    let said = Foreign::start(&mut client).succeed(LIMIT);
    assert!(said.ends_with("all is well\n"), "{said}");
}

#[test]
fn requests_and_big_bodies_pass_both_ways() {
    run(&["get", "bodies"]);
}

#[test]
fn many_streams_pass_side_by_side() {
    run(&["streams"]);
}

#[test]
fn trailers_pass_both_ways() {
    run(&["trailers"]);
}

#[test]
fn a_client_that_changes_its_address_goes_on() {
    run(&["migration"]);
}

#[test]
fn a_stream_given_up_harms_no_other() {
    run(&["cancelled"]);
}

#[test]
fn sessions_are_resumed() {
    run(&["resumed"]);
}

#[test]
fn what_the_standard_forbids_is_refused() {
    run(&["malformed"]);
}
