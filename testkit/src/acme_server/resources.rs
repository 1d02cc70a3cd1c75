//! The resources of RFC 8555 section 7.1, and of RFC 9773.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::Shared;
use super::authority::{Terms, date};
use super::jws::{Key, Signed};
use super::mischief::Mischief;
use super::orders::{Authorization, KINDS, Order, Outcome};
use super::problem::Problem;
use super::state::State;
use super::validation::Question;

/// What a resource says.
struct Answer {
    status: StatusCode,
    /// The address of what was made or asked.
    location: Option<String>,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn json(body: &Value) -> Self {
        Self { status: StatusCode::OK, location: None, kind: "application/json", body: body.to_string() }
    }

    fn empty(status: StatusCode) -> Self {
        Self { status, location: None, kind: "text/plain", body: String::new() }
    }

    fn created(self, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..self }
    }
}

/// Answers a request, with a nonce as every answer has one.
pub(super) fn answer(head: &Parts, body: &[u8], shared: &Arc<Shared>) -> Response<Full<Bytes>> {
    let answered = route(head, body, shared);
    let mut state = shared.state();
    let mut response = Response::builder().header("Replay-Nonce", state.new_nonce());
    let (status, kind, body) = match answered {
        Ok(answer) => {
            if let Some(location) = answer.location {
                response = response.header("Location", location);
            }
            (answer.status, answer.kind, answer.body)
        }
        Err(problem) => {
            state.counts.problems.push(problem.kind);
            if let Some(seconds) = problem.retry_after {
                response = response.header("Retry-After", seconds);
            }
            (problem.status, "application/problem+json", problem.json().to_string())
        }
    };
    if kind == "application/json" && head.uri.path().starts_with("/renewal-info/") {
        response = response.header("Retry-After", 6 * 3600);
    }
    response.status(status).header("Content-Type", kind).body(Full::from(body)).unwrap()
}

fn route(head: &Parts, body: &[u8], shared: &Arc<Shared>) -> Result<Answer, Problem> {
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    match path.as_slice() {
        ["directory"] if reads => return Ok(directory(shared)),
        // RFC 8555 section 7.2.
        ["new-nonce"] if head.method == Method::HEAD => return Ok(Answer::empty(StatusCode::OK)),
        ["new-nonce"] if head.method == Method::GET => return Ok(Answer::empty(StatusCode::NO_CONTENT)),
        ["renewal-info", certificate] if reads => return renewal_info(shared, certificate),
        _ if head.method != Method::POST => {
            let detail = format!("{} is not for reading by {}", head.uri, head.method);
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "malformed", detail));
        }
        _ => {}
    }
    if head.headers.get("Content-Type").is_none_or(|kind| kind != "application/jose+json") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "malformed", "application/jose+json is needed"));
    }
    let signed = Signed::parse(body)?;
    let mut state = shared.state();
    if path == ["new-account"] {
        let key = signed.header.jwk.as_ref();
        let key = key.ok_or_else(|| Problem::malformed("a new account needs its `jwk`"))?;
        check(&signed, key, head, shared, &mut state)?;
        return new_account(&signed, key, shared, &mut state);
    }
    let account = known_account(&signed, shared, &state)?;
    check(&signed, &state.accounts[account].clone(), head, shared, &mut state)?;
    let (base, state) = (shared.base.as_str(), &mut *state);
    match path.as_slice() {
        ["account", number] if number.parse() == Ok(account) => {
            state.counts.contacts = contacts(&signed.object()?);
            Ok(Answer::json(&json!({ "status": "valid", "contact": state.counts.contacts })))
        }
        ["new-order"] => new_order(&signed, account, base, state),
        ["order", number] => {
            signed.reads()?;
            let number = owned(number, account, &state.orders, |order| order.account)?;
            let look = state.orders[number].look(base, number, &state.authorizations);
            Ok(Answer::json(&look))
        }
        ["order", number, "finalize"] => {
            let number = owned(number, account, &state.orders, |order| order.account)?;
            finalize(&signed, number, shared, state)
        }
        ["authorization", number] => {
            signed.reads()?;
            let number = owned(number, account, &state.authorizations, |known| known.account)?;
            Ok(Answer::json(&state.authorizations[number].json(base, number)))
        }
        ["challenge", number, kind] => {
            let number = owned(number, account, &state.authorizations, |known| known.account)?;
            let kind = KINDS.into_iter().find(|known| known == kind).ok_or_else(Problem::not_found)?;
            challenge(&signed, number, kind, shared, state)
        }
        ["certificate", number] => {
            signed.reads()?;
            let number = owned(number, account, &state.certificates, |(account, _)| *account)?;
            let (body, kind) = (state.certificates[number].1.clone(), "application/pem-certificate-chain");
            Ok(Answer { status: StatusCode::OK, location: None, kind, body })
        }
        _ => Err(Problem::not_found()),
    }
}

