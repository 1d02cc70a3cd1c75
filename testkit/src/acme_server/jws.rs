//! Signed requests (RFC 8555 section 6.2, RFC 7515).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::problem::Problem;

/// A public key on the curve P-256, as an account has one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Key {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

impl Key {
    /// RFC 7638.
    pub(super) fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y } = self;
        let text = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }

    /// The point, uncompressed.
    fn point(&self) -> Option<Vec<u8>> {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|part| part.len() == 32);
        let is_known = self.kty == "EC" && self.crv == "P-256";
        is_known.then(|| Some([vec![4], part(&self.x)?, part(&self.y)?].concat())).flatten()
    }
}

/// What a signed request says, its signature not yet verified.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) header: Header,
    /// Empty where a resource is only read (RFC 8555 section 6.3).
    payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

/// The protected header.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    alg: String,
    pub(super) nonce: String,
    pub(super) url: String,
    pub(super) jwk: Option<Key>,
    pub(super) kid: Option<String>,
}

impl Signed {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Flattened {
            protected: String,
            payload: String,
            signature: String,
        }
        let malformed = |error: &dyn std::fmt::Display| Problem::malformed(format!("JWS: {error}"));
        let body: Flattened = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|error| malformed(&error));
        let header: Header =
            serde_json::from_slice(&decode(&body.protected)?).map_err(|error| malformed(&error))?;
        if header.alg != "ES256" {
            let detail = format!("{} is not known here, only ES256", header.alg);
            return Err(Problem::new(StatusCode::BAD_REQUEST, "badSignatureAlgorithm", detail));
        }
        if header.jwk.is_some() == header.kid.is_some() {
            return Err(Problem::malformed("one of `jwk` and `kid` is needed, and only one"));
        }
        Ok(Self {
            header,
            payload: decode(&body.payload)?,
            signed: format!("{}.{}", body.protected, body.payload),
            signature: decode(&body.signature)?,
        })
    }

    pub(super) fn verify(&self, key: &Key) -> Result<(), Problem> {
        let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "badPublicKey", detail);
        let point = key.point().ok_or_else(|| bad("only points of P-256 are known here"))?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let verified = key.verify(self.signed.as_bytes(), &self.signature);
        verified.map_err(|_| Problem::malformed("the signature does not fit"))
    }

    /// The payload, which must be an object.
    pub(super) fn object(&self) -> Result<Value, Problem> {
        let value: Result<Value, _> = serde_json::from_slice(&self.payload);
        let value = value.map_err(|error| Problem::malformed(format!("payload: {error}")))?;
        if value.is_object() { Ok(value) } else { Err(Problem::malformed("the payload is not an object")) }
    }

    /// Refuses a payload where a resource is only read.
    pub(super) fn reads(&self) -> Result<(), Problem> {
        let empty = self.payload.is_empty();
        if empty { Ok(()) } else { Err(Problem::malformed("reading takes an empty payload")) }
    }
}
