//! What clients ask: the token and introspection end points (RFC 6749, RFC 7662).

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::form::{Form, decode};
use super::keys::{Algorithm, encode};
use super::serving::Answer;
use super::state::{Grant, now, random_text};
use super::{Shared, State, change};

/// Why a request is refused: an error of RFC 6749 section 5.2 and what is behind it.
type Refusal = (&'static str, String);

fn refuse((error, why): Refusal) -> Answer {
    let status = match error {
        "invalid_client" => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    Answer::json(status, &json!({ "error": error, "error_description": why }))
}

fn invalid(error: &'static str) -> impl Fn(String) -> Refusal {
    move |why| (error, why)
}

/// `POST /token`.
pub(super) fn token(shared: &Shared, head: &Parts, body: &str) -> Answer {
    let mut state = shared.state();
    let given = (|| {
        let form = Form::parse(body).map_err(invalid("invalid_request"))?;
        let client = authenticate(&state, head, &form)?;
        match form.need("grant_type").map_err(invalid("invalid_request"))? {
            "authorization_code" => by_code(&mut state, &client, &form),
            "refresh_token" => by_refresh_token(&mut state, &client, &form),
            other => Err(("unsupported_grant_type", other.to_owned())),
        }
    })();
    match given {
        Ok(grant) => Answer::json(StatusCode::OK, &give(shared, &mut state, &grant)),
        Err(refusal) => refuse(refusal),
    }
}

/// `POST /introspect`.
pub(super) fn introspect(shared: &Shared, head: &Parts, body: &str) -> Answer {
    let state = shared.state();
    let asked = (|| {
        let form = Form::parse(body).map_err(invalid("invalid_request"))?;
        authenticate(&state, head, &form)?;
        form.need("token").map(str::to_owned).map_err(invalid("invalid_request"))
    })();
    let token = match asked {
        Ok(token) => token,
        Err(refusal) => return refuse(refusal),
    };
    let known = state.tokens.get(&token).filter(|claims| {
        let family = claims["family"].as_u64().and_then(|family| usize::try_from(family).ok());
        let is_revoked = family.is_some_and(|family| state.is_revoked(family));
        !is_revoked && claims["exp"].as_u64().is_none_or(|until| until > now())
    });
    let Some(mut claims) = known.cloned() else {
        return Answer::json(StatusCode::OK, &json!({ "active": false }));
    };
    if let Some(claims) = claims.as_object_mut() {
        claims.remove("family");
        claims.insert("active".to_owned(), true.into());
    }
    Answer::json(StatusCode::OK, &claims)
}

/// Who asks, by `client_secret_basic` or `client_secret_post`; not by both (RFC 6749 section 2.3).
fn authenticate(state: &State, head: &Parts, form: &Form) -> Result<String, Refusal> {
    let fail = |why: &str| ("invalid_client", why.to_owned());
    let (id, secret) = match head.headers.get(AUTHORIZATION) {
        Some(value) => {
            if form.get("client_secret").is_some() {
                return Err(("invalid_request", "there are two proofs of who asks".to_owned()));
            }
            let value = value.to_str().ok().and_then(|value| value.strip_prefix("Basic "));
            let pair = value.and_then(|value| BASE64_STANDARD.decode(value).ok());
            let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).ok_or_else(|| fail("malformed"))?;
            let (id, secret) = pair.split_once(':').ok_or_else(|| fail("malformed"))?;
            (decode(id), decode(secret))
        }
        None => {
            let part = |name| form.need(name).map(str::to_owned).map_err(|why| fail(&why));
            (part("client_id")?, part("client_secret")?)
        }
    };
    let is_known = state.clients.get(&id).is_some_and(|client| client.secret == secret);
    if is_known { Ok(id) } else { Err(fail("wrong client or secret")) }
}

fn by_code(state: &mut State, client: &str, form: &Form) -> Result<Grant, Refusal> {
    let need = |name| form.need(name).map_err(invalid("invalid_request"));
    let bad = |why: &str| ("invalid_grant", why.to_owned());
    let (code, verifier, uri) = (need("code")?, need("code_verifier")?, need("redirect_uri")?);
    let known = state.codes.get_mut(code).ok_or_else(|| bad("the code is not known"))?;
    if std::mem::replace(&mut known.is_used, true) {
        // Somebody has stolen it (RFC 6749 section 4.1.2).
        let family = known.grant.family;
        state.revoked_families.push(family);
        return Err(bad("the code was used before"));
    }
    if known.grant.client != client {
        return Err(bad("the code is another client's"));
    }
    if known.redirect_uri != uri {
        return Err(bad("the code was sent elsewhere"));
    }
    if !(43..=128).contains(&verifier.len())
        || encode(digest(&SHA256, verifier.as_bytes())) != known.challenge
    {
        return Err(bad("the code verifier does not fit"));
    }
    Ok(known.grant.clone())
}

fn by_refresh_token(state: &mut State, client: &str, form: &Form) -> Result<Grant, Refusal> {
    let bad = |why: &str| ("invalid_grant", why.to_owned());
    let token = form.need("refresh_token").map_err(invalid("invalid_request"))?;
    let (grant, is_used) =
        state.refresh_tokens.get_mut(token).ok_or_else(|| bad("the token is not known"))?;
    if grant.client != client {
        return Err(bad("the token is another client's"));
    }
    let grant = grant.clone();
    if std::mem::replace(is_used, true) {
        // RFC 9700 section 4.14.2.
        state.revoked_families.push(grant.family);
        return Err(bad("the token was used before"));
    }
    match state.is_revoked(grant.family) {
        true => Err(bad("the login was revoked")),
        false => Ok(grant),
    }
}

/// Tokens for what a user agreed to.
fn give(shared: &Shared, state: &mut State, grant: &Grant) -> Value {
    let lifetime = state.manner.token_lifetime.as_secs();
    let times = json!({ "iss": shared.base, "sub": grant.user, "iat": now(), "exp": now() + lifetime });
    let mut access = times.clone();
    access["aud"] = grant.client.clone().into();
    access["client_id"] = grant.client.clone().into();
    access["scope"] = grant.scope.clone().into();
    access["jti"] = random_text().into();
    let access_token = state.keys.token(Algorithm::Es256, &access);
    access["family"] = grant.family.into();
    state.tokens.insert(access_token.clone(), access);
    let mut id = times;
    id["aud"] = grant.client.clone().into();
    id["at_hash"] = encode(&digest(&SHA256, access_token.as_bytes()).as_ref()[..16]).into();
    if let Some(nonce) = &grant.nonce {
        id["nonce"] = nonce.clone().into();
    }
    change(&mut id, state.users.get(&grant.user).map(|user| user.claims.clone()).unwrap_or_default());
    change(&mut id, state.manner.id_token.clone());
    let refresh_token = random_text();
    state.refresh_tokens.insert(refresh_token.clone(), (grant.clone(), false));
    json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "refresh_token": refresh_token,
        "scope": grant.scope,
        "id_token": state.keys.token(Algorithm::Rs256, &id),
    })
}
