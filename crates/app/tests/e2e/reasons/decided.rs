//! What the document says, and what no running instance does.

use tollgate_decision::Reason;
use tollgate_testkit::{AcmeServer, Origin, Tollgate, run};

use super::{FORWARD, GET, Provoke, Row, There};
use crate::PROGRAM;

pub(super) const ROWS: &[Row] = &[
    Row {
        reason: Reason::Forwarded,
        document: FORWARD,
        there: There::Origin(|| Origin::saying("hello")),
        provoke: Provoke::Sending(GET),
        cause: &["forwarded whole, in "],
        told: &["answer      200 from {origin}; forwarded", "route       all: forward", "can be picked"],
    },
    Row {
        reason: Reason::Upgraded,
        document: "routes: [{ name: ws, path: /, to: \"http://{origin}\"}]\n",
        there: There::Origin(switching),
        provoke: Provoke::Doing(|tollgate| {
            let mut client = tollgate.connect();
            client.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            assert_eq!(client.any_response().status, 101);
            None
        }),
        cause: &["upgraded and carried another protocol"],
        told: &["answer      101 from {origin}; upgraded", "route       ws"],
    },
    Row {
        reason: Reason::Redirect,
        document: "routes: [{ name: moved, path: /cart, redirect: { host: b.example } }]\n",
        there: There::Nobody,
        provoke: Provoke::Sending(GET),
        cause: &["answers with a redirect"],
        told: &["302 from Tollgate, as the route says", "route       moved: redirect with 302"],
    },
    Row {
        reason: Reason::FixedResponse,
        document: "routes: [{ name: teapot, path: /cart, respond: 418 }]\n",
        there: There::Nobody,
        provoke: Provoke::Sending(GET),
        cause: &["answers with a fixed response"],
        told: &["418 from Tollgate, as the route says", "route       teapot: respond with 418"],
    },
    Row {
        reason: Reason::AcmeChallenge,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(order_a_certificate),
        cause: &["authority asked whether a name is ours"],
        told: &["200 from Tollgate", "/.well-known/acme-challenge/"],
    },
    Row {
        reason: Reason::Draining,
        document: "shutdown: { grace: 0s, tunnel_grace: 1h }\n\
                   routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n",
        there: There::Origin(switching_or_waiting),
        provoke: Provoke::Doing(drain_under_a_tunnel),
        cause: &["draining"],
        told: &["503 from Tollgate"],
    },
    Row {
        document: "routes:\n  - { name: orders, path: /orders, respond: 204 }\n  \
                   - { name: beta, path: /cart, match: { headers: { X-Beta: \"1\" } }, respond: 204 }\n",
        told: &["beta", "header x-beta", "no_route"],
        ..Row::refused(
            Reason::NoRoute,
            GET,
            &["No route", "host a.example, path /cart", "nearest, beta, fails by header x-beta"],
        )
    },
];

/// Reasons that no running instance gives, each with its proof below.
pub(super) const NEVER: &[Reason] = &[Reason::NoDestination, Reason::Hedged];

/// The grace for exchanges ends, the one for tunnels does not, so that there is somebody to ask.
fn drain_under_a_tunnel(tollgate: &Tollgate) -> Option<String> {
    let mut tunnel = tollgate.connect();
    tunnel.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.any_response().status, 101);
    let mut waiting = tollgate.connect();
    waiting.send(GET);
    assert_eq!(waiting.any_response().status, 103);
    tollgate.terminate();
    let answer = waiting.response();
    assert_eq!((answer.status, answer.reason().as_deref()), (503, Some("draining")));
    // Open as long as the instance is.
    std::mem::forget(tunnel);
    answer.get("x-request-id").map(str::to_owned)
}

/// Switches where that is asked for, and else never comes to an end.
fn switching_or_waiting() -> Origin {
    Origin::start(|connection| {
        let switches = connection.head().is_some_and(|request| request.get("upgrade").is_some());
        match switches {
            true => connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            ),
            false => connection.send("HTTP/1.1 103 Early Hints\r\n\r\n"),
        }
        connection.rest();
    })
}

/// By a document that wants a certificate: its authority asks the listener that is there already.
fn order_a_certificate(tollgate: &Tollgate) -> Option<String> {
    let authority = AcmeServer::start();
    authority.resolve("shop.example.com", Some(tollgate.address()), None);
    std::fs::write(tollgate.directory().join("ca.pem"), authority.root_pem()).unwrap();
    let told = tollgate.reload(&format!(
        "version: 1\nworkers: 1\naccess_log: none\nrecorder: {{ sample: 100% }}\n\
         acme: {{ directory: \"{}\", ca: ca.pem, storage: kept, challenge: http-01 }}\n\
         listen: [\"127.0.0.1:0\", {{ address: \"127.0.0.2:0\", tls: {{ acme: [shop.example.com] }} }}]\n{}",
        authority.directory(),
        FORWARD.replace("{origin}", "127.0.0.1:1"),
    ));
    assert!(told.contains("is in force"), "{told}");
    authority.wait("a certificate", |counts| counts.certificates == 1);
    None
}

fn switching() -> Origin {
    Origin::start(|connection| {
        connection.head();
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        connection.rest();
    })
}

/// `no_destination`: a document that would make it is refused before, by the name of the place.
#[test]
fn a_split_without_any_weight_does_not_get_to_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    let document = "version: 1\nlisten: \"127.0.0.1:0\"\nupstreams: { a: [\"127.0.0.1:1\"], b: [\"127.0.0.1:2\"] }\n\
                    routes: [{ path: /, split: { a: 0, b: 0 } }]\n";
    std::fs::write(&path, document).unwrap();
    let output = run(std::process::Command::new(PROGRAM).arg("check").arg(&path));
    let said = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, Some(3), "{said}");
    assert!(said.contains("add up to 0") && said.contains("tollgate.yaml:4"), "{said}");
}
