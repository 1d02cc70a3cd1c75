//! A token, the keys and the rules: what it claims, or why it is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms};
use super::claims::Claims;
use super::keys::{Key, Keys};
use super::rejection::{Claim, Rejection};
use crate::json;

/// The longest token that is looked at, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// The most keys that one token's signature is tried with: each try costs a signature.
const MAX_TRIES: usize = 4;
/// What `typ` may be when the rules do not say. Tokens with another type are for other things (RFC 8725 section 3.11).
const USUAL_TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// What a token has to be besides well signed.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `iss` is one of these; empty: it is not looked at.
    pub issuers: Vec<String>,
    /// `aud` has one of these; empty: it is not looked at.
    pub audience: Vec<String>,
    /// `alg` is one of these.
    pub algorithms: Algorithms,
    /// Claims that are there and not null, by name or path (see [`Claims::get`]).
    pub required: Vec<String>,
    /// `typ` is one of these, without case and without `application/`; empty: absent, `JWT` or `at+jwt`.
    pub types: Vec<String>,
    /// Whether a token without `exp` is refused, in place of being good for ever.
    pub expiry_required: bool,
    /// How far clocks may differ, in seconds.
    pub clock_skew: u64,
}

impl Default for Rules {
    /// All algorithms with a public key, `exp` required, a minute of skew.
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audience: Vec::new(),
            algorithms: Algorithms::asymmetric(),
            required: Vec::new(),
            types: Vec::new(),
            expiry_required: true,
            clock_skew: 60,
        }
    }
}

/// A token that proved itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// What it claims.
    pub claims: Claims,
    /// The first second since 1970 at which it is refused as expired: `exp` and the clock skew. `u64::MAX` if it does
    /// not expire.
    pub expires_at: u64,
}

/// Verifies a compact token at the time `now`, in seconds since 1970.
///
/// # Errors
/// Why it is refused. Nothing it claims was looked at before its signature was verified.
pub fn verify(token: &[u8], keys: &Keys, rules: &Rules, now: u64) -> Result<Verified, Rejection> {
    if token.len() > LONGEST {
        return Err(Rejection::TooLong);
    }
    let parts = Parts::of(token)?;
    let header = object(parts.header, "its header is not a JSON object")?;
    let algorithm = algorithm(&header, rules)?;
    check_header(&header, rules)?;
    let candidates = candidates(&header, keys, algorithm)?;
    let signature = decoded(parts.signature)?;
    let is_signer =
        |key: &&Key| key.verifies(algorithm, parts.signed, &signature).is_some_and(|verified| verified);
    if !candidates.list.iter().any(is_signer) {
        return Err(candidates.if_none);
    }
    let claims = Claims::new(object(parts.claims, "its claims are not a JSON object")?);
    let expires_at = check_claims(&claims, rules, now)?;
    Ok(Verified { claims, expires_at })
}

struct Parts<'a> {
    header: &'a [u8],
    claims: &'a [u8],
    signature: &'a [u8],
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(token: &'a [u8]) -> Result<Self, Rejection> {
        let mut parts = token.split(|byte| *byte == b'.');
        let mut next = || parts.next().ok_or(Rejection::Malformed("it has not three parts"));
        let (header, claims, signature) = (next()?, next()?, next()?);
        match parts.count() {
            0 => {}
            2 => return Err(Rejection::Encrypted),
            _ => return Err(Rejection::Malformed("it has not three parts")),
        }
        Ok(Self { header, claims, signature, signed: &token[..header.len() + 1 + claims.len()] })
    }
}

/// Strict: no padding, no white space, no bits left over. A token has one spelling only.
fn decoded(part: &[u8]) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Malformed("a part is not strict base64url"))
}

fn object(part: &[u8], what: &'static str) -> Result<Map<String, Value>, Rejection> {
    json::object(&decoded(part)?).map_err(|fault| match fault {
        json::Fault::Duplicate => Rejection::Duplicate,
        json::Fault::Malformed => Rejection::Malformed(what),
    })
}

fn algorithm(header: &Map<String, Value>, rules: &Rules) -> Result<Algorithm, Rejection> {
    let Some(Value::String(name)) = header.get("alg") else {
        return Err(Rejection::Malformed("its header has no `alg` that is a text"));
    };
    if name.eq_ignore_ascii_case("none") {
        return Err(Rejection::Unsigned);
    }
    let algorithm = Algorithm::from_name(name).ok_or(Rejection::AlgorithmNotAllowed)?;
    if rules.algorithms.contains(algorithm) { Ok(algorithm) } else { Err(Rejection::AlgorithmNotAllowed) }
}