/// RFC 8555 sections 6.4 and 6.5, and the signature.
fn check(
    signed: &Signed,
    key: &Key,
    head: &Parts,
    shared: &Shared,
    state: &mut State,
) -> Result<(), Problem> {
    signed.verify(key)?;
    if signed.header.url != format!("{}{}", shared.base, head.uri.path()) {
        return Err(Problem::unauthorized(format!("{} was signed for {}", head.uri, signed.header.url)));
    }
    let is_good = state.use_nonce(&signed.header.nonce);
    if !is_good || state.take_mischief(|mischief| *mischief == Mischief::BadNonce).is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "badNonce", "this nonce cannot be used"));
    }
    Ok(())
}

fn known_account(signed: &Signed, shared: &Shared, state: &State) -> Result<usize, Problem> {
    let unknown = |kid: &str| {
        let detail = format!("{kid:?} is no account");
        Problem::new(StatusCode::BAD_REQUEST, "accountDoesNotExist", detail)
    };
    let kid = signed.header.kid.as_deref();
    let kid = kid.ok_or_else(|| Problem::malformed("the account is named by `kid`"))?;
    let number = kid.strip_prefix(&format!("{}/account/", shared.base)).and_then(|n| n.parse().ok());
    number
        .filter(|number| (state.forgotten..state.accounts.len()).contains(number))
        .ok_or_else(|| unknown(kid))
}

/// The place of a thing that belongs to the account.
fn owned<T>(
    number: &str,
    account: usize,
    things: &[T],
    owner: impl Fn(&T) -> usize,
) -> Result<usize, Problem> {
    let number = number.parse::<usize>().ok().filter(|number| *number < things.len());
    let number = number.ok_or_else(Problem::not_found)?;
    if owner(&things[number]) != account {
        return Err(Problem::unauthorized("this belongs to another account"));
    }
    Ok(number)
}

fn directory(shared: &Shared) -> Answer {
    let base = &shared.base;
    let mut directory = json!({
        "newNonce": format!("{base}/new-nonce"),
        "newAccount": format!("{base}/new-account"),
        "newOrder": format!("{base}/new-order"),
        "meta": { "termsOfService": format!("{base}/terms") },
    });
    if shared.state().window.is_some() {
        directory["renewalInfo"] = json!(format!("{base}/renewal-info"));
    }
    Answer::json(&directory)
}

/// RFC 9773 section 4.2.
fn renewal_info(shared: &Shared, certificate: &str) -> Result<Answer, Problem> {
    let mut state = shared.state();
    let window = state.window.ok_or_else(Problem::not_found)?;
    let parts: Vec<&str> = certificate.split('.').collect();
    if parts.len() != 2 || !parts.iter().all(|part| BASE64_URL_SAFE_NO_PAD.decode(part).is_ok()) {
        return Err(Problem::malformed(format!("{certificate:?} names no certificate")));
    }
    state.counts.renewal_questions += 1;
    let text = |time| date(time).format(&Rfc3339).unwrap();
    Ok(Answer::json(&json!({ "suggestedWindow": { "start": text(window.0), "end": text(window.1) } })))
}

fn new_account(signed: &Signed, key: &Key, shared: &Shared, state: &mut State) -> Result<Answer, Problem> {
    let payload = signed.object()?;
    let address = |number: usize| format!("{}/account/{number}", shared.base);
    let body = json!({ "status": "valid" });
    let mut known = state.accounts.iter().enumerate().skip(state.forgotten);
    if let Some((number, _)) = known.find(|(_, known)| *known == key) {
        return Ok(Answer { location: Some(address(number)), ..Answer::json(&body) });
    }
    if payload["onlyReturnExisting"] == true {
        let detail = "no account has this key";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "accountDoesNotExist", detail));
    }
    if payload["termsOfServiceAgreed"] != true {
        return Err(Problem::new(StatusCode::FORBIDDEN, "userActionRequired", "agree to the terms first"));
    }
    state.accounts.push(key.clone());
    state.counts.accounts += 1;
    state.counts.contacts = contacts(&payload);
    Ok(Answer::json(&body).created(address(state.accounts.len() - 1)))
}

