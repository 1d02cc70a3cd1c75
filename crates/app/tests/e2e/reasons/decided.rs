//! What the document says, and what no running instance does.

use tollgate_decision::Reason;
use tollgate_testkit::{AcmeServer, Gate, Origin, Tollgate, run};

use super::{FORWARD, GET, Provoke, Row, There, launch};
use crate::PROGRAM;
use crate::verbs::verb;

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
pub(super) const NEVER: &[Reason] = &[Reason::NoDestination, Reason::Draining];

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

/// `draining`: what comes while the process drains is served, on new connections and on old ones.
#[test]
fn a_draining_instance_refuses_nobody() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target() == "/wait" {
                for_origin.wait();
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let document =
        format!("shutdown: {{ delay: 1h }}\n{}", FORWARD.replace("{origin}", &origin.address().to_string()));
    let tollgate = launch(&document);
    let (mut busy, mut idle) = (tollgate.connect(), tollgate.connect());
    assert_eq!(idle.request(GET).status, 200);
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(2);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    assert_eq!(idle.request(GET).status, 200);
    assert_eq!(tollgate.request(GET).status, 200);
    gate.open();
    assert_eq!(busy.response().status, 200);
    let output = verb(&tollgate, &["why", "--last", "--reason", "draining"]);
    assert!(
        output.code == Some(1) && output.stderr.contains("nothing that is recorded is like that"),
        "{output:?}"
    );
}
