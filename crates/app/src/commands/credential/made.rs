//! Making credentials.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_credentials::{api_key, password as passwords};
use tollgate_runtime::random::unguessable;

use super::input;

/// Bytes of a random password: 144 bits, 24 characters.
const PASSWORD_BYTES: usize = 18;
/// Bytes of keys and secrets.
const RANDOM_BYTES: usize = 32;
/// Characters of a line of PEM (RFC 7468 section 2).
const PEM_LINE: usize = 64;

/// A credential.
pub(super) struct Made {
    /// What the caller gets: what it is, and itself. `None` where the caller has it already.
    pub(super) secret: Option<(&'static str, String)>,
    /// What was kept elsewhere, in words.
    pub(super) kept: Option<String>,
    /// What the document says. As JSON it is YAML too.
    pub(super) credential: Value,
}

impl Made {
    fn new(secret: Option<(&'static str, String)>, credential: Value) -> Self {
        Self { secret, kept: None, credential }
    }
}

pub(super) fn api_key() -> Result<Made> {
    let random = random()?;
    let key = api_key::generate(|bytes| fill(bytes, &random));
    Ok(Made::new(Some(("the API key", key.shown)), json!({ "api_key": key.stored })))
}

pub(super) fn known_api_key(key: &str) -> Result<Made> {
    let hash = api_key::hash(key.as_bytes())
        .ok_or_else(|| anyhow!("an API key has 1 to {} bytes", api_key::LONGEST))?;
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Made::new(None, json!({ "api_key": format!("sha256:{digits}") })))
}

/// A random password, or one that is read.
pub(super) fn password(user: &str, read: bool) -> Result<Made> {
    if read {
        return known_password(user, &input::new_secret("password")?);
    }
    let password = random_text(PASSWORD_BYTES)?;
    let made = known_password(user, &password)?;
    Ok(Made { secret: Some(("the password", password)), ..made })
}

pub(super) fn known_password(user: &str, password: &str) -> Result<Made> {
    let random = random()?;
    let hash = passwords::hash(password.as_bytes(), |salt| fill(salt, &random));
    let hash = hash.map_err(|why| anyhow!("{}", why.0))?;
    Ok(Made::new(None, json!({ "password": { "user": user, "hash": hash } })))
}

pub(super) fn key_id() -> Result<String> {
    random_text(9)
}

/// A secret for `hmac-sha256`.
pub(super) fn shared_secret(key_id: &str) -> Result<Made> {
    let secret = STANDARD.encode(random()?);
    let written = format!("base64:{secret}");
    let key = json!({ "key_id": key_id, "algorithm": "hmac-sha256", "secret": written });
    Ok(Made::new(Some(("the secret in base64", secret)), json!({ "signature": key })))
}

/// A pair of keys, the public one in a file.
pub(super) fn key_pair(key_id: &str, file: &str) -> Result<Made> {
    let failed = |_| anyhow!("cannot make a pair of keys");
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public = pair.public_key().as_der().map_err(failed)?;
    let public = pem("PUBLIC KEY", public.as_ref());
    // A public key that is in use must not go missing by the way.
    let kept = OpenOptions::new().write(true).create_new(true).open(file);
    let kept = kept.and_then(|mut kept| kept.write_all(public.as_bytes()));
    kept.with_context(|| format!("cannot write the public key to {file}"))?;
    let key = json!({ "key_id": key_id, "algorithm": "ed25519", "public_key": file });
    let secret = Some(("the private key", pem("PRIVATE KEY", private.as_ref())));
    let kept = Some(format!("The public key is in {file}; a document finds it beside itself."));
    Ok(Made { secret, kept, credential: json!({ "signature": key }) })
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn random_text(bytes: usize) -> Result<String> {
    let mut text = vec![0; bytes];
    unguessable(&mut text)?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

/// 256 random bits.
fn random() -> Result<[u8; RANDOM_BYTES]> {
    let mut bytes = [0; RANDOM_BYTES];
    unguessable(&mut bytes)?;
    Ok(bytes)
}

/// Keys and salts have no more bytes than that.
fn fill(bytes: &mut [u8], random: &[u8; RANDOM_BYTES]) {
    bytes.iter_mut().zip(random).for_each(|(byte, random)| *byte = *random);
}
