//! A certificate with its chain and key, as it is kept and handed on.

use std::fmt;
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::schedule::Validity;

/// A certificate that was obtained.
#[derive(Debug)]
pub struct Issued {
    /// The names that it is good for, as it says itself.
    pub names: Vec<String>,
    /// The certificate, then those that signed it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// Key and chain as PEM, as they stand in the file.
    pub pem: String,
    /// From when until when it is good.
    pub validity: Validity,
    /// What it is called when renewal information is asked for (RFC 9773 section 4.1).
    pub(crate) identifier: Option<CertificateIdentifier<'static>>,
}

impl Issued {
    /// Reads key and chain, and checks that they belong together.
    ///
    /// # Errors
    /// Something is missing, broken, or does not belong to the rest.
    pub fn parse(pem: String) -> Result<Self, BadCertificate> {
        let bad = |what: &str, error: &dyn fmt::Display| BadCertificate(format!("{what}: {error}"));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|error| bad("the certificates", &error))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| bad("the key", &error))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let leaf = chain.first().ok_or_else(|| BadCertificate("there is no certificate".into()))?;
        let (names, validity, identifier) = read(leaf).map_err(BadCertificate)?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider)
            .map_err(|error| bad("key and certificate", &error))?;
        Ok(Self { names, chain, key, pem, validity, identifier })
    }

    /// Whether it is good for all these names.
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.contains(name))
    }
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCertificate(String);

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificate {}

type Said = (Vec<String>, Validity, Option<CertificateIdentifier<'static>>);

/// What a certificate says of itself.
fn read(certificate: &[u8]) -> Result<Said, String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let (mut names, mut authority) = (Vec::new(), None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(found) => {
                names.extend(found.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                }));
            }
            ParsedExtension::AuthorityKeyIdentifier(found) => {
                authority = found.key_identifier.as_ref().map(|identifier| identifier.0);
            }
            _ => {}
        }
    }
    let time = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).map_err(|_| "it is from before 1970")?;
        Ok::<_, String>(Duration::from_secs(seconds))
    };
    let validity = certificate.validity();
    let validity = Validity { from: time(validity.not_before)?, until: time(validity.not_after)? };
    let serial = Der::from_slice(certificate.raw_serial());
    let identifier = authority
        .map(|authority| CertificateIdentifier::new(Der::from_slice(authority), serial.clone()).into_owned());
    Ok((names, validity, identifier))
}
