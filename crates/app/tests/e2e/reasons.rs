//! For each reason of the catalogue: it is provoked over a real socket, and `why` names the cause that was planted.

mod carried;
mod connections;
mod decided;
mod endpoints;
mod flows;
mod gated;
mod malformed;
mod overload;
mod secured;
mod shared;
mod streams;

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;
use tollgate_decision::Reason;
use tollgate_testkit::{Origin, PATIENCE, Silent, Tollgate, refusing};

use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM};

/// How a reason is provoked, and what `why` must say then.
struct Row {
    reason: Reason,
    /// Behind the listener of [`launch`]; `{origin}` is the address of `there`.
    document: &'static str,
    /// What is at `{origin}`.
    there: There,
    provoke: Provoke,
    /// Parts of the cause, which is one sentence.
    cause: &'static [&'static str],
    /// Parts of all that `why` tells.
    told: &'static [&'static str],
}

/// What is at the address of the upstream's endpoint.
enum There {
    /// Nobody, and connections are refused.
    Nobody,
    /// Nobody, and connections are not even refused.
    Silence,
    /// An origin.
    Origin(fn() -> Origin),
}

enum Provoke {
    /// These bytes on a connection, which are answered.
    Sending(&'static str),
    /// The same for bytes that are made.
    Making(fn() -> String),
    /// A TLS handshake.
    Shaking(fn(&Tollgate)),
    /// Whatever it takes. The request id, if an answer carried one.
    Doing(fn(&Tollgate) -> Option<String>),
}

/// A route for everything to `{origin}`, tried once.
const FORWARD: &str = "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n";
const GET: &str = "GET /cart HTTP/1.1\r\nHost: a.example\r\n\r\n";

impl Row {
    /// The reason for these bytes where nobody is asked.
    const fn refused(reason: Reason, bytes: &'static str, cause: &'static [&'static str]) -> Self {
        Self {
            reason,
            document: FORWARD,
            there: There::Nobody,
            provoke: Provoke::Sending(bytes),
            cause,
            told: &["from Tollgate"],
        }
    }

    /// What is missing in what `why` says; empty if nothing is.
    fn run(&self) -> Vec<String> {
        let (refusing, _refused) = refusing();
        let (mut silent, mut origin) = (None, None);
        let address: SocketAddr = match self.there {
            There::Nobody => refusing,
            There::Silence => silent.insert(Silent::new()).address(),
            There::Origin(start) => origin.insert(start()).address(),
        };
        let tollgate = launch(&gated::fill(
            &secured::PAPERS.fill(&self.document.replace("{origin}", &address.to_string())),
        ));
        let id = match self.provoke {
            Provoke::Doing(provoke) => provoke(&tollgate),
            Provoke::Shaking(provoke) => {
                provoke(&tollgate);
                None
            }
            Provoke::Sending(bytes) => id_of_answer(&tollgate, bytes),
            Provoke::Making(bytes) => id_of_answer(&tollgate, &bytes()),
        };
        let (text, json) = self.ask(&tollgate, id.as_deref());
        let why = &json["exchanges"][0];
        let mut missing = Vec::new();
        let cause = why["cause"].as_str().unwrap_or_default();
        for (parts, told) in [(self.cause, cause), (self.told, text.as_str())] {
            for part in parts {
                let part = part.replace("{origin}", &address.to_string());
                if !told.contains(&part) {
                    missing.push(format!("{}: `{part}` is not in: {told}", self.reason.code()));
                }
            }
        }
        if why["reason"] != self.reason.code() || !why["doubt"].is_null() {
            missing.push(format!("{}: {} {}", self.reason.code(), why["reason"], why["doubt"]));
        }
        missing
    }

    /// Asks by the id, or else for the last of this reason, until it is recorded.
    fn ask(&self, tollgate: &Tollgate, id: Option<&str>) -> (String, Value) {
        let which = match id {
            Some(id) => vec!["why", id],
            None => vec!["why", "--last", "--reason", self.reason.code()],
        };
        let began = std::time::Instant::now();
        loop {
            let text = verb(tollgate, &which);
            if text.code == Some(0) {
                return (text.stdout, json_of(&verb(tollgate, &[&which[..], &["--json"]].concat())));
            }
            assert!(began.elapsed() < PATIENCE, "{}: {text:?}", self.reason.code());
        }
    }
}

fn id_of_answer(tollgate: &Tollgate, bytes: &str) -> Option<String> {
    let mut client = tollgate.connect();
    // It may be answered before its last byte is sent.
    let _ = client.try_send(bytes);
    client.response().get("x-request-id").map(str::to_owned)
}

fn launch(document: &str) -> Tollgate {
    let prelude = match document.contains("listen:") {
        true => PRELUDE.replace("listen: \"127.0.0.1:0\"\n", ""),
        false => PRELUDE.to_owned(),
    };
    let recorder = "recorder: { sample: 100% }\n";
    tollgate_testkit::Launch::new(PROGRAM, &format!("{prelude}{recorder}{document}")).start()
}

fn run(rows: &[Row]) {
    let missing: Vec<String> = rows.iter().flat_map(Row::run).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn malformed_requests() {
    run(malformed::ROWS);
}

#[test]
fn connections_and_their_clients() {
    run(connections::ROWS);
}

#[test]
fn connections_that_are_carried() {
    run(carried::ROWS);
}

#[test]
fn flows_that_are_refused() {
    run(flows::ROWS);
}

#[test]
fn streams_and_their_abuse() {
    run(streams::ROWS);
}

#[test]
fn what_the_document_decides() {
    run(decided::ROWS);
}

#[test]
fn tls_with_clients_and_endpoints() {
    run(secured::ROWS);
}

#[test]
fn limits_that_instances_share() {
    run(shared::ROWS);
}

#[test]
fn what_endpoints_do() {
    run(endpoints::ROWS);
}

#[test]
fn upstreams_without_a_place() {
    run(overload::ROWS);
}

#[test]
fn who_it_is() {
    run(gated::IDENTITIES);
}

#[test]
fn signatures_and_logins() {
    run(gated::PROOFS);
}

#[test]
fn what_they_may_do_and_how_much() {
    run(gated::RULES);
}

/// A reason without a row is a reason that nobody has seen explained.
#[test]
fn each_reason_of_the_catalogue_has_its_row() {
    let groups = [
        malformed::ROWS,
        carried::ROWS,
        connections::ROWS,
        decided::ROWS,
        endpoints::ROWS,
        flows::ROWS,
        gated::IDENTITIES,
        gated::PROOFS,
        gated::RULES,
        overload::ROWS,
        secured::ROWS,
        shared::ROWS,
        streams::ROWS,
    ];
    let mut rows: HashMap<&str, usize> = HashMap::new();
    for row in groups.into_iter().flatten() {
        *rows.entry(row.reason.code()).or_default() += 1;
    }
    for reason in decided::NEVER {
        *rows.entry(reason.code()).or_default() += 1;
    }
    let wrong: Vec<_> =
        Reason::ALL.iter().map(|r| r.code()).filter(|code| rows.get(code) != Some(&1)).collect();
    assert!(wrong.is_empty(), "these have no row, or more than one: {wrong:?}");
}
