//! Certificates from files and from PEM text.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A day in seconds.
const DAY: i64 = 24 * 3600;

/// How long before its end a certificate is warned of, in seconds.
const SOON: i64 = 14 * DAY;

/// No file with certificates, keys or a staple is longer.
const FILE_MAX: u64 = 1024 * 1024;

/// What is wrong with a certificate, its key, or the files they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    path: Option<PathBuf>,
    what: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { path: None, what: what.into() }
    }

    /// Names the file, where none is named yet.
    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_path_buf());
        self
    }

    /// The file that it is about.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is wrong, without the file.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Problem {}

/// Where a certificate is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain as PEM, the own certificate first.
    pub cert: PathBuf,
    /// The private key as PEM (PKCS#8, PKCS#1 or SEC1). May be the same file.
    pub key: PathBuf,
    /// An OCSP response as DER, to be stapled.
    pub ocsp: Option<PathBuf>,
}

/// The kind of a certificate's key. Where a name has several, the first that the client can use is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An elliptic curve of NIST.
    Ecdsa,
    /// Ed25519.
    Ed25519,
    /// RSA, the most expensive to sign with.
    Rsa,
    /// Another.
    Other,
}

impl KeyKind {
    /// For status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
            Self::Other => "other",
        }
    }
}

/// What a certificate is, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is found by: the file's path, or the id it was given.
    pub id: String,
    /// The DNS names and IP addresses that it is for, in lower case.
    pub names: Vec<String>,
    /// Who made it.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// The kind of its key.
    pub kind: KeyKind,
    /// Whether an OCSP response is stapled to it.
    pub is_stapled: bool,
}

/// A certificate with its chain and key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    description: Description,
    files: Option<(CertificateFiles, Fingerprint)>,
}

/// What tells that a file may have changed: device, inode, size, and when it was changed in seconds and nanoseconds.
/// Not when its content was: programs set that back.
type Look = (u64, u64, u64, i64, i64);

/// What tells whether files have changed: first a look at them, then their content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    stats: Vec<Look>,
    content: [u8; 32],
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        self.description.fmt(f)
    }
}

impl Certificate {
    /// Reads a certificate from its files. Its id is the path of the chain.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn from_files(files: &CertificateFiles) -> Result<Self, Problem> {
        let stats = stats(files)?;
        let cert = read_small(&files.cert)?;
        let key = read_small(&files.key)?;
        let ocsp = files.ocsp.as_deref().map(read_small).transpose()?;
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [&cert, &key].into_iter().chain(&ocsp) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut content = [0; 32];
        content.copy_from_slice(hash.finish().as_ref());
        let chain = parse_chain(&cert).map_err(|problem| problem.at(&files.cert))?;
        let key = parse_key(&key).map_err(|problem| problem.at(&files.key))?;
        let id = files.cert.display().to_string();
        let mut certificate = Self::new(id, chain, key).map_err(|problem| {
            let path = if problem.what.contains("key") { &files.key } else { &files.cert };
            problem.at(path)
        })?;
        if ocsp.is_some() {
            certificate = certificate.stapled(ocsp);
        }
        certificate.files = Some((files.clone(), Fingerprint { stats, content }));
        Ok(certificate)
    }

    /// A certificate from PEM text: its chain, the own certificate first, and its key.
    ///
    /// # Errors
    /// What cannot be used, and why.
    pub fn from_pem(id: impl Into<String>, chain: &[u8], key: &[u8]) -> Result<Self, Problem> {
        Self::new(id.into(), parse_chain(chain)?, parse_key(key)?)
    }

    fn new(
        id: String,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Problem> {
        let Some(leaf) = chain.first() else {
            return Err(Problem::new("there is no certificate in it"));
        };
        let description = describe(id, leaf)?;
        let key = default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| Problem::new(format!("the key cannot be used: {error}")))?;
        if key.public_key().is_some_and(|public| !is_key_of(&public, leaf)) {
            return Err(Problem::new("the key does not belong to the certificate"));
        }
        let key = CertifiedKey::new(chain, key);
        let kind = match key.key.algorithm() {
            SignatureAlgorithm::ECDSA => KeyKind::Ecdsa,
            SignatureAlgorithm::ED25519 => KeyKind::Ed25519,
            SignatureAlgorithm::RSA => KeyKind::Rsa,
            _ => KeyKind::Other,
        };
        Ok(Self { key: Arc::new(key), description: Description { kind, ..description }, files: None })
    }

    /// What it is found by.
    pub fn id(&self) -> &str {
        &self.description.id
    }

    /// The names it is for, in lower case; `*.` stands for one label.
    pub fn names(&self) -> &[String] {
        &self.description.names
    }

    /// Where it is kept, if it was read from files.
    pub fn files(&self) -> Option<&CertificateFiles> {
        self.files.as_ref().map(|(files, _)| files)
    }

    /// What it is, for status and metrics.
    pub fn describe(&self) -> Description {
        self.description.clone()
    }

    /// The chain as DER, the own certificate first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(AsRef::as_ref)
    }

    /// What someone should be told about it, though it can be used. `now` is since 1970.
    pub fn warnings(&self, now: Duration) -> Vec<String> {
        let Description { id, names, not_before, not_after, .. } = &self.description;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut warnings = Vec::new();
        if now > *not_after {
            warnings.push(format!("{id}: the certificate has expired"));
        } else if now.saturating_add(SOON) > *not_after {
            let days = not_after.saturating_sub(now) / DAY;
            let left = match days {
                0 => "less than a day".to_owned(),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            };
            warnings.push(format!("{id}: the certificate expires in {left}"));
        }
        if now < *not_before {
            warnings.push(format!("{id}: the certificate is not valid yet"));
        }
        if names.is_empty() {
            warnings.push(format!("{id}: the certificate is for no name, so it is used as the default only"));
        }
        warnings
    }

    /// The same with another OCSP response.
    pub(super) fn stapled(&self, response: Option<Vec<u8>>) -> Self {
        let key = &self.key;
        let key = CertifiedKey { cert: key.cert.clone(), key: key.key.clone(), ocsp: response };
        let description = Description { is_stapled: key.ocsp.is_some(), ..self.description.clone() };
        Self { key: Arc::new(key), description, files: self.files.clone() }
    }

    /// Reads the files again where they may have changed: the certificate to take, and whether it is another
    /// one. A staple that was fetched since stays where the certificate does.
    pub(super) fn reread(&self) -> Result<Option<(Self, bool)>, Problem> {
        let Some((files, fingerprint)) = &self.files else {
            return Ok(None);
        };
        if stats(files)? == fingerprint.stats {
            return Ok(None);
        }
        let fresh = Self::from_files(files)?;
        let is_other = fresh.files.as_ref().is_none_or(|(_, new)| new.content != fingerprint.content);
        if is_other {
            return Ok(Some((fresh, true)));
        }
        Ok(Some((Self { files: fresh.files, ..self.clone() }, false)))
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }

    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.description.kind
    }
}

