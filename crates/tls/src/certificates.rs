//! The certificates of a listener: chosen by name, replaced while connections run.

mod load;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

pub(crate) use load::read_small;
pub use load::{Certificate, CertificateFiles, Description, KeyKind, Problem};
use store::Store;

/// The certificates of one or more listeners. The first is the default.
///
/// Handshakes read them under a lock that is held for the time of a lookup; changing them touches no connection
/// that is open.
pub struct Certificates {
    store: RwLock<Arc<Store>>,
    /// Held while a new store is made, so that no change is lost.
    changing: Mutex<()>,
    /// Certificates that answer an authority's tls-alpn-01 challenge, by name.
    challenges: RwLock<HashMap<Box<str>, Arc<CertifiedKey>>>,
    challenged: AtomicUsize,
}

/// What came of looking at the files again.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// The ids of certificates that were replaced.
    pub changed: Vec<String>,
    /// What is wrong with files that changed; the certificates that were read from them before are still used.
    pub problems: Vec<Problem>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.store().certificates().iter().map(|certificate| certificate.id()))
            .finish()
    }
}

impl Certificates {
    /// Certificates in this order. There may be none yet.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        let certificates = certificates.into_iter().map(Arc::new).collect();
        Self {
            store: RwLock::new(Arc::new(Store::new(certificates))),
            changing: Mutex::new(()),
            challenges: RwLock::default(),
            challenged: AtomicUsize::new(0),
        }
    }

    /// Adds a certificate behind the others, or replaces the one that has its id.
    pub fn put(&self, certificate: Certificate) {
        let _changing = self.change();
        let mut all = self.store().certificates().to_vec();
        let certificate = Arc::new(certificate);
        match all.iter_mut().find(|old| old.id() == certificate.id()) {
            Some(old) => *old = certificate,
            None => all.push(certificate),
        }
        self.publish(all);
    }

    /// Takes the certificate with this id away. False where there is none.
    pub fn remove(&self, id: &str) -> bool {
        let _changing = self.change();
        let mut all = self.store().certificates().to_vec();
        let before = all.len();
        all.retain(|certificate| certificate.id() != id);
        let removed = all.len() < before;
        self.publish(all);
        removed
    }

    /// Replaces the OCSP response that is stapled to the certificate with this id. False where there is none.
    pub fn staple(&self, id: &str, response: Option<Vec<u8>>) -> bool {
        let _changing = self.change();
        let mut all = self.store().certificates().to_vec();
        let Some(certificate) = all.iter_mut().find(|certificate| certificate.id() == id) else {
            return false;
        };
        *certificate = Arc::new(certificate.stapled(response));
        self.publish(all);
        true
    }

    /// Looks at the files of all certificates and takes those that have changed. Connections that are open
    /// keep what they were opened with.
    pub fn refresh(&self) -> Refreshed {
        let _changing = self.change();
        let mut all = self.store().certificates().to_vec();
        let mut refreshed = Refreshed::default();
        for certificate in &mut all {
            match certificate.reread() {
                Ok(None) => {}
                Ok(Some((fresh, is_other))) => {
                    if is_other {
                        refreshed.changed.push(fresh.id().to_owned());
                    }
                    *certificate = Arc::new(fresh);
                }
                Err(problem) => refreshed.problems.push(problem),
            }
        }
        self.publish(all);
        refreshed
    }

    /// What each certificate is, in their order.
    pub fn describe(&self) -> Vec<Description> {
        self.store().certificates().iter().map(|certificate| certificate.describe()).collect()
    }

    /// The certificates, in their order.
    pub fn all(&self) -> Vec<Arc<Certificate>> {
        self.store().certificates().to_vec()
    }

    /// Whether a certificate is for this name (a DNS name or an IP address), itself or by a wildcard.
    pub fn covers(&self, name: &str) -> bool {
        self.store().find(name).is_some()
    }

    /// Answers an authority's challenge for a name (RFC 8737) with this certificate, until it is removed.
    /// Only clients that offer `acme-tls/1` and nothing else see it.
    pub fn put_challenge(&self, name: &str, certificate: &Certificate) {
        let mut challenges = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(name.to_ascii_lowercase().into(), certificate.certified_key());
        self.challenged.store(challenges.len(), Ordering::Release);
    }

    /// Removes the answer to a challenge. False where there is none.
    pub fn remove_challenge(&self, name: &str) -> bool {
        let mut challenges = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        let removed = challenges.remove(name.to_ascii_lowercase().as_str()).is_some();
        self.challenged.store(challenges.len(), Ordering::Release);
        removed
    }

    /// The answer to a challenge.
    pub(crate) fn challenge(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        // There is hardly ever a challenge.
        if self.challenged.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.challenges.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The key for a client that asks for `name` and can check signatures of these schemes.
    pub(crate) fn choose(
        &self,
        name: Option<&str>,
        or_default: bool,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).choose(name, or_default, schemes)
    }

    /// Whether there is any certificate for a client that asks for `name`.
    pub(crate) fn serves(&self, name: Option<&str>, or_default: bool) -> bool {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        let is_found = name.is_some_and(|name| store.find(name).is_some());
        is_found || ((or_default || name.is_none()) && !store.of_default().is_empty())
    }

    /// Whether the two names are served with the same certificate: for `opened`, the default one where there
    /// is none; for `host`, any where there is none, since then no other certificate claims it.
    pub(crate) fn are_same(&self, opened: Option<&str>, host: &str) -> bool {
        if opened.is_some_and(|opened| opened.eq_ignore_ascii_case(host)) {
            return true;
        }
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = store.find(host) else {
            return true;
        };
        let opened = opened.and_then(|name| store.find(name)).unwrap_or(store.of_default());
        opened.iter().any(|at| asked.contains(at))
    }

    fn store(&self) -> Arc<Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, certificates: Vec<Arc<Certificate>>) {
        let store = Arc::new(Store::new(certificates));
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }
}
