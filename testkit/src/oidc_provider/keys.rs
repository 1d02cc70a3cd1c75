//! Keys, and tokens that are signed with them (RFC 7515, 7517, 7518, 8037).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with 2048 bits, PKCS #1 1.5, SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// As a token's header names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What a token of an attack is signed with.
#[derive(Clone, Copy, Debug)]
pub enum SignWith<'a> {
    /// The provider's key.
    Own(Algorithm),
    /// A key that nobody has published.
    Stranger(Algorithm),
    /// HMAC-SHA256 with these bytes, which may be those of a public key.
    Hmac(&'a [u8]),
    /// Nothing at all: the signature is empty.
    Nothing,
}

/// A key of each algorithm.
#[derive(Debug)]
pub(super) struct Keys {
    generation: usize,
    rsa: RsaKeyPair,
    ecdsa: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    pub(super) fn generate(generation: usize) -> Self {
        Self {
            generation,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn id(&self, algorithm: Algorithm) -> String {
        format!("{}-{}", algorithm.name().to_ascii_lowercase(), self.generation)
    }

    pub(super) fn generation(&self) -> usize {
        self.generation
    }

    /// Public keys as a set.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": Algorithm::ALL.map(|algorithm| self.jwk(algorithm)) })
    }

    fn jwk(&self, algorithm: Algorithm) -> Value {
        let mut key = match algorithm {
            Algorithm::Rs256 => {
                let (modulus, exponent) = rsa_parts(self.rsa.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Algorithm::Es256 => {
                // 4, then both coordinates.
                let point = self.ecdsa.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Algorithm::EdDsa => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(self.ed25519.public_key().as_ref()) })
            }
        };
        key["kid"] = self.id(algorithm).into();
        key["alg"] = algorithm.name().into();
        key["use"] = "sig".into();
        key
    }

    /// The public key as PEM (SubjectPublicKeyInfo).
    pub(super) fn public_pem(&self, algorithm: Algorithm) -> String {
        let der = match algorithm {
            Algorithm::Rs256 => self.rsa.public_key().as_der().unwrap(),
            Algorithm::Es256 => self.ecdsa.public_key().as_der().unwrap(),
            Algorithm::EdDsa => self.ed25519.public_key().as_der().unwrap(),
        };
        let text = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// A token with the usual header.
    pub(super) fn token(&self, algorithm: Algorithm, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": algorithm.name(), "kid": self.id(algorithm) });
        let signed = signing_input(&header.to_string(), &claims.to_string());
        format!("{signed}.{}", encode(self.sign(algorithm, signed.as_bytes())))
    }

    pub(super) fn sign(&self, algorithm: Algorithm, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature).unwrap();
                signature
            }
            Algorithm::Es256 => self.ecdsa.sign(&random, signed).unwrap().as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(signed).as_ref().to_vec(),
        }
    }
}

/// What a signature is made over.
pub(super) fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()))
}

pub(super) fn hmac_sha256(key: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed).as_ref().to_vec()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    let without_zeros = |bytes: &'_ [u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    (&modulus[without_zeros(modulus)..], &exponent[without_zeros(exponent)..])
}

/// The content of a DER element, and what comes after it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            let length = der[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, 2 + count)
        }
    };
    (&der[start..start + length], &der[start + length..])
}
