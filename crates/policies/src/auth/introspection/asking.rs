//! A call to the authorization server, and what its answer means.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value as Json;
use tollgate_credentials::jwt::Claims;
use tollgate_decision::Reason;
use tollgate_outbound::{HttpClient, Request};
use tollgate_policy::Moment;

use super::Settings;
use super::answers::Known;
use crate::auth::bearer::Good;

/// The longest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;
/// How far the server's clock may be off, in seconds.
const CLOCK_SKEW: u64 = 60;

/// What came of asking.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Known {
        known: Known,
        /// When the token ends, in seconds since 1970.
        expires_at: u64,
    },
    /// There is no answer that could be used: why, for the operator.
    Unknown(Cow<'static, str>),
}

/// Asks about a token (section 2.1). It is a question, so that it may be asked again on another connection.
pub(super) async fn ask(settings: &Settings, client: &HttpClient, token: &[u8], moment: Moment) -> Outcome {
    let Ok(token) = std::str::from_utf8(token) else {
        return Outcome::Unknown("the token is not text".into());
    };
    let form = [("token", token), ("token_type_hint", "access_token")];
    let request = Request::form(settings.url.clone(), &form)
        .client_secret_basic(&settings.client_id, &settings.client_secret)
        .accept_json()
        .repeatable()
        .body_max(ANSWER_MAX)
        .timeout(settings.timeout);
    let response = match client.call(request).await {
        Ok(response) => response,
        Err(error) => return Outcome::Unknown(format!("the authorization server: {error}").into()),
    };
    if response.status != StatusCode::OK {
        let status = response.status.as_u16();
        return Outcome::Unknown(format!("the authorization server answered with status {status}").into());
    }
    judge(settings, &response.body, moment.wall_s())
}

/// What an answer means (section 2.2).
pub(super) fn judge(settings: &Settings, answer: &[u8], now: u64) -> Outcome {
    let unusable = |why: &str| Outcome::Unknown(format!("the authorization server's answer: {why}").into());
    let claims = match Claims::from_json(answer) {
        Ok(claims) => claims,
        Err(why) => return unusable(why.0),
    };
    let bad = |reason, note| Outcome::Known { known: Known::Bad(reason, note), expires_at: u64::MAX };
    match claims.map().get("active") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return bad(Reason::TokenInactive, None),
        _ => return unusable("it does not say whether the token is active"),
    }
    let expires_at = match (claims.map().get("exp"), claims.expiry()) {
        (None | Some(Json::Null), _) => u64::MAX,
        (Some(_), Some(expires_at)) => expires_at,
        (Some(_), None) => return unusable("`exp` is no time"),
    };
    if let Err((reason, note)) = check(settings, &claims, expires_at, now) {
        return bad(reason, Some(note));
    }
    match Good::new(claims.into_map(), &settings.tokens) {
        Ok(good) => Outcome::Known { known: Known::Good(Arc::new(good)), expires_at },
        Err(refused) => bad(refused.reason, refused.note),
    }
}

/// What the server leaves to us.
fn check(
    settings: &Settings,
    claims: &Claims,
    expires_at: u64,
    now: u64,
) -> Result<(), (Reason, Cow<'static, str>)> {
    if now >= expires_at.saturating_add(CLOCK_SKEW) {
        return Err((Reason::TokenExpired, "the token is expired".into()));
    }
    let issuer = claims.map().get("iss").and_then(Json::as_str);
    if !settings.issuers.is_empty()
        && !issuer.is_some_and(|found| settings.issuers.iter().any(|our| our == found))
    {
        return Err((Reason::TokenIssuer, "the token's issuer is not a configured one".into()));
    }
    let is_ours =
        |found: &Json| found.as_str().is_some_and(|found| settings.audience.iter().any(|our| our == found));
    let is_for_us = match claims.map().get("aud") {
        Some(Json::Array(list)) => list.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !settings.audience.is_empty() && !is_for_us {
        return Err((Reason::TokenAudience, "the token is for another audience".into()));
    }
    match settings.scopes.iter().find(|scope| !claims.scopes().any(|has| has == **scope)) {
        Some(scope) => Err((Reason::TokenClaims, format!("the token has not the scope `{scope}`").into())),
        None => Ok(()),
    }
}