fn contacts(payload: &Value) -> Vec<String> {
    let contacts = payload["contact"].as_array().into_iter().flatten();
    contacts.filter_map(|contact| Some(contact.as_str()?.to_owned())).collect()
}

fn new_order(signed: &Signed, account: usize, base: &str, state: &mut State) -> Result<Answer, Problem> {
    let payload = signed.object()?;
    if let Some(Mischief::RateLimited { retry_after }) =
        state.take_mischief(|mischief| matches!(mischief, Mischief::RateLimited { .. }))
    {
        let detail = "too many certificates already issued";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rateLimited", detail);
        return Err(Problem { retry_after: Some(retry_after), ..problem });
    }
    let mut names = Vec::new();
    for identifier in payload["identifiers"].as_array().into_iter().flatten() {
        let name =
            identifier["value"].as_str().filter(|name| identifier["type"] == "dns" && !name.contains('*'));
        let refused = || {
            let detail = format!("{identifier} cannot be ordered here");
            Problem::new(StatusCode::BAD_REQUEST, "rejectedIdentifier", detail)
        };
        names.push(name.ok_or_else(refused)?.to_owned());
    }
    if names.is_empty() {
        return Err(Problem::malformed("an order needs identifiers"));
    }
    let first = state.authorizations.len();
    state.authorizations.extend(names.iter().map(|name| Authorization::new(account, name)));
    let authorizations = (first..state.authorizations.len()).collect();
    let replaces = payload["replaces"].as_str().map(str::to_owned);
    state.counts.replacements += usize::from(replaces.is_some());
    state.counts.orders += 1;
    state.orders.push(Order { account, names, authorizations, replaces, outcome: None });
    state.count_open_orders();
    let number = state.orders.len() - 1;
    let order = state.orders[number].json(base, number, &state.authorizations);
    Ok(Answer::json(&order).created(format!("{base}/order/{number}")))
}

/// The client is ready to be asked (RFC 8555 section 7.5.1): it is asked behind the answer.
fn challenge(
    signed: &Signed,
    number: usize,
    kind: &'static str,
    shared: &Arc<Shared>,
    state: &mut State,
) -> Result<Answer, Problem> {
    signed.object()?;
    let authorization = &mut state.authorizations[number];
    if authorization.chosen.is_none() {
        authorization.chosen = Some(kind);
        let question = Question {
            kind,
            name: authorization.name.clone(),
            token: authorization.token.clone(),
            key_authorization: authorization.key_authorization(&state.accounts[authorization.account]),
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let outcome = question.ask(&shared).await;
            let mut state = shared.state();
            state.counts.validations += 1;
            state.authorizations[number].outcome = Some(outcome);
        });
    }
    Ok(Answer::json(&state.authorizations[number].challenge(kind, &shared.base, number)))
}

/// RFC 8555 section 7.4.
fn finalize(signed: &Signed, number: usize, shared: &Shared, state: &mut State) -> Result<Answer, Problem> {
    let payload = signed.object()?;
    let request = payload["csr"].as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    let request = request.ok_or_else(|| Problem::malformed("`csr` is missing"))?;
    let status = state.orders[number].status(&state.authorizations);
    if status != "ready" {
        let detail = format!("the order is {status}");
        return Err(Problem::new(StatusCode::FORBIDDEN, "orderNotReady", detail));
    }
    let outcome = if state.take_mischief(|mischief| *mischief == Mischief::OrderInvalid).is_some() {
        Outcome::Refused(Problem::unauthorized("the authority does not like this order"))
    } else {
        let wrong_key = state.take_mischief(|mischief| *mischief == Mischief::WrongKey).is_some();
        let (names, serial) = (&state.orders[number].names, state.certificates.len() as u64 + 1);
        let terms = Terms { names, now: state.now(), lifetime: state.lifetime, serial, wrong_key };
        let chain = shared.authority.issue(&request, &terms)?;
        state.certificates.push((state.orders[number].account, chain));
        state.counts.certificates += 1;
        let looks = match state.take_mischief(|mischief| matches!(mischief, Mischief::Slow { .. })) {
            Some(Mischief::Slow { looks }) => looks,
            _ => 0,
        };
        Outcome::Issued { certificate: state.certificates.len() - 1, looks }
    };
    state.orders[number].outcome = Some(outcome);
    let order = state.orders[number].json(&shared.base, number, &state.authorizations);
    let location = Some(format!("{}/order/{number}", shared.base));
    Ok(Answer { location, ..Answer::json(&order) })
}
