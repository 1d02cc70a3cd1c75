//! A certificate authority whose certificates are what tests want them to be.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// P-256.
    #[default]
    Ecdsa,
    /// 2048 bits.
    Rsa,
}

/// What a certificate is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    names: Vec<String>,
    common_name: String,
    kind: KeyKind,
    /// From and until when it is valid, in days from now.
    days: (i64, i64),
    is_for_clients: bool,
    responder: Option<String>,
    serial: Option<u64>,
}

impl Wanted {
    /// A server's certificate for these names (DNS names or IP addresses), valid from yesterday for 90 days.
    pub fn new(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            common_name: names.first().copied().unwrap_or("nobody").to_owned(),
            kind: KeyKind::Ecdsa,
            days: (-1, 90),
            is_for_clients: false,
            responder: None,
            serial: None,
        }
    }

    /// A client's certificate.
    pub fn client(name: &str) -> Self {
        Self { common_name: name.to_owned(), is_for_clients: true, ..Self::new(&[]) }
    }

    /// With a key of this kind.
    #[must_use]
    pub fn kind(self, kind: KeyKind) -> Self {
        Self { kind, ..self }
    }

    /// Valid from then until then, in days from now.
    #[must_use]
    pub fn days(self, from: i64, until: i64) -> Self {
        Self { days: (from, until), ..self }
    }

    /// Naming a responder that tells whether it is revoked (OCSP).
    #[must_use]
    pub fn responder(self, url: &str) -> Self {
        Self { responder: Some(url.to_owned()), ..self }
    }

    /// With this serial number.
    #[must_use]
    pub fn serial(self, serial: u64) -> Self {
        Self { serial: Some(serial), ..self }
    }
}

/// A certificate with its chain and key, in memory and in files.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The file with the chain, as PEM.
    pub cert: PathBuf,
    /// The file with the key, as PEM.
    pub key: PathBuf,
    /// The chain as PEM.
    pub cert_pem: String,
    /// The key as PEM.
    pub key_pem: String,
}

impl Issued {
    /// The certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).unwrap()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap()
    }

    /// What stands in a document for it: `{ cert: …, key: … }`.
    pub fn yaml(&self) -> String {
        format!("{{ cert: \"{}\", key: \"{}\" }}", self.cert.display(), self.key.display())
    }

    /// Puts another certificate in the place of this one's files, each by a rename.
    pub fn replace_with(&self, other: &Self) {
        replace(&self.key, &other.key_pem);
        replace(&self.cert, &other.cert_pem);
    }
}

/// Puts a text in the place of a file, as those do who do not want it to be read half written.
pub fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// An authority with a directory of its own for what it issues.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, directory: tempfile::tempdir().unwrap() };
        std::fs::write(authority.roots(), authority.issuer.pem()).unwrap();
        std::fs::write(authority.key(), authority.issuer.key().serialize_pem()).unwrap();
        authority
    }

    /// The file with its own certificate, as PEM: what those have who trust it.
    pub fn roots(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The file with its key, as PEM.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("ca-key.pem")
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its own certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.issuer.pem().as_bytes()).unwrap()
    }

    /// Issues a server's certificate for these names. Its files are called after `file`.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.make(file, &Wanted::new(names))
    }

    /// Issues a certificate.
    pub fn make(&self, file: &str, wanted: &Wanted) -> Issued {
        let algorithm = match wanted.kind {
            KeyKind::Ecdsa => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::Rsa => &rcgen::PKCS_RSA_SHA256,
        };
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(wanted.names.clone()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, &*wanted.common_name);
        let now = OffsetDateTime::now_utc();
        params.not_before = now + Duration::days(wanted.days.0);
        params.not_after = now + Duration::days(wanted.days.1);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = wanted.serial.map(SerialNumber::from);
        params.extended_key_usages = match wanted.is_for_clients {
            true => vec![ExtendedKeyUsagePurpose::ClientAuth],
            false => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        params.custom_extensions.extend(wanted.responder.as_deref().map(responder));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.directory.path().join(format!("{file}{end}.pem"));
        // Those who serve with it show its issuer too, as they should.
        let cert_pem = format!("{}{}", certificate.pem(), self.issuer.pem());
        let issued = Issued { cert: path(""), key: path("-key"), cert_pem, key_pem: key.serialize_pem() };
        std::fs::write(&issued.cert, &issued.cert_pem).unwrap();
        std::fs::write(&issued.key, &issued.key_pem).unwrap();
        issued
    }
}

/// Authority information access (RFC 5280 section 4.2.2.1) with an OCSP responder.
fn responder(url: &str) -> CustomExtension {
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).unwrap();
        [&[tag, length], content].concat()
    };
    // 1.3.6.1.5.5.7.48.1
    let method = element(0x06, &[0x2b, 6, 1, 5, 5, 7, 48, 1]);
    let access = [method, element(0x86, url.as_bytes())].concat();
    let content = element(0x30, &element(0x30, &access));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}