/// Whether this is the certificate's public key. rustls would ask webpki, which does not look at certificates
/// that answer a challenge, since it does not know their critical extension.
fn is_key_of(public: &SubjectPublicKeyInfoDer<'_>, leaf: &[u8]) -> bool {
    X509Certificate::from_der(leaf).is_ok_and(|(_, parsed)| parsed.public_key().raw == public.as_ref())
}

fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| Problem::new(format!("malformed PEM: {error}")))?;
    if chain.is_empty() {
        return Err(Problem::new("there is no certificate in it"));
    }
    Ok(chain)
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => {
            Problem::new("there is no private key in it (an encrypted one cannot be used)")
        }
        error => Problem::new(format!("malformed PEM of a key: {error}")),
    })
}

/// What a certificate is. The kind of its key is not known yet.
fn describe(id: String, leaf: &[u8]) -> Result<Description, Problem> {
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|error| Problem::new(format!("the first certificate is malformed: {error}")))?;
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(name_of));
    } else {
        // A certificate of the old style, without alternative names.
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.filter(|name| is_host(name)).map(str::to_ascii_lowercase));
    }
    names.dedup();
    Ok(Description {
        id,
        names,
        issuer: parsed.issuer().to_string(),
        serial: parsed.raw_serial_as_string().replace(':', ""),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        kind: KeyKind::Other,
        is_stapled: false,
    })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d]).to_string()),
            bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn is_host(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.*_".contains(&byte))
}

/// A look at all files.
fn stats(files: &CertificateFiles) -> Result<Vec<Look>, Problem> {
    let paths = [Some(&files.cert), Some(&files.key), files.ocsp.as_ref()];
    let stat = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec())),
        Err(error) => Err(Problem::new(format!("cannot be read: {error}")).at(path)),
    };
    paths.into_iter().flatten().map(stat).collect()
}

/// Reads a file that is not to be large.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, Problem> {
    use std::io::Read;
    let cannot = |error: std::io::Error| Problem::new(format!("cannot be read: {error}")).at(path);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(Problem::new("is larger than 1 MiB").at(path));
    }
    Ok(bytes)
}
