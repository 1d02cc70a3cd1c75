//! The provider's token end point, and the ID token that comes from there (OpenID Connect Core sections 3.1.3 and 12).

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;
use tollgate_credentials::jwt::{Algorithms, Keys, Rejection, Rules, verify};
use tollgate_credentials::pkce;
use tollgate_outbound::oidc::Provider;
use tollgate_outbound::{Error, Request, Response};
use tollgate_policy::Claims;

use super::settings::Settings;
use crate::auth::percent;

/// Bytes of an answer of the token end point.
const ANSWER_MAX: usize = 64 * 1024;

/// What the token end point gives.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Seconds; some providers send a text.
    expires_in: Option<Value>,
    pub(super) scope: Option<String>,
}

impl std::fmt::Debug for TokenAnswer {
    /// Without the tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenAnswer")
    }
}

impl TokenAnswer {
    pub(super) fn expires_in_s(&self) -> Option<u64> {
        let value = self.expires_in.as_ref()?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }
}

/// Why there are no tokens, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// The provider does not give any.
    Refused(String),
    /// The provider cannot be asked, or fails.
    Unavailable(String),
}

/// Asks the token end point; `None` where the provider has none.
pub(super) fn request(settings: &Settings, provider: &Provider, pairs: &[(&str, &str)]) -> Option<Request> {
    let url = provider.token.clone()?;
    let methods = &provider.token_auth_methods;
    let has = |method: &str| methods.iter().any(|known| known == method);
    let mut pairs = pairs.to_vec();
    let mut basic = None;
    match &settings.client_secret {
        None => pairs.push(("client_id", &settings.client_id)),
        Some(secret) if has("client_secret_post") && !has("client_secret_basic") => {
            pairs.extend([("client_id", settings.client_id.as_str()), ("client_secret", secret)]);
        }
        Some(secret) => basic = Some(basic_of(&settings.client_id, secret)),
    }
    let mut request = Request::form(url, &pairs).accept_json().timeout(settings.timeout).body_max(ANSWER_MAX);
    if let Some(basic) = basic {
        request = request.header(AUTHORIZATION, basic);
    }
    Some(request)
}

/// RFC 6749 section 2.3.1: both halves are encoded as in a form first.
fn basic_of(client_id: &str, secret: &str) -> HeaderValue {
    let mut pair = String::new();
    percent::encode(&mut pair, client_id);
    pair.push(':');
    percent::encode(&mut pair, secret);
    // Base64 is always a value.
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// What the token end point's answer is.
pub(super) fn read(answer: Result<Response, Error>) -> Result<TokenAnswer, TokenError> {
    let response = answer.map_err(|error| TokenError::Unavailable(error.to_string()))?;
    let status = response.status.as_u16();
    match status {
        200 => serde_json::from_slice(&response.body)
            .map_err(|_| TokenError::Unavailable("its answer cannot be read".to_owned())),
        400..=499 if status != 408 && status != 429 => {
            let error: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let code = error["error"].as_str().map(told).unwrap_or_default();
            Err(TokenError::Refused(format!("it answered {status} {code}")))
        }
        _ => Err(TokenError::Unavailable(format!("it answered {status}"))),
    }
}

/// Somebody else's words, short and without anything that could pass for ours.
pub(super) fn told(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect()
}

/// What has to be in an ID token.
pub(super) struct Expected<'a> {
    /// The nonce of the login; `None` for a refresh, whose token need not have it (section 12.2).
    pub(super) nonce: Option<&'a str>,
    /// The subject of the session before a refresh.
    pub(super) subject: Option<&'a str>,
    /// The access token that came with it.
    pub(super) access_token: Option<&'a str>,
}

/// Why an ID token is not taken.
#[derive(Debug)]
pub(super) enum Untrue {
    /// Other keys might change that.
    Key(Rejection),
    /// Nothing will.
    Wrong(String),
}

/// What an ID token says, verified (section 3.1.3.7), and until when it is good.
pub(super) fn id_token(
    settings: &Settings,
    keys: &Keys,
    token: &str,
    expected: &Expected<'_>,
    now: u64,
) -> Result<(Claims, u64), Untrue> {
    let rules = Rules {
        issuers: vec![settings.issuer.clone()],
        audience: vec![settings.client_id.clone()],
        algorithms: Algorithms::asymmetric(),
        required: vec!["sub".to_owned(), "iat".to_owned()],
        clock_skew: settings.clock_skew_s,
        ..Rules::default()
    };
    let verified = verify(token.as_bytes(), keys, &rules, now).map_err(|why| match why.may_refetch() {
        true => Untrue::Key(why),
        false => Untrue::Wrong(why.to_string()),
    })?;
    let mut claims = verified.claims.map().clone();
    check(settings, token, &claims, expected).map_err(|why| Untrue::Wrong(why.to_owned()))?;
    // They have said what they are for.
    ["nonce", "at_hash", "c_hash", "s_hash"].iter().for_each(|name| drop(claims.remove(*name)));
    Ok((claims, verified.expires_at))
}

fn check(
    settings: &Settings,
    token: &str,
    claims: &Claims,
    expected: &Expected<'_>,
) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_same = |a: Option<&str>, b: &str| a.is_some_and(|a| pkce::same(a.as_bytes(), b.as_bytes()));
    if expected.nonce.is_some_and(|nonce| !is_same(text("nonce"), nonce)) {
        return Err("the ID token's nonce is not the login's");
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err("the ID token's `sub` is not a text");
    }
    if expected.subject.is_some_and(|subject| text("sub") != Some(subject)) {
        return Err("the ID token is about somebody else than before");
    }
    let has_several = claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
    let is_wrong = claims.get("azp").is_some_and(|azp| azp.as_str() != Some(settings.client_id.as_str()));
    if is_wrong || (has_several && !claims.contains_key("azp")) {
        return Err("the ID token was made out to another client");
    }
    match (claims.get("at_hash"), expected.access_token) {
        (Some(Value::String(hash)), Some(access)) if !is_same(half_hash(token, access).as_deref(), hash) => {
            Err("the access token is not the ID token's")
        }
        (None | Some(Value::String(_)), _) => Ok(()),
        (Some(_), _) => Err("the ID token's `at_hash` is not a text"),
    }
}

/// The left half of the access token's hash, by the hash of the ID token's algorithm (section 3.1.3.6).
fn half_hash(token: &str, access_token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let algorithm = match header["alg"].as_str()? {
        name if name.ends_with("256") => &SHA256,
        name if name.ends_with("384") => &SHA384,
        _ => &SHA512,
    };
    let hash = digest(algorithm, access_token.as_bytes());
    hash.as_ref().get(..hash.as_ref().len() / 2).map(|half| URL_SAFE_NO_PAD.encode(half))
}
