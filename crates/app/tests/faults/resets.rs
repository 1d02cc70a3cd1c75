//! Endpoints that reset or close connections, at every point of an exchange.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Connection, Gate, Origin};

use crate::load::Load;
use crate::{get, launch};

const ONE: &str = "upstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
                   routes: [{ path: /, to: u }]\n";

/// Answers `/?id=ID&size=SIZE` as the load expects, until the connection ends badly at one of its
/// first requests; not at the very first.
fn ending_soon(bad: impl Fn(&mut Connection, &str) + Send + Sync + 'static) -> Origin {
    Origin::start(move |connection| {
        for number in 0.. {
            let Some(request) = connection.request() else { return };
            let target = request.target().to_owned();
            let query = |name: &str| {
                let value = target.split(name).nth(1).unwrap_or_default();
                value.split('&').next().unwrap_or_default().to_owned()
            };
            let size: usize = query("size=").parse().unwrap();
            let body: String = query("id=").chars().cycle().take(size).collect();
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{body}");
            if number == 1 + connection.index() % 7 {
                bad(connection, &response);
                return;
            }
            connection.send(response);
        }
    })
}

fn holds_under_load(origin: &Origin) {
    let tollgate = launch(ONE, &[("origin", &origin.address())]);
    let load = Load { clients: 8, post_every: 0, size: |number| 10 + number % 5000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        crate::wait_until("enough connections were treated badly", || {
            outcomes.assert_no_failures();
            origin.connections() > 300
        });
    });
    outcomes.assert_no_failures();
}

#[test]
fn a_reset_before_the_head_is_retried() {
    holds_under_load(&ending_soon(|connection, _| connection.reset()));
}

#[test]
fn a_close_before_the_head_is_retried() {
    holds_under_load(&ending_soon(|_, _| {}));
}

#[test]
fn a_head_that_is_cut_is_retried_since_the_client_has_seen_nothing_of_it() {
    holds_under_load(&ending_soon(|connection, response| connection.send(&response[..12])));
}

#[test]
fn connections_that_are_reset_when_they_are_accepted_are_tried_again() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |connection| {
        if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            connection.reset();
            return;
        }
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        }
    });
    let tollgate = launch(ONE, &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    for _ in 0..20 {
        assert_eq!(client.request(get("/")).text(), "hi");
    }
}

/// Responses that break off behind `start`, for clients of both versions: each must see a reset, since a
/// close could be taken for the end of the body, and nothing may be sent again.
fn is_seen_as_cut(start: &'static str, reset: bool) {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let gate = Gate::new();
        let for_origin = gate.clone();
        let origin = Origin::start(move |connection| {
            if connection.request().is_some() {
                connection.send(start);
                // A reset overtakes what was sent before it, so that must have arrived.
                for_origin.wait();
                if reset {
                    connection.reset();
                }
            }
        });
        let tollgate = launch(ONE, &[("origin", &origin.address())]);
        let mut client = tollgate.connect();
        client.send(format!("GET / {version}\r\nHost: a\r\n\r\n"));
        let response = client.head();
        gate.open();
        let cut = client.try_body(response).expect_err(start);
        assert!(cut.reset, "{version}, {start}: closed");
        assert_eq!(origin.connections(), 1, "{version}, {start}: sent again");
    }
}

#[test]
fn a_body_of_known_length_that_breaks_off_is_cut() {
    for reset in [false, true] {
        is_seen_as_cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", reset);
        // So long that it moves inside the kernel.
        is_seen_as_cut("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nhalf", reset);
        is_seen_as_cut("HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf", reset);
    }
}

#[test]
fn a_chunked_body_that_breaks_off_is_cut() {
    for reset in [false, true] {
        for end in ["", "5\r\nha", "4\r\nhalf\r\n", "4\r\nhalf\r\n0", "4\r\nhalf\r\n0\r\nX-Trailer: y\r\n"] {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            is_seen_as_cut([head, end].concat().leak(), reset);
        }
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_cut_by_a_reset() {
    is_seen_as_cut("HTTP/1.1 200 OK\r\n\r\nhalf", true);
    is_seen_as_cut("HTTP/1.0 200 OK\r\n\r\nhalf", true);
}

#[test]
fn a_post_is_not_sent_again_when_the_head_of_its_response_is_cut() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-");
    });
    let tollgate = launch(ONE, &[("origin", &origin.address())]);
    let response = tollgate.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((response.status, response.reason().as_deref()), (502, Some("response_incomplete")));
    assert_eq!(origin.connections(), 1);
}