fn check_header(header: &Map<String, Value>, rules: &Rules) -> Result<(), Rejection> {
    // RFC 7797 section 6 has `b64` always named in `crit`; a header that does not is refused just the same.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Rejection::CriticalHeader);
    }
    let found = match header.get("typ") {
        None if rules.types.is_empty() => return Ok(()),
        Some(Value::String(text)) => text.as_str(),
        _ => return Err(Rejection::WrongType),
    };
    let bare = |text: &str| -> String {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
    };
    let found = bare(found);
    let is_one = if rules.types.is_empty() {
        USUAL_TYPES.iter().any(|usual| bare(usual) == found)
    } else {
        rules.types.iter().any(|wanted| bare(wanted) == found)
    };
    if is_one { Ok(()) } else { Err(Rejection::WrongType) }
}

struct Candidates<'k> {
    list: Vec<&'k Key>,
    /// What to say when none of them did.
    if_none: Rejection,
}

/// The keys that may have signed: those of the token's `kid`, else those without an id. Keys that a token brings
/// along (`jwk`, `jku`, `x5u`, `x5c`) are nobody's and never used.
fn candidates<'k>(
    header: &Map<String, Value>,
    keys: &'k Keys,
    algorithm: Algorithm,
) -> Result<Candidates<'k>, Rejection> {
    let id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str()),
        Some(_) => return Err(Rejection::Malformed("its `kid` is not a text")),
    };
    let mut list: Vec<&Key> = keys.iter().filter(|key| id.is_none() || key.id() == id).collect();
    let mut if_none = Rejection::BadSignature;
    if list.is_empty() {
        let brings_own = ["jwk", "jku", "x5u", "x5c"].iter().any(|name| header.contains_key(*name));
        if_none = if brings_own { Rejection::EmbeddedKey } else { Rejection::UnknownKey };
        list = keys.iter().filter(|key| key.id().is_none()).collect();
    }
    let is_named = if_none == Rejection::BadSignature;
    list.retain(|key| key.algorithms().contains(algorithm));
    match list.len() {
        0 => Err(if is_named { Rejection::KeyMismatch } else { if_none }),
        1..=MAX_TRIES => Ok(Candidates { list, if_none }),
        _ => Err(Rejection::KeyNotNamed),
    }
}

/// Tells the first second at which the token is expired.
fn check_claims(claims: &Claims, rules: &Rules, now: u64) -> Result<u64, Rejection> {
    let expiry = claims.time(Claim::Expiry)?;
    let expires_at = match expiry {
        Some(expiry) => expiry.saturating_add(rules.clock_skew),
        None if rules.expiry_required => return Err(Rejection::MissingClaim("exp".to_owned())),
        None => u64::MAX,
    };
    if now >= expires_at {
        return Err(Rejection::Expired);
    }
    let latest = now.saturating_add(rules.clock_skew);
    if claims.time(Claim::NotBefore)?.is_some_and(|time| time > latest) {
        return Err(Rejection::NotYetValid);
    }
    if claims.time(Claim::IssuedAt)?.is_some_and(|time| time > latest) {
        return Err(Rejection::IssuedInFuture);
    }
    check_issuer(claims, rules)?;
    check_audience(claims, rules)?;
    let is_missing = |name: &&String| claims.get(name).is_none_or(Value::is_null);
    match rules.required.iter().find(is_missing) {
        Some(name) => Err(Rejection::MissingClaim(name.clone())),
        None => Ok(expires_at),
    }
}

fn check_issuer(claims: &Claims, rules: &Rules) -> Result<(), Rejection> {
    if rules.issuers.is_empty() {
        return Ok(());
    }
    match claims.map().get("iss") {
        None => Err(Rejection::MissingClaim("iss".to_owned())),
        Some(Value::String(issuer)) if rules.issuers.contains(issuer) => Ok(()),
        Some(Value::String(_)) => Err(Rejection::WrongIssuer),
        Some(_) => Err(Rejection::BadClaim(Claim::Issuer)),
    }
}

/// `aud` is a text or a list of texts (RFC 7519 section 4.1.3).
fn check_audience(claims: &Claims, rules: &Rules) -> Result<(), Rejection> {
    if rules.audience.is_empty() {
        return Ok(());
    }
    let is_ours =
        |value: &Value| value.as_str().is_some_and(|text| rules.audience.iter().any(|our| our == text));
    match claims.map().get("aud") {
        None => Err(Rejection::MissingClaim("aud".to_owned())),
        Some(Value::Array(list)) if !list.iter().all(Value::is_string) => {
            Err(Rejection::BadClaim(Claim::Audience))
        }
        Some(Value::Array(list)) if list.iter().any(is_ours) => Ok(()),
        Some(one @ Value::String(_)) if is_ours(one) => Ok(()),
        Some(Value::Array(_) | Value::String(_)) => Err(Rejection::WrongAudience),
        Some(_) => Err(Rejection::BadClaim(Claim::Audience)),
    }
}
