//! Consumers: known callers, and how they prove who they are.

use crate::section::{choice, section, words};
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{CertificateMatch, FieldValue, FilePath, KeySecret, Name, PasswordHash, Sha256};

section! {
    /// A known caller.
    pub struct Consumer {
        /// The groups that it belongs to, for `access` and for limits by group.
        groups: Many<Located<Name>> = default(Many::none());
        /// What else is known of it, for expressions and logs.
        labels: Table<Name, FieldValue> = default(Table::none());
        /// How it proves who it is, any of them.
        credentials: Many<Located<Credential>> = default(Many::none());
    }
}

choice! {
    /// How a consumer proves who it is. Secrets are here as hashes only; `tollgate credential new` makes them.
    pub enum Credential {
        /// An API key: `sha256:` and the hash of the key.
        ApiKey("api_key"): Sha256;
        /// A user and a password, for HTTP Basic.
        Password("password"): Box<PasswordCredential>;
        /// The value of the claim that names the consumer, from a token or a login.
        Subject("subject"): FieldValue;
        /// A client certificate that a listener verified: `sha256:…`, `san:alice.example` or `subject:CN=alice,O=x`.
        Certificate("certificate"): Box<CertificateMatch>;
        /// A key for signatures of requests (RFC 9421).
        Signature("signature"): Box<SignatureKey>;
    }
}

section! {
    /// A user and a password.
    pub struct PasswordCredential {
        /// The user.
        user: FieldValue = required;
        /// The hash of the password, argon2 (`$argon2id$…`) or bcrypt (`$2b$…`).
        hash: PasswordHash = required;
    }
}

section! {
    /// A key that a consumer signs its requests with.
    pub struct SignatureKey {
        /// What the consumer calls it, the parameter `keyid`.
        key_id: FieldValue = required;
        /// What is signed with.
        algorithm: Located<SignatureAlgorithm> = required;
        /// The key.
        material: SignatureMaterial = choice;
    }
}

choice! {
    /// What verifies a signature.
    pub enum SignatureMaterial {
        /// The shared secret of `hmac-sha256`: a text, `base64:…` or `hex:…`, or `{ file: … }`.
        Secret("secret"): KeySecret;
        /// The public key of the other algorithms, a PEM file.
        PublicKey("public_key"): Located<FilePath>;
    }
}

words! {
    /// An algorithm for signatures of messages (RFC 9421 section 3.3).
    pub enum SignatureAlgorithm {
        /// HMAC with SHA-256, a shared secret.
        HmacSha256 = "hmac-sha256";
        /// Ed25519.
        Ed25519 = "ed25519";
        /// ECDSA on P-256 with SHA-256.
        EcdsaP256Sha256 = "ecdsa-p256-sha256";
        /// RSASSA-PSS with SHA-512.
        RsaPssSha512 = "rsa-pss-sha512";
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaV15Sha256 = "rsa-v1_5-sha256";
    }
}

/// What of a credential a caller shows or names: two consumers with the same could not be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialIdentity<'c> {
    /// The hash of an API key.
    ApiKey(&'c Sha256),
    /// The user of a password.
    User(&'c str),
    /// The value of a claim.
    Subject(&'c str),
    /// What a certificate is like.
    Certificate(&'c CertificateMatch),
    /// The name of a signature key.
    KeyId(&'c str),
}

impl Credential {
    /// What a caller shows or names.
    pub fn identity(&self) -> CredentialIdentity<'_> {
        match self {
            Self::ApiKey(hash) => CredentialIdentity::ApiKey(hash),
            Self::Password(password) => CredentialIdentity::User(password.user.as_str()),
            Self::Subject(subject) => CredentialIdentity::Subject(subject.as_str()),
            Self::Certificate(certificate) => CredentialIdentity::Certificate(certificate),
            Self::Signature(key) => CredentialIdentity::KeyId(key.key_id.as_str()),
        }
    }
}

impl CredentialIdentity<'_> {
    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ApiKey(_) => "API key",
            Self::User(_) => "user",
            Self::Subject(_) => "subject",
            Self::Certificate(_) => "certificate",
            Self::KeyId(_) => "signature key",
        }
    }
}
