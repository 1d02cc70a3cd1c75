//! Connections that are carried as they are.

use tollgate_decision::Reason;
use tollgate_testkit::{Origin, Tollgate};

use super::{Provoke, Row, There};

const CARRY: &str = "listen: { tcp: \"127.0.0.1:0\", name: db, to: \"{origin}\" }\n";
const BY_NAME: &str = "listen: { tcp: \"127.0.0.1:0\", name: mq, sni: { a.example: \"{origin}\" } }\n";

/// Each with what the client, the setting or the endpoint had to do with it.
pub(super) const ROWS: &[Row] = &[
    Row {
        reason: Reason::ConnectionEnded,
        document: CARRY,
        there: There::Origin(polite),
        provoke: Provoke::Doing(|tollgate| talk(tollgate, b"hello")),
        cause: &["was carried to its end", "{origin}", "5 bytes from the client and 3 to it"],
        told: &["listener db", "it had come", "attempt 1 at {origin}", "first byte from the endpoint"],
    },
    Row {
        reason: Reason::ConnectionIdle,
        document: "listen: { tcp: \"127.0.0.1:0\", name: db, to: \"{origin}\", idle_timeout: 200ms }\n",
        there: There::Origin(silent),
        provoke: Provoke::Doing(|tollgate| wait(tollgate, b"hello")),
        cause: &["carried nothing for longer than it may", "idle_timeout of the listener db is 200ms"],
        told: &["with {origin}"],
    },
    Row {
        reason: Reason::NotTls,
        document: BY_NAME,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| wait(tollgate, b"SSH-2.0-OpenSSH_9.9\r\n")),
        cause: &["something that is not TLS"],
        told: &["listener mq", "with nobody"],
    },
    Row {
        reason: Reason::UnknownServerName,
        document: BY_NAME,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| wait(tollgate, &hello("b.example"))),
        cause: &["no upstream for the name", "it asked for `b.example`"],
        told: &["listener mq", "with nobody"],
    },
    Row {
        reason: Reason::BadProxyHeader,
        document: "listen: { tcp: \"127.0.0.1:0\", to: \"{origin}\", proxy_protocol: [\"127.0.0.0/8\"] }\n",
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| wait(tollgate, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n")),
        cause: &["A port in the PROXY line is not a decimal number up to 65535"],
        told: &["with nobody"],
    },
    Row {
        reason: Reason::PreludeTimeout,
        document: "timeouts: { head: 200ms }\nlisten: { tcp: \"127.0.0.1:0\", sni: { a.example: \"{origin}\" } }\n",
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| wait(tollgate, &hello("a.example")[..9])),
        cause: &["did not send what it must begin with in time", "timeouts.head is 200ms"],
        told: &["with nobody"],
    },
];

/// Sends, ends, and reads to the end.
fn talk(tollgate: &Tollgate, bytes: &[u8]) -> Option<String> {
    let mut client = tollgate.connect();
    client.send(bytes);
    client.finish_sending();
    client.ending();
    None
}

/// Sends, and waits until the connection is ended.
fn wait(tollgate: &Tollgate, bytes: &[u8]) -> Option<String> {
    let mut client = tollgate.connect();
    client.send(bytes);
    client.ending();
    None
}

fn polite() -> Origin {
    Origin::start(|connection| {
        connection.rest();
        connection.send("bye");
    })
}

fn silent() -> Origin {
    Origin::start(|connection| drop(connection.rest()))
}

/// A TLS hello as small as one can be, that asks for this name.
fn hello(name: &str) -> Vec<u8> {
    let long = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let list = long(&[&[0][..], &long(name.as_bytes())].concat());
    let extensions = long(&[&[0, 0][..], &long(&list)].concat());
    let body = [&[3, 3][..], &[7; 32], &[0], &long(&[0x13, 1]), &[1, 0], &extensions].concat();
    let message = [&[1, 0][..], &long(&body)].concat();
    [&[22, 3, 1][..], &long(&message)].concat()
}
