//! Putting an answer from here in the place of an origin's response.

use tollgate_decision::Reason;
use tollgate_message::BodyLength;
use tollgate_routing::RequestView;
use tollgate_routing::rewrite::{Redirect, RedirectedRequest, Scheme, redirect_location};

use super::Refusal;
use super::client::Client;
use super::log;
use super::respond::{self, Answer};
use crate::exchange::{BodyReader, Exchange};
use crate::snapshot::{Action, FixedResponse, Route};
use crate::worker::Worker;
use tollgate_http1::edits::Edits;

/// Puts the answer for a refusal in the place of a response.
pub fn answer_refusal(worker: &Worker, exchange: &mut Exchange, refusal: Refusal) {
    let close = !exchange.facts.persists;
    exchange.record.reason = Some(refusal.reason);
    exchange.record.detail = refusal.detail;
    exchange.response.status = refusal.reason.status();
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let secured = exchange.secured.as_deref();
    let out = &mut exchange.response.pending.bytes;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &Edits::default();
        let answer = Answer { date, request_id, method: facts.method, connection, edits, secured };
        match facts.call {
            true => respond::call_refusal(out, refusal, &answer),
            false => respond::refusal(out, refusal, &answer),
        }
    });
    if facts.call {
        exchange.response.status = 200;
    }
    exchange.response.close = close;
    log::keep_answer(exchange);
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

/// Puts the redirect of a plain request to https in the place of a response. `location` is a buffer.
pub fn answer_https(
    worker: &Worker,
    exchange: &mut Exchange,
    view: &RequestView<'_>,
    port: u16,
    location: &mut Vec<u8>,
) {
    let redirect = Redirect { scheme: Some(Scheme::Https), port: Some(port), ..Redirect::default() };
    let request = RedirectedRequest {
        scheme: Scheme::Http,
        host: view.host,
        listener_port: port,
        path: view.path,
        matched_prefix: b"",
        query: view.query,
    };
    redirect_location(&redirect, &request, location);
    let (close, status) = (!exchange.facts.persists, Reason::HttpsRedirect.status());
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let out = &mut exchange.response.pending.bytes;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &Edits::default();
        let answer = Answer { date, request_id, method: facts.method, connection, edits, secured: None };
        respond::redirect(out, status, location, &answer);
    });
    exchange.response.status = status;
    exchange.response.close = close;
    log::keep_answer(exchange);
    exchange.record.reason = Some(Reason::HttpsRedirect);
}

/// Puts the answer to an authority's challenge in the place of a response (RFC 8555 section 8.3).
pub fn answer_challenge(worker: &Worker, exchange: &mut Exchange, key_authorization: &str) {
    let response = FixedResponse {
        status: Reason::AcmeChallenge.status(),
        content_type: Some("text/plain".to_owned()),
        fields: Vec::new(),
        body: key_authorization.as_bytes().to_vec(),
    };
    let close = !exchange.facts.persists;
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let out = &mut exchange.response.pending.bytes;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &Edits::default();
        let answer = Answer { date, request_id, method: facts.method, connection, edits, secured: None };
        respond::fixed(out, &response, &answer);
    });
    exchange.response.status = response.status;
    exchange.response.close = close;
    log::keep_answer(exchange);
    exchange.record.reason = Some(Reason::AcmeChallenge);
}

/// Puts the answer that a route gives itself in the place of a response. `location` is a buffer.
pub fn answer_action(
    worker: &Worker,
    exchange: &mut Exchange,
    route: &Route,
    place: &Place<'_>,
    location: &mut Vec<u8>,
) {
    let close = !exchange.facts.persists;
    let (facts, notes) = (exchange.facts, &exchange.notes);
    let secured = exchange.secured.as_deref();
    let out = &mut exchange.response.pending.bytes;
    let mut status = 0;
    worker.with_http_date(|date| {
        let connection = respond::connection_line(facts.version, close);
        let [request_id, ..] = notes.parts();
        let edits = &route.settings.response_edits;
        let answer = Answer { date, request_id, method: facts.method, connection, edits, secured };
        match &route.action {
            Action::Redirect { redirect, status: code } => {
                let view = &place.view;
                let matched_prefix = view.path.get(..place.matched).unwrap_or_default();
                let request = RedirectedRequest {
                    scheme: place.scheme,
                    host: view.host,
                    listener_port: place.port,
                    path: view.path,
                    matched_prefix,
                    query: view.query,
                };
                redirect_location(redirect, &request, location);
                respond::redirect(out, *code, location, &answer);
                status = *code;
            }
            Action::Respond(response) => {
                respond::fixed(out, response, &answer);
                status = response.status;
            }
            Action::Forward(_) => {}
        }
    });
    exchange.response.status = status;
    exchange.response.close = close;
    log::keep_answer(exchange);
    exchange.record.reason = Some(if matches!(route.action, Action::Redirect { .. }) {
        Reason::Redirect
    } else {
        Reason::FixedResponse
    });
}
