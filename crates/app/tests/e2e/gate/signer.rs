//! Signs requests (RFC 9421) with a shared secret.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine};

/// A consumer of this key, as the document has it.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const CONSUMER: &str = "consumers: { carol: { credentials: [{ signature: { key_id: k1, algorithm: hmac-sha256, secret: 0123456789abcdef0123456789abcdef } }] } }\n";

/// A POST that is signed. What is changed after [`Signed::new`] is what an attacker changes.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) target: String,
    pub(crate) digest: String,
    pub(crate) body: Vec<u8>,
    /// `Signature-Input` and `Signature`, each with its line end.
    pub(crate) signature: String,
    /// More lines.
    pub(crate) more: String,
}

impl Signed {
    /// Signed at `created`, in seconds since 1970, with this nonce.
    pub(crate) fn new(target: &str, body: &[u8], created: u64, nonce: &str) -> Self {
        let covered = ["@method", "@target-uri", "content-digest"];
        Self::covering(&covered, target, body, created, &format!(";nonce=\"{nonce}\""))
    }

    /// Covering these components only.
    pub(crate) fn covering(covered: &[&str], target: &str, body: &[u8], created: u64, more: &str) -> Self {
        let digested = digest_of(body);
        let value = |id: &str| match id {
            "@method" => "POST".to_owned(),
            "@target-uri" => format!("http://a.example{target}"),
            _ => digested.clone(),
        };
        let list: Vec<_> = covered.iter().map(|id| format!("\"{id}\"")).collect();
        let parameters = format!("({});created={created};keyid=\"k1\"{more}", list.join(" "));
        let lines: String = covered.iter().map(|id| format!("\"{id}\": {}\n", value(id))).collect();
        let base = format!("{lines}\"@signature-params\": {parameters}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, base.as_bytes()));
        Self {
            target: target.to_owned(),
            digest: digested,
            body: body.to_vec(),
            signature: format!("Signature-Input: sig1={parameters}\r\nSignature: sig1=:{signature}:\r\n"),
            more: String::new(),
        }
    }

    /// The head, with the length of the body as it is now.
    pub(crate) fn head(&self) -> String {
        let Self { target, digest, signature, more, body } = self;
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\nContent-Digest: {digest}\r\n{signature}{more}\r\n"
        )
    }

    /// Head and body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }
}

fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(digest(&SHA256, body)))
}
