//! JWK sets (RFC 7517): what an issuer publishes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms};
use super::keys::{Key, Keys};
use crate::json;
use crate::public_key::{Family, PublicKey, Unusable};

/// The longest set that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 512 * 1024;
/// The most keys of a set that are looked at.
pub const MAX_KEYS: usize = 128;

const MAX_ID: usize = 1024;

/// A key of a set that cannot be used. The others can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub place: usize,
    /// Its `kid`.
    pub id: Option<String>,
    /// Why.
    pub why: Unusable,
}

impl Keys {
    /// Reads a set. A key with `alg` is pinned to that one; a key without may be used by those of `allowed` that are of
    /// its kind. Secrets (`oct`) are taken only if `symmetric` says so: whoever can read a published secret
    /// can sign with it.
    ///
    /// # Errors
    /// If the whole is not a set. Single keys that cannot be used are left out and told.
    pub fn from_jwks(
        text: &[u8],
        allowed: Algorithms,
        symmetric: bool,
    ) -> Result<(Self, Vec<Skipped>), Unusable> {
        if text.len() > MAX_JWKS_BYTES {
            return Err(Unusable("the key set is longer than 512 KiB"));
        }
        let set = json::object(text).map_err(|fault| match fault {
            json::Fault::Duplicate => Unusable("the key set has two members of one name"),
            json::Fault::Malformed => Unusable("the key set is not a JSON object"),
        })?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(Unusable("the key set has no list `keys`"));
        };
        if members.len() > MAX_KEYS {
            return Err(Unusable("the key set has more than 128 keys"));
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (place, member) in members.iter().enumerate() {
            let id = member.get("kid").and_then(Value::as_str).map(str::to_owned);
            match read(member, allowed, symmetric) {
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(Skipped { place, id, why }),
            }
        }
        Ok((Self::new(keys), skipped))
    }
}

fn read(member: &Value, allowed: Algorithms, symmetric: bool) -> Result<Key, Unusable> {
    let Value::Object(jwk) = member else { return Err(Unusable("not a JSON object")) };
    let id = match jwk.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_ID => Some(id.clone()),
        Some(_) => return Err(Unusable("`kid` is not a text of at most 1024 bytes")),
    };
    is_for_verifying(jwk)?;
    let algorithms = match jwk.get("alg") {
        None => allowed,
        Some(Value::String(name)) => {
            let algorithm =
                Algorithm::from_name(name).ok_or(Unusable("`alg` is no algorithm of signatures"))?;
            if !allowed.contains(algorithm) {
                return Err(Unusable("`alg` is not an allowed algorithm"));
            }
            [algorithm].into_iter().collect()
        }
        Some(_) => return Err(Unusable("`alg` is not a text")),
    };
    let curve = jwk.get("crv").and_then(Value::as_str);
    let key = match (jwk.get("kty").and_then(Value::as_str), curve) {
        (Some("RSA"), _) => PublicKey::from_rsa(&octets(jwk, "n")?, &octets(jwk, "e")?),
        (Some("EC"), Some("P-256")) => point(jwk, Family::P256),
        (Some("EC"), Some("P-384")) => point(jwk, Family::P384),
        (Some("EC"), Some("P-521")) => point(jwk, Family::P521),
        (Some("EC"), _) => Err(Unusable("`crv` is none of P-256, P-384, P-521")),
        (Some("OKP"), Some("Ed25519")) => PublicKey::from_ed25519(&octets(jwk, "x")?),
        (Some("OKP"), _) => Err(Unusable("`crv` is not Ed25519")),
        (Some("oct"), _) if !symmetric => return Err(Unusable("a secret, and secrets are not allowed here")),
        (Some("oct"), _) => return Key::from_octets(id, &octets(jwk, "k")?, algorithms),
        _ => Err(Unusable("`kty` is none of RSA, EC, OKP, oct")),
    }?;
    Key::from_public(id, &key, algorithms)
}

/// RFC 7517 sections 4.2 and 4.3.
fn is_for_verifying(jwk: &Map<String, Value>) -> Result<(), Unusable> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(what)) if what == "sig" => {}
        Some(_) => return Err(Unusable("`use` is not `sig`")),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(list)) if list.iter().any(|item| item == "verify") => Ok(()),
        Some(_) => Err(Unusable("`key_ops` has no `verify`")),
    }
}

fn point(jwk: &Map<String, Value>, family: Family) -> Result<PublicKey, Unusable> {
    PublicKey::from_point(family, &octets(jwk, "x")?, &octets(jwk, "y")?)
}

fn octets(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(Unusable("a part of the key is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable("a part of the key is not base64url"))
}
