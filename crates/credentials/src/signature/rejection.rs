//! Why a signed request is refused.

use std::fmt;

/// Why a signed request is refused: for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There is no `Signature-Input` or no `Signature`.
    Missing,
    /// The two fields are longer than [`LONGEST`](super::LONGEST), or there are more than
    /// [`MAX_SIGNATURES`](super::MAX_SIGNATURES).
    TooLong,
    /// A field is not what RFC 9421 section 4 says. The text says what is wrong.
    Malformed(&'static str),
    /// No signature has the configured label, or one label stands in one of the fields only.
    NoSuchLabel,
    /// There are several signatures and no label is configured.
    ManySignatures,
    /// A component stands twice in the list.
    DuplicateComponent,
    /// A component is of a kind that is not supported. The text says which.
    Unsupported(&'static str),
    /// A covered component is not in the request, or not once. Its identifier.
    MissingComponent(String),
    /// A component that has to be covered is not. Its identifier.
    NotCovered(String),
    /// There is no `keyid`.
    NoKeyId,
    /// No key has this `keyid`.
    UnknownKey,
    /// `alg` is not the algorithm of the key.
    AlgorithmMismatch,
    /// `tag` is not the configured one.
    WrongTag,
    /// There is no `created`, and it is needed to know the age.
    NoCreated,
    /// `created` is to come.
    CreatedInFuture,
    /// `created` is longer ago than the greatest age.
    TooOld,
    /// `expires` is past, or before `created`.
    Expired,
    /// There is no `nonce` (or an empty one), and it is required.
    NoNonce,
    /// The signature is not the key's.
    BadSignature,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Missing => "the request is not signed",
            Self::TooLong => "the signature fields are too long, or there are too many signatures",
            Self::Malformed(what) => return write!(f, "the signature fields are malformed: {what}"),
            Self::NoSuchLabel => "there is no signature of the configured label in both fields",
            Self::ManySignatures => "there are several signatures, and no label is configured",
            Self::DuplicateComponent => "a component is covered twice",
            Self::Unsupported(what) => return write!(f, "a covered component is not supported: {what}"),
            Self::MissingComponent(id) => {
                return write!(f, "the covered component {id} is not in the request once");
            }
            Self::NotCovered(id) => return write!(f, "the signature does not cover {id}"),
            Self::NoKeyId => "the signature names no key",
            Self::UnknownKey => "no key has the id that the signature names",
            Self::AlgorithmMismatch => "the signature's algorithm is not the key's",
            Self::WrongTag => "the signature's tag is not the configured one",
            Self::NoCreated => "the signature does not say when it was made",
            Self::CreatedInFuture => "the signature was made in the future",
            Self::TooOld => "the signature is too old",
            Self::Expired => "the signature is expired",
            Self::NoNonce => "the signature has no nonce",
            Self::BadSignature => "the signature is not the key's",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Rejection {}
