//! Keys of signed requests, each of one algorithm.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

use crate::Unusable;
use crate::public_key::{Family, PublicKey};

/// An algorithm of RFC 9421 section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `ed25519`
    Ed25519,
    /// `ecdsa-p256-sha256`
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384`
    EcdsaP384Sha384,
    /// `rsa-pss-sha512`
    RsaPssSha512,
    /// `rsa-v1_5-sha256`
    RsaV15Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    /// By its registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    fn public(self) -> Option<(Family, &'static dyn VerificationAlgorithm)> {
        Some(match self {
            Self::HmacSha256 => return None,
            Self::Ed25519 => (Family::Ed25519, &signature::ED25519),
            Self::EcdsaP256Sha256 => (Family::P256, &signature::ECDSA_P256_SHA256_FIXED),
            Self::EcdsaP384Sha384 => (Family::P384, &signature::ECDSA_P384_SHA384_FIXED),
            Self::RsaPssSha512 => (Family::Rsa, &signature::RSA_PSS_2048_8192_SHA512),
            Self::RsaV15Sha256 => (Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
        })
    }
}

/// A key, pinned to its algorithm.
pub struct Key {
    algorithm: Algorithm,
    verifier: Verifier,
}

enum Verifier {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

impl Key {
    /// A shared secret, for `hmac-sha256`; at least 32 bytes.
    ///
    /// # Errors
    /// If it is shorter, or PEM text.
    pub fn from_secret(secret: &[u8]) -> Result<Self, Unusable> {
        if secret.len() < 32 {
            return Err(Unusable("the secret is shorter than 32 bytes"));
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err(Unusable("the secret is PEM text: a public key is no secret"));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self { algorithm: Algorithm::HmacSha256, verifier: Verifier::Secret(Box::new(key)) })
    }

    /// A public key (or a certificate's) in PEM, for any other algorithm.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn from_pem(pem: &[u8], algorithm: Algorithm) -> Result<Self, Unusable> {
        let (family, verification) =
            algorithm.public().ok_or(Unusable("hmac-sha256 takes a secret, not a public key"))?;
        let key = PublicKey::from_pem(pem)?;
        if key.family != family {
            return Err(Unusable("the key is not one of its algorithm"));
        }
        Ok(Self { algorithm, verifier: Verifier::Public(Box::new(key.prepare(verification)?)) })
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Secret(key) => {
                verify_slices_are_equal(hmac::sign(key, message).as_ref(), signature).is_ok()
            }
        }
    }
}

impl fmt::Debug for Key {
    /// Without the key itself, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
