//! The algorithms of signed tokens.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, VerificationAlgorithm};

use crate::public_key::Family;

/// An algorithm of RFC 7518 section 3.1 or RFC 8037 that tokens may be signed with. `none` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519. `Ed25519` is another name for it (RFC 9864).
    EdDSA,
}

/// What a key of an algorithm is.
pub(super) enum Needs {
    Secret(hmac::Algorithm),
    Public(Family, &'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// By the name that `alg` has for it, with its case.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The name that `alg` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether whoever can verify can sign as well.
    pub fn is_symmetric(self) -> bool {
        matches!(self.needs(), Needs::Secret(_))
    }

    pub(super) fn needs(self) -> Needs {
        match self {
            Self::HS256 => Needs::Secret(hmac::HMAC_SHA256),
            Self::HS384 => Needs::Secret(hmac::HMAC_SHA384),
            Self::HS512 => Needs::Secret(hmac::HMAC_SHA512),
            Self::RS256 => Needs::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Needs::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Needs::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Needs::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Needs::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Needs::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Needs::Public(Family::P256, &signature::ECDSA_P256_SHA256_FIXED),
            Self::ES384 => Needs::Public(Family::P384, &signature::ECDSA_P384_SHA384_FIXED),
            Self::ES512 => Needs::Public(Family::P521, &signature::ECDSA_P521_SHA512_FIXED),
            Self::EdDSA => Needs::Public(Family::Ed25519, &signature::ED25519),
        }
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Algorithms(u16);

impl Algorithms {
    /// All algorithms with a public key: what may be verified when nothing is said.
    pub fn asymmetric() -> Self {
        Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect()
    }

    /// Whether this one is in the set.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// Those in the set, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<T: IntoIterator<Item = Algorithm>>(algorithms: T) -> Self {
        Self(algorithms.into_iter().fold(0, |set, algorithm| set | 1 << algorithm as u16))
    }
}
