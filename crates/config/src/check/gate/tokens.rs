//! Signed tokens: that there are keys, and that they fit their algorithms.

use std::collections::HashMap;

use super::methods::{handed_on, plain_http};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{JwsAlgorithm, JwtAuth, JwtKey, KeyMaterial};
use crate::source::{Located, Origin};
use crate::units::HttpUrl;

pub(super) fn jwt(jwt: &JwtAuth, origin: Origin, found: &mut Diagnostics) {
    if jwt.jwks.is_none() && jwt.keys.is_empty() {
        discovery(jwt, origin, found);
    }
    if let Some(jwks) = &jwt.jwks {
        plain_http(jwks, "requests for keys", found);
    }
    if jwt.issuer.as_ref().is_some_and(|issuer| issuer.is_empty()) {
        found.push(Diagnostic::error(origin, "the issuer is empty"));
    }
    let mut ids: HashMap<(&str, JwsAlgorithm), Origin> = HashMap::new();
    for key in jwt.keys.iter() {
        self::key(key, jwt, found);
        let id = key.id.as_ref().map_or("", |id| id.as_str());
        if let Some(first) = ids.insert((id, key.algorithm.value), key.origin).filter(|_| !id.is_empty()) {
            let message = format!("two keys are called `{id}`");
            found.push(Diagnostic::error(key.origin, message).note(first, "the first one"));
        }
    }
    let symmetric = jwt.keys.iter().any(|key| matches!(key.material, KeyMaterial::Secret(_)));
    for algorithm in jwt.algorithms.iter().filter(|algorithm| algorithm.is_symmetric() && !symmetric) {
        let message = format!("`{}` needs a shared secret, and no key is one", algorithm.word());
        let mend = "add `{ secret: { file: … }, algorithm: … }` to `keys`, or leave it out";
        found.push(Diagnostic::error(algorithm.origin, message).mend(mend));
    }
    handed_on(&jwt.claims_to_headers, found);
}

/// Without keys, they are found below the issuer.
fn discovery(jwt: &JwtAuth, origin: Origin, found: &mut Diagnostics) {
    let Some(issuer) = &jwt.issuer else {
        let finding = Diagnostic::error(origin, "nothing says which keys sign the tokens");
        return found.push(finding.mend("write `issuer`, `jwks` or `keys`"));
    };
    match issuer.parse::<HttpUrl>() {
        Ok(url) => plain_http(&Located { value: url, origin: issuer.origin }, "requests for keys", found),
        Err(_) => {
            let message = format!("`{}` is no URL, so its keys cannot be found", issuer.value);
            found.push(Diagnostic::error(issuer.origin, message).mend("write `jwks` or `keys` beside it"));
        }
    }
}

/// A key is for one algorithm: a public key that is taken for a shared secret lets everyone sign.
fn key(key: &Located<JwtKey>, jwt: &JwtAuth, found: &mut Diagnostics) {
    let algorithm = key.algorithm.value;
    let listed = jwt.algorithms.is_empty() || jwt.algorithms.iter().any(|known| known.value == algorithm);
    if !listed {
        let message = format!("this key is for `{}`, which `algorithms` does not list", algorithm.word());
        found.push(Diagnostic::error(key.algorithm.origin, message).mend("add it, or remove the key"));
    }
    match (&key.material, algorithm.is_symmetric()) {
        (KeyMaterial::File(_), true) => {
            let message = format!("`{}` needs a shared secret, and this is a public key", algorithm.word());
            let mend = "write `secret: { file: … }`, or the algorithm of the key";
            found.push(Diagnostic::error(key.algorithm.origin, message).mend(mend));
        }
        (KeyMaterial::Secret(secret), false) => {
            let message = format!("`{}` needs a public key, and this is a secret", algorithm.word());
            found.push(Diagnostic::error(secret.origin, message).mend("write `file: KEY.pem`"));
        }
        (KeyMaterial::Secret(secret), true) => {
            if let Some(jwks) = &jwt.jwks {
                let message = "a shared secret cannot stand beside the keys of a `jwks`";
                let finding = Diagnostic::error(secret.origin, message).note(jwks.origin, "`jwks` is here");
                found.push(finding.mend("write a method of its own for each"));
            }
            // RFC 7518 section 3.2.
            let wanted = match algorithm {
                JwsAlgorithm::Hs512 => 64,
                JwsAlgorithm::Hs384 => 48,
                _ => 32,
            };
            if secret.reveal().len() < wanted {
                let message = format!("the secret is short for `{}`, and may be guessed", algorithm.word());
                let finding = Diagnostic::warning(secret.origin, message);
                found.push(finding.mend(format!("take {wanted} bytes at least")));
            }
        }
        (KeyMaterial::File(_), false) => {}
    }
}
