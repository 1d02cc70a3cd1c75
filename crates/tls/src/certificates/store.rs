//! Which certificate is for which name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::Certificate;

/// Certificates with the names they are for. Never changed: a change makes a new one.
#[derive(Debug, Default)]
pub(super) struct Store {
    certificates: Vec<Arc<Certificate>>,
    exact: HashMap<Box<str>, Candidates>,
    /// By what stands behind `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
    default: Candidates,
}

/// Places in the list of certificates, in the order in which they are tried: the cheapest signature first.
type Candidates = Vec<usize>;

impl Store {
    pub(super) fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        let mut store = Self::default();
        for (at, certificate) in certificates.iter().enumerate() {
            for name in certificate.names() {
                let candidates = match name.strip_prefix("*.") {
                    Some(parent) => store.wildcard.entry(parent.into()).or_default(),
                    None => store.exact.entry(name.as_str().into()).or_default(),
                };
                candidates.push(at);
            }
        }
        for candidates in store.exact.values_mut().chain(store.wildcard.values_mut()) {
            keep_one_of_a_kind(candidates, &certificates);
        }
        if let Some(first) = certificates.first() {
            // Those that are for the same name are of other kinds.
            let same = first.names().first().and_then(|name| store.find(name));
            store.default = match same {
                Some(same) if same.contains(&0) => same.to_vec(),
                _ => vec![0],
            };
        }
        store.certificates = certificates;
        store
    }

    pub(super) fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// The certificates for a name.
    pub(super) fn find(&self, name: &str) -> Option<&[usize]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower(&name.to_ascii_lowercase());
        }
        self.find_lower(name)
    }

    fn find_lower(&self, name: &str) -> Option<&[usize]> {
        if let Some(exact) = self.exact.get(name) {
            return Some(exact);
        }
        // A wildcard stands for one label (RFC 6125 section 6.4.3).
        match name.split_once('.') {
            Some((label, parent)) if !label.is_empty() => self.wildcard.get(parent).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The certificates for names that no certificate is for.
    pub(super) fn of_default(&self) -> &[usize] {
        &self.default
    }

    /// The key for a client that asks for this name and can check signatures of these schemes.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        or_default: bool,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let candidates = match name.map(|name| self.find(name)) {
            Some(Some(found)) => found,
            Some(None) if !or_default => return None,
            // A client that asks for no name gets the default even where unknown names are refused.
            Some(None) | None => &self.default,
        };
        let mut keys = candidates.iter().map(|at| self.certificates[*at].key());
        keys.find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}

/// Keeps the first certificate of each kind of key, those with cheaper signatures first.
fn keep_one_of_a_kind(candidates: &mut Candidates, certificates: &[Arc<Certificate>]) {
    let kind = |at: &usize| certificates[*at].kind();
    candidates.sort_by_key(kind);
    candidates.dedup_by_key(|at| kind(at));
}
