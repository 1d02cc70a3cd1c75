//! Clients that stop, go, or are too many.

use tollgate_decision::Reason;
use tollgate_testkit::{Client, Origin, PATIENCE, Tollgate};

use super::{FORWARD, GET, Provoke, Row, There};
use crate::verbs::verb;

/// Each with the setting that decided, or how far the exchange had come.
pub(super) const ROWS: &[Row] = &[
    Row {
        document: "timeouts: { head: 200ms }\nroutes: [{ path: /, respond: 204 }]\n",
        told: &["the head was given up on", "ended with 408 from Tollgate"],
        ..Row::refused(
            Reason::HeadTimeout,
            "GET /cart HTTP/1.1\r\nHost: a.ex",
            &["did not arrive in time", "30 bytes had come", "`Host: a.ex`", "timeouts.head is 200ms"],
        )
    },
    Row {
        document: "timeouts: { body: 200ms }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n",
        there: There::Origin(mute),
        told: &["route       all"],
        ..Row::refused(
            Reason::BodyTimeout,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello",
            &["stopped arriving", "after 5 bytes of the request's body", "timeouts.body is 200ms"],
        )
    },
    Row {
        reason: Reason::ClientClosed,
        document: FORWARD,
        there: There::Origin(mute),
        provoke: Provoke::Doing(|tollgate| {
            tollgate.connect().send("GET /half HTTP/1.1\r\nHost: a.ex");
            None
        }),
        cause: &[
            "closed its connection in the middle of a request's head",
            "30 bytes had come",
            "`Host: a.ex`",
        ],
        told: &["a part of the head had come", "ended without an answer", "GET /half HTTP/1.1"],
    },
    Row {
        reason: Reason::ClientStalled,
        document: "timeouts: { write: 300ms }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { idle: 1h } }]\n",
        there: There::Origin(endless),
        provoke: Provoke::Doing(|tollgate| {
            let mut client = Client::connect_narrow(tollgate.address());
            client.send(GET);
            // It reads nothing until it has been given up.
            let began = std::time::Instant::now();
            while verb(tollgate, &["why", "--reason", "client_stalled"]).code != Some(0) {
                assert!(began.elapsed() < PATIENCE);
            }
            None
        }),
        cause: &[
            "did not take the response in time",
            "bytes of the response's body",
            "timeouts.write is 300ms",
        ],
        told: &["route       all", "{origin}: answered 200"],
    },
    Row {
        reason: Reason::ListenerFull,
        document: "listen: { address: \"127.0.0.1:0\", name: web, max_connections: 1 }\nroutes: [{ path: /, respond: 204 }]\n",
        there: There::Nobody,
        provoke: Provoke::Doing(one_too_many),
        cause: &["as many connections as it may have", "max_connections of the listener web is 1"],
        told: &["listener web", "the connection was refused"],
    },
    Row {
        reason: Reason::ClientAddressFull,
        document: "listen: { address: \"127.0.0.1:0\", name: web, max_connections_per_address: 1 }\nroutes: [{ path: /, respond: 204 }]\n",
        there: There::Nobody,
        provoke: Provoke::Doing(one_too_many),
        cause: &["client's address has as many", "max_connections_per_address of the listener web is 1"],
        told: &["client      127.0.0.1, listener web"],
    },
];

fn one_too_many(tollgate: &Tollgate) -> Option<String> {
    let mut first = tollgate.connect();
    assert_eq!(first.request(GET).status, 204);
    tollgate.connect().response().get("x-request-id").map(str::to_owned)
}

fn mute() -> Origin {
    Origin::start(|connection| drop((connection.request(), connection.rest())))
}

fn endless() -> Origin {
    Origin::start_narrow(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while connection.try_send([b'x'; 65_536]).is_ok() {}
    })
}
