//! Challenges that wait for the directory's question, and their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

/// The protocol by which a directory says in ALPN that it asks a challenge (RFC 8737 section 6.2).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// Where a directory asks for the answer of http-01 (RFC 8555 section 8.3).
const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// Answers to http-01 challenges, shared by the keeper and the workers. There are some only while an order
/// runs: asking costs one relaxed load otherwise.
#[derive(Debug, Default)]
pub struct Challenges {
    count: AtomicUsize,
    /// Key authorizations by token.
    answers: RwLock<HashMap<String, Arc<str>>>,
}

impl Challenges {
    /// Whether any challenge waits.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// The body to answer 200 with, for a token that waits.
    pub fn http01(&self, token: &str) -> Option<Arc<str>> {
        if !self.any() {
            return None;
        }
        self.answers.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// The same for the path of a request, as it stands in the head.
    pub fn http01_path(&self, path: &[u8]) -> Option<Arc<str>> {
        if !self.any() {
            return None;
        }
        self.http01(std::str::from_utf8(path.strip_prefix(PATH)?).ok()?)
    }

    /// Answers for a token until the guard is dropped.
    pub(crate) fn publish(self: &Arc<Self>, token: &str, answer: &str) -> PublishedToken {
        self.change(|answers| drop(answers.insert(token.to_owned(), answer.into())));
        PublishedToken { challenges: self.clone(), token: token.to_owned() }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Arc<str>>)) {
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut answers);
        self.count.store(answers.len(), Ordering::Relaxed);
    }
}

/// Keeps an answer in place.
#[derive(Debug)]
pub(crate) struct PublishedToken {
    challenges: Arc<Challenges>,
    token: String,
}

impl Drop for PublishedToken {
    fn drop(&mut self) {
        self.challenges.change(|answers| drop(answers.remove(&self.token)));
    }
}

/// Who shows certificates to clients that offer only [`ACME_TLS_ALPN`] (RFC 8737 section 3).
pub trait ChallengeCertificates: Send + Sync {
    /// From now on, shows this certificate to whoever names `name` by SNI and offers only that protocol;
    /// such a connection ends with its handshake.
    ///
    /// # Errors
    /// The certificate cannot be shown, and why.
    fn install(&self, name: &str, certificate: ChallengeCertificate) -> Result<(), String>;

    /// From now on, does not any more.
    fn remove(&self, name: &str);
}

/// The certificate that answers a tls-alpn-01 challenge.
#[derive(Debug)]
pub struct ChallengeCertificate {
    /// Its key, and the certificate that signed itself.
    pub pem: String,
}

impl ChallengeCertificate {
    /// The certificate for a name that carries this SHA-256 of the key authorization.
    pub(crate) fn new(name: &str, digest: &[u8]) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: format!("{}{}", key.serialize_pem(), certificate.pem()) })
    }
}

/// Keeps a challenge's certificate in place.
pub(crate) struct PublishedCertificate {
    certificates: Arc<dyn ChallengeCertificates>,
    name: String,
}

impl PublishedCertificate {
    pub(crate) fn new(
        certificates: &Arc<dyn ChallengeCertificates>,
        name: &str,
        certificate: ChallengeCertificate,
    ) -> Result<Self, String> {
        certificates.install(name, certificate)?;
        Ok(Self { certificates: certificates.clone(), name: name.to_owned() })
    }
}

impl Drop for PublishedCertificate {
    fn drop(&mut self) {
        self.certificates.remove(&self.name);
    }
}

/// A listener's certificates show those of challenges, too.
impl ChallengeCertificates for tollgate_tls::Certificates {
    fn install(&self, name: &str, certificate: ChallengeCertificate) -> Result<(), String> {
        let pem = certificate.pem.as_bytes();
        let certificate = tollgate_tls::Certificate::from_pem("acme-challenge", pem, pem);
        self.put_challenge(name, &certificate.map_err(|problem| problem.to_string())?);
        Ok(())
    }

    fn remove(&self, name: &str) {
        self.remove_challenge(name);
    }
}

#[cfg(test)]
mod tests {
    use super::Challenges;
    use std::sync::Arc;

    #[test]
    fn an_answer_is_there_as_long_as_its_guard() {
        let challenges = Arc::new(Challenges::default());
        let (first, second) = (challenges.publish("a", "a.key"), challenges.publish("b", "b.key"));
        assert_eq!(challenges.http01("a").as_deref(), Some("a.key"));
        assert_eq!(challenges.http01_path(b"/.well-known/acme-challenge/b").as_deref(), Some("b.key"));
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/c", "/a", "a", ""] {
            assert_eq!(challenges.http01_path(path.as_bytes()), None, "{path}");
        }
        assert_eq!(challenges.http01_path(b"/.well-known/acme-challenge/\xff"), None);
        drop(first);
        assert!(challenges.any() && challenges.http01("a").is_none());
        drop(second);
        assert!(!challenges.any() && challenges.http01("b").is_none());
    }
}
