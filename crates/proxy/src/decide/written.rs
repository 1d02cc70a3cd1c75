//! What a decided request is written as: the head that would go on to an origin, or the answer. For requests that
//! nobody sent: what only a worker or a connection knows is left out, and its id is all zeros.

use std::time::Duration;

use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::edits::Edits;
use tollgate_message::{BodyLength, Method};
use tollgate_policy as policy;
use tollgate_policy::{Gate, Refused};
use tollgate_routing::rewrite::Scheme;
use tollgate_runtime::date;

use super::again::Understood;
use super::gate::Arrival;
use crate::http::Refusal;
use crate::http::answer::Place;
use crate::http::begin::wants_upgrade;
use crate::http::forwarded::{Origins, RequestId};
use crate::http::request_head::{self, Source};
use crate::http::respond::{self, Answer};
use crate::snapshot::{Action, Destination, Route, Snapshot};

/// The id of a request that nobody sent.
const NO_ID: [u8; 36] = *b"00000000-0000-0000-0000-000000000000";

/// A request whose route is known.
#[derive(Clone, Copy, Debug)]
pub struct Routed<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The route.
    pub route: &'a Route,
    /// How much of the path it matched.
    pub matched: usize,
    /// The request.
    pub understood: &'a Understood<'a>,
    /// Where it comes from.
    pub arrival: &'a Arrival<'a>,
    /// What the route's policies came to, where it has any.
    pub gate: Option<&'a Gate>,
}

impl Routed<'_> {
    /// The head that goes on to an origin.
    pub fn request(&self) -> Vec<u8> {
        let Understood { head, bytes, list, identity, body, end } = *self.understood;
        let options = ConnectionOptions::of(&head.fields);
        let settings = &self.route.settings;
        let origins = Origins {
            peer: self.arrival.peer,
            trusted: false,
            request_id: RequestId::Made(NO_ID),
            tls: self.arrival.came.tls,
            secured: None,
            version: None,
        };
        let session = match &self.route.action {
            Action::Forward(Destination::Upstream(upstream)) => {
                self.snapshot.sticky(settings, upstream.upstream)
            }
            _ => None,
        };
        let session = session.map(|sticky| &sticky.carrier);
        let source = Source {
            head,
            bytes: bytes.get(..end).unwrap_or(bytes),
            list,
            options,
            body,
            identity,
            matched: self.matched,
            origins,
            upgrade: settings.upgrade && body == BodyLength::None && wants_upgrade(&head, options),
            timed_call: false,
            gate: self.gate,
            session,
        };
        let mut out = Vec::new();
        request_head::write(&mut out, &source, self.snapshot, settings, None, &mut Vec::new());
        out
    }

    /// The answer that the route gives itself; `None` where it forwards.
    pub fn own_answer(&self) -> Option<Vec<u8>> {
        let edits = &self.route.settings.response_edits;
        let method = self.understood.head.method;
        match &self.route.action {
            Action::Forward(_) => None,
            Action::Redirect { redirect, status } => {
                let mut location = Vec::new();
                self.place().location(redirect, &mut location);
                Some(answer(self.arrival, method, edits, self.gate, |out, answer| {
                    respond::redirect(out, *status, &location, answer);
                }))
            }
            Action::Respond(response) => {
                Some(answer(self.arrival, method, edits, self.gate, |out, answer| {
                    respond::fixed(out, response, answer);
                }))
            }
        }
    }

    /// Where the request came in: at the port of its authority.
    fn place(&self) -> Place<'_> {
        let scheme = if self.arrival.came.tls { Scheme::Https } else { Scheme::Http };
        let authority = self.understood.identity.authority;
        let port = authority.rsplit(|byte| *byte == b':').next().filter(|port| port.len() < authority.len());
        let port = port.and_then(|port| std::str::from_utf8(port).ok()?.parse().ok());
        let port = port.unwrap_or(scheme.port());
        Place { view: self.understood.view(), matched: self.matched, port, scheme }
    }
}

/// The answer for a refusal.
pub fn refusal(refusal: Refusal, method: Method, arrival: &Arrival<'_>, gate: Option<&Gate>) -> Vec<u8> {
    let edits = Edits::default();
    answer(arrival, method, &edits, gate, |out, answer| respond::refusal(out, refusal, answer))
}

/// The answer that a policy gives.
pub fn policy(given: &policy::Answer, method: Method, arrival: &Arrival<'_>, gate: Option<&Gate>) -> Vec<u8> {
    let edits = Edits::default();
    answer(arrival, method, &edits, gate, |out, answer| respond::policy(out, given, answer))
}

/// Where a policy knows when it is worth to try again, the answer says so.
pub fn say_when_again(refused: &Refused, gate: &mut Gate) {
    if let Some(seconds) = refused.retry_after_s {
        gate.response.set("Retry-After", &seconds.to_string());
    }
}

fn answer(
    arrival: &Arrival<'_>,
    method: Method,
    edits: &Edits,
    gate: Option<&Gate>,
    write: impl FnOnce(&mut Vec<u8>, &Answer<'_>),
) -> Vec<u8> {
    let date = date::http_date(Duration::from_micros(arrival.moment.wall_us));
    let gate = gate.map(|gate| &gate.response);
    let mut out = Vec::new();
    let (request_id, connection) = (&NO_ID[..], &b""[..]);
    write(
        &mut out,
        &Answer { date: &date, request_id, method, connection, edits, gate, secured: None, retry_after_s: 1 },
    );
    out
}
