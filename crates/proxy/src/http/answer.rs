//! Putting an answer from here in the place of an origin's response.

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_message::BodyLength;
use tollgate_policy as policy;
use tollgate_routing::RequestView;
use tollgate_routing::rewrite::{Redirect, RedirectedRequest, Scheme, redirect_location};

use super::Refusal;
use super::client::Client;
use super::log;
use super::respond::{self, Answer};
use crate::exchange::{BodyReader, Exchange};
use crate::snapshot::{Action, FixedResponse, Route};
use crate::worker::Worker;

/// Puts an answer in the place of a response: its head with what all answers have, and what `write` makes of it.
fn give(
    worker: &Worker,
    exchange: &mut Exchange,
    (reason, status): (Reason, u16),
    edits: &Edits,
    write: impl FnOnce(&mut Vec<u8>, &Answer<'_>),
) {
    let close = !exchange.facts.persists;
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let secured = exchange.secured.as_deref();
    let gate = exchange.gate.as_deref().map(|gate| &gate.response);
    let out = &mut exchange.response.pending.bytes;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        write(out, &Answer { date, request_id, method: facts.method, connection, edits, gate, secured });
    });
    exchange.record.reason = Some(reason);
    exchange.response.status = status;
    exchange.response.close = close;
    log::keep_answer(exchange);
}

/// Puts the answer for a refusal in the place of a response.
pub fn answer_refusal(worker: &Worker, exchange: &mut Exchange, refusal: Refusal) {
    let (reason, call) = (refusal.reason, exchange.facts.call);
    exchange.record.detail = refusal.detail;
    let status = if call { 200 } else { reason.status() };
    give(worker, exchange, (reason, status), &Edits::default(), |out, answer| match call {
        true => respond::call_refusal(out, refusal, answer),
        false => respond::refusal(out, refusal, answer),
    });
}

/// Puts a fixed response in the place of the one that could not be had, for this reason.
pub fn answer_instead(worker: &Worker, exchange: &mut Exchange, reason: Reason, response: &FixedResponse) {
    let detail = exchange.record.detail;
    let edits = exchange.route().map_or_else(Edits::default, |route| route.settings.response_edits.clone());
    give(worker, exchange, (reason, response.status), &edits, |out, answer| {
        respond::fixed(out, response, answer);
    });
    exchange.record.detail = detail;
}

/// Puts the answer that a policy gives in the place of a response.
pub fn answer_policy(worker: &Worker, exchange: &mut Exchange, answer: policy::Answer) {
    let reason = answer.reason.unwrap_or(Reason::FixedResponse);
    give(worker, exchange, (reason, answer.status), &Edits::default(), |out, head| {
        respond::policy(out, &answer, head);
    });
}

/// The request will get an answer from here. Its body, if it has one, is not read, so the connection ends
/// with the answer; without one the bytes that follow belong to the next request.
pub fn end_unforwarded(client: &mut Client, exchange: &mut Exchange, body: BodyLength, rest: &[u8]) {
    if body == BodyLength::None {
        client.keep(rest);
    } else {
        exchange.facts.persists = false;
        exchange.body = BodyReader::new(body, 0);
    }
}

/// Where a request came in, as far as a redirect has to know.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What the request asks for.
    pub view: RequestView<'a>,
    /// How much of its path the route matched.
    pub matched: usize,
    /// The port that it came to.
    pub port: u16,
    /// The scheme that it came by.
    pub scheme: Scheme,
}

impl Place<'_> {
    /// Where a redirect leads from here.
    pub fn location(&self, redirect: &Redirect, location: &mut Vec<u8>) {
        let view = &self.view;
        let request = RedirectedRequest {
            scheme: self.scheme,
            host: view.host,
            listener_port: self.port,
            path: view.path,
            matched_prefix: view.path.get(..self.matched).unwrap_or_default(),
            query: view.query,
        };
        redirect_location(redirect, &request, location);
    }
}

/// Puts the redirect of a plain request to https in the place of a response. `location` is a buffer.
pub fn answer_https(
    worker: &Worker,
    exchange: &mut Exchange,
    view: &RequestView<'_>,
    port: u16,
    location: &mut Vec<u8>,
) {
    let redirect = Redirect { scheme: Some(Scheme::Https), port: Some(port), ..Redirect::default() };
    Place { view: *view, matched: 0, port, scheme: Scheme::Http }.location(&redirect, location);
    let (reason, status) = (Reason::HttpsRedirect, Reason::HttpsRedirect.status());
    give(worker, exchange, (reason, status), &Edits::default(), |out, answer| {
        respond::redirect(out, status, location, answer);
    });
}

/// Puts the answer to an authority's challenge in the place of a response (RFC 8555 section 8.3).
pub fn answer_challenge(worker: &Worker, exchange: &mut Exchange, key_authorization: &str) {
    let response = FixedResponse {
        status: Reason::AcmeChallenge.status(),
        content_type: Some("text/plain".to_owned()),
        fields: Vec::new(),
        body: key_authorization.as_bytes().to_vec(),
    };
    give(worker, exchange, (Reason::AcmeChallenge, response.status), &Edits::default(), |out, answer| {
        respond::fixed(out, &response, answer);
    });
}

/// Puts the answer that a route gives itself in the place of a response. `location` is a buffer.
pub fn answer_action(
    worker: &Worker,
    exchange: &mut Exchange,
    route: &Route,
    place: &Place<'_>,
    location: &mut Vec<u8>,
) {
    let edits = &route.settings.response_edits;
    match &route.action {
        Action::Redirect { redirect, status } => {
            place.location(redirect, location);
            give(worker, exchange, (Reason::Redirect, *status), edits, |out, answer| {
                respond::redirect(out, *status, location, answer);
            });
        }
        Action::Respond(response) => {
            give(worker, exchange, (Reason::FixedResponse, response.status), edits, |out, answer| {
                respond::fixed(out, response, answer);
            });
        }
        // Somebody else answers those.
        Action::Forward(_) => {}
    }
}
