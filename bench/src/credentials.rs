//! What callers of the rows with policies show, made anew for each run: API keys of 10,000 consumers, and tokens with
//! ES256 signatures.

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Who says that the tokens are right.
pub(crate) const SUBJECT_ISSUER: &str = "https://issuer.bench.example";
/// Consumers, each with a key and as the subject of tokens.
pub(crate) const CONSUMERS: usize = 10_000;
/// Tokens that are each shown once: more than a core checks in the time that is measured by default.
const TOKENS: usize = 120_000;
/// Seconds since the Unix epoch at which the tokens end: in the year 2100.
const EXPIRES: u64 = 4_102_444_800;
const LINE: usize = 64;

/// A folder with all of them.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    directory: PathBuf,
    signer: Arc<EcdsaKeyPair>,
    /// Whether the many tokens are there. They take a few seconds, and most rows do not need them.
    tokens: Arc<OnceLock<()>>,
    redis: Option<SocketAddr>,
}

impl Credentials {
    /// Makes a key for signatures, and everything but the many tokens, in `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let credentials = Self {
            directory: directory.to_owned(),
            signer: signer.into(),
            tokens: Arc::default(),
            redis: None,
        };
        let (mut consumers, mut keys) = (String::new(), String::new());
        for number in 0..CONSUMERS {
            let key = key(number);
            let _ = writeln!(
                consumers,
                "c{number:05}: {{ groups: [gold], credentials: [{{ api_key: \"sha256:{}\" }}, {{ subject: c{number:05} }}] }}",
                hexadecimal(digest(&SHA256, key.as_bytes()).as_ref())
            );
            let _ = writeln!(keys, "{key}");
        }
        std::fs::write(credentials.consumers(), consumers)?;
        std::fs::write(credentials.keys(), keys)?;
        std::fs::write(credentials.key(), key(0))?;
        std::fs::write(credentials.token(), credentials.sign(0)?)?;
        std::fs::write(credentials.public_key(), credentials.public_pem()?)?;
        Ok(credentials)
    }

    /// The same, with a Redis to count in.
    pub(crate) fn with_redis(self, redis: Option<SocketAddr>) -> Self {
        Self { redis, ..self }
    }

    /// Where a Redis listens, if there is one.
    pub(crate) fn redis(&self) -> Option<SocketAddr> {
        self.redis
    }

    /// The consumers, as Tollgate reads them.
    pub(crate) fn consumers(&self) -> PathBuf {
        self.directory.join("consumers.yaml")
    }

    /// The key that signatures are checked with.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.directory.join("tokens.pem")
    }

    /// One API key.
    pub(crate) fn key(&self) -> PathBuf {
        self.directory.join("key.txt")
    }

    /// The API keys of all consumers, a line each.
    pub(crate) fn keys(&self) -> PathBuf {
        self.directory.join("keys.txt")
    }

    /// One token.
    pub(crate) fn token(&self) -> PathBuf {
        self.directory.join("token.txt")
    }

    /// Very many tokens, a line each, made when they are first asked for.
    pub(crate) fn tokens(&self) -> Result<PathBuf> {
        let file = self.directory.join("tokens.txt");
        if self.tokens.get().is_none() {
            let lines = (1..=TOKENS).map(|number| Ok(self.sign(number)? + "\n"));
            std::fs::write(&file, lines.collect::<Result<String>>()?)?;
            let _ = self.tokens.set(());
        }
        Ok(file)
    }

    /// Token number `number`. No two are the same.
    fn sign(&self, number: usize) -> Result<String> {
        let consumer = number % CONSUMERS;
        let claims = format!(
            r#"{{"iss":"{SUBJECT_ISSUER}","aud":"bench","sub":"c{consumer:05}","exp":{EXPIRES},"jti":"{number:08}","scope":"orders:read"}}"#
        );
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.signer.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| anyhow!("a token cannot be signed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn public_pem(&self) -> Result<String> {
        let der = self.signer.public_key().as_der().context("the public key cannot be written")?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }
}

/// As long as those that Tollgate makes, and as hard to tell apart by their beginnings.
fn key(number: usize) -> String {
    format!("tg_{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, &number.to_be_bytes())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{CONSUMERS, Credentials};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::collections::BTreeSet;
    use std::fs::read_to_string;

    #[test]
    fn there_are_as_many_keys_as_consumers_and_a_token_that_is_signed() {
        let directory = tempfile::tempdir().expect("a folder");
        let credentials = Credentials::make(directory.path()).expect("are made");
        let keys = read_to_string(credentials.keys()).expect("are there");
        assert_eq!(keys.lines().collect::<BTreeSet<_>>().len(), CONSUMERS);
        let consumers = read_to_string(credentials.consumers()).expect("are there");
        assert_eq!(consumers.lines().count(), CONSUMERS);
        let token = read_to_string(credentials.token()).expect("is there");
        let (signed, signature) = token.rsplit_once('.').expect("is one");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("is base64url");
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, credentials.signer.public_key().as_ref());
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        assert_ne!(credentials.sign(1).expect("signs"), credentials.sign(CONSUMERS + 1).expect("signs"));
    }
}
