//! The certificate that all programs under test present, made anew for each run.

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// The name in it.
pub(crate) const NAME: &str = "bench.example";

/// A folder with a P-256 key and a certificate of its own.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    directory: PathBuf,
}

impl Identity {
    /// The one in this folder, whether or not it is there yet.
    pub(crate) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Makes a key and a certificate and writes them to `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let identity = Self::at(directory);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
        std::fs::write(identity.certificate(), certificate.pem())?;
        std::fs::write(identity.key(), key.serialize_pem())?;
        std::fs::write(identity.both(), certificate.pem() + &key.serialize_pem())?;
        Ok(identity)
    }

    /// The certificate's file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// The key's file.
    pub(crate) fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// Both in one file, as HAProxy has it.
    pub(crate) fn both(&self) -> PathBuf {
        self.directory.join("both.pem")
    }
}

/// Reads a certificate's file.
pub(crate) fn read(file: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(file).with_context(|| format!("no certificate in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::{Identity, read};

    #[test]
    fn what_was_made_can_be_read() {
        let directory = tempfile::tempdir().expect("a folder");
        let identity = Identity::make(directory.path()).expect("is made");
        let certificate = read(&identity.certificate()).expect("is one");
        assert_eq!(read(&identity.both()).expect("is one"), certificate);
        assert!(read(&identity.key()).is_err());
    }
}
