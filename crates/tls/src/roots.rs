//! The authorities whose certificates are accepted.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificates::{Problem, read_small};

/// A set of certificate authorities.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    /// SHA-256 of all certificates.
    digest: [u8; 32],
}

impl Roots {
    /// The system's authorities; the bundled ones of Mozilla where the system has none.
    pub fn system() -> Self {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self { store: Arc::new(store), digest: [0; 32] }
    }

    /// The authorities in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate, or one that is malformed.
    pub fn from_file(path: &Path) -> Result<Self, Problem> {
        Self::from_pem(&read_small(path)?).map_err(|problem| problem.at(path))
    }

    /// The authorities in PEM text.
    ///
    /// # Errors
    /// There is no certificate, or one that is malformed.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Problem> {
        let mut store = RootCertStore::empty();
        let mut all = digest::Context::new(&digest::SHA256);
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| Problem::new(format!("malformed PEM: {error}")))?;
            all.update(&(certificate.len() as u64).to_be_bytes());
            all.update(&certificate);
            let number = store.len() + 1;
            store
                .add(certificate)
                .map_err(|error| Problem::new(format!("certificate {number} is no authority's: {error}")))?;
        }
        if store.is_empty() {
            return Err(Problem::new("there is no certificate in it"));
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(all.finish().as_ref());
        Ok(Self { store: Arc::new(store), digest })
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        self.store.clone()
    }

    /// What tells one set of authorities from another.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
