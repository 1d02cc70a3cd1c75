//! Credentials: what they are found by, and what they are proved by.

use std::sync::Arc;

use tollgate_config::{
    Credential, Diagnostic, Files, Origin, SignatureAlgorithm, SignatureKey, SignatureMaterial,
};
use tollgate_credentials::Unusable;
use tollgate_credentials::certificate;
use tollgate_credentials::password::Stored;
use tollgate_credentials::signature::{Algorithm, Key};
use tollgate_policies::auth::signature::key;
use tollgate_policy::CredentialKind;

/// Bytes of a file with a public key, at most.
const LARGEST_KEY: u64 = 64 << 10;

/// What a credential is, is found by, and is proved by.
pub(super) type Read = (CredentialKind, Box<[u8]>, Option<Arc<str>>);

/// Why a credential cannot be used.
pub(super) struct Problem {
    message: String,
    /// The place, if it is another than the credential's.
    origin: Option<Origin>,
}

impl Problem {
    /// The finding, at the credential's place unless it has its own.
    pub(super) fn finding(self, credential: Origin) -> Diagnostic {
        Diagnostic::error(self.origin.unwrap_or(credential), self.message)
    }
}

impl From<Unusable> for Problem {
    fn from(problem: Unusable) -> Self {
        Self { message: problem.0.to_owned(), origin: None }
    }
}

/// Reads a credential, and the file that it names if it does.
pub(super) fn read(credential: &Credential, files: &dyn Files) -> Result<Read, Problem> {
    Ok(match credential {
        Credential::ApiKey(hash) => (CredentialKind::ApiKey, hash.bytes()[..].into(), None),
        Credential::Password(password) => {
            let hash = password.hash.reveal();
            Stored::parse(hash)?;
            (CredentialKind::User, bytes(password.user.as_str()), Some(hash.into()))
        }
        Credential::Subject(subject) => (CredentialKind::Subject, bytes(subject.as_str()), None),
        Credential::Certificate(like) => {
            let like = certificate::Credential::parse(&like.to_string())?;
            (CredentialKind::Certificate, bytes(&like.to_string()), None)
        }
        Credential::Signature(key) => {
            let secret = signing_key(key, files)?;
            (CredentialKind::SigningKey, bytes(key.key_id.as_str()), Some(secret.into()))
        }
    })
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// The text that a key of signatures is kept as.
fn signing_key(written: &SignatureKey, files: &dyn Files) -> Result<String, Problem> {
    let algorithm = algorithm(written.algorithm.value);
    match &written.material {
        SignatureMaterial::Secret(secret) => {
            Key::from_secret(secret.reveal())?;
            Ok(key::write(algorithm, secret.reveal()))
        }
        SignatureMaterial::PublicKey(file) => {
            let shown = file.path().display();
            let problem = |message| Problem { message, origin: Some(file.origin) };
            let pem = files.read(file.path(), LARGEST_KEY);
            let pem = pem.map_err(|error| problem(format!("cannot read `{shown}`: {error}")))?;
            let checked = Key::from_pem(&pem, algorithm);
            checked.map_err(|why| problem(format!("`{shown}` cannot be used: {}", why.0)))?;
            Ok(key::write(algorithm, &pem))
        }
    }
}

fn algorithm(algorithm: SignatureAlgorithm) -> Algorithm {
    match algorithm {
        SignatureAlgorithm::HmacSha256 => Algorithm::HmacSha256,
        SignatureAlgorithm::Ed25519 => Algorithm::Ed25519,
        SignatureAlgorithm::EcdsaP256Sha256 => Algorithm::EcdsaP256Sha256,
        SignatureAlgorithm::RsaPssSha512 => Algorithm::RsaPssSha512,
        SignatureAlgorithm::RsaV15Sha256 => Algorithm::RsaV15Sha256,
    }
}

/// What people call it.
pub(super) fn words(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "API key",
        CredentialKind::User => "user",
        CredentialKind::Subject => "subject",
        CredentialKind::Certificate => "certificate",
        CredentialKind::SigningKey => "signature key",
    }
}
