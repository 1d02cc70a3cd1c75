//! Why a token is refused.

use std::fmt;

/// A claim with a meaning of its own (RFC 7519 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `exp`
    Expiry,
    /// `nbf`
    NotBefore,
    /// `iat`
    IssuedAt,
    /// `iss`
    Issuer,
    /// `aud`
    Audience,
}

impl Claim {
    /// Its name in the token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expiry => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::Issuer => "iss",
            Self::Audience => "aud",
        }
    }
}

/// Why a token is refused: for the operator. A client is told no more than that its token is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Longer than [`LONGEST`](super::LONGEST).
    TooLong,
    /// Not three parts of strict base64url with two JSON objects in them. The text says which.
    Malformed(&'static str),
    /// Five parts: an encrypted token.
    Encrypted,
    /// Two members of one name in the header or in the claims.
    Duplicate,
    /// `alg` is `none`, in whatever case.
    Unsigned,
    /// `alg` is not among the allowed algorithms, or not known at all.
    AlgorithmNotAllowed,
    /// The key that the token names may not be used with its `alg`.
    KeyMismatch,
    /// No key has the token's `kid`. A newer key set may have it: fetching one may help, at a bounded pace.
    UnknownKey,
    /// The token brings its own key (`jwk`, `jku`, `x5u`, `x5c`), and no configured one is its.
    EmbeddedKey,
    /// The token names no key, and there are too many to try.
    KeyNotNamed,
    /// There is a `crit` header: an extension has to be understood, and none is.
    CriticalHeader,
    /// `typ` says that the token is for something else.
    WrongType,
    /// The signature is not the key's.
    BadSignature,
    /// `exp` is past.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// `iat` is to come.
    IssuedInFuture,
    /// `iss` is none of the configured issuers.
    WrongIssuer,
    /// `aud` has none of the configured audiences.
    WrongAudience,
    /// A required claim is not there.
    MissingClaim(String),
    /// A claim is not of its type: no number, below 0, beyond what a number is exact for, not a text.
    BadClaim(Claim),
}

impl Rejection {
    /// Whether a newer key set could change it.
    pub fn may_refetch(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::EmbeddedKey)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong => "the token is longer than 16 KiB",
            Self::Malformed(what) => return write!(f, "the token is malformed: {what}"),
            Self::Encrypted => "the token is encrypted, only signed ones are taken",
            Self::Duplicate => "the token has two members of one name",
            Self::Unsigned => "the token is not signed: its algorithm is none",
            Self::AlgorithmNotAllowed => "the token's algorithm is not an allowed one",
            Self::KeyMismatch => "the token's algorithm is not one of its key",
            Self::UnknownKey => "no key has the id that the token names",
            Self::EmbeddedKey => "the token brings its own key, which is not used, and no other is its",
            Self::KeyNotNamed => "the token names no key, and there are too many to try",
            Self::CriticalHeader => "the token has critical headers that are not understood",
            Self::WrongType => "the token's type says that it is for something else",
            Self::BadSignature => "the token's signature is not the key's",
            Self::Expired => "the token is expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token was issued in the future",
            Self::WrongIssuer => "the token's issuer is not a configured one",
            Self::WrongAudience => "the token is for another audience",
            Self::MissingClaim(name) => return write!(f, "the token has no claim `{name}`"),
            Self::BadClaim(claim) => {
                return write!(f, "the token's claim `{}` is not of its type", claim.name());
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for Rejection {}
