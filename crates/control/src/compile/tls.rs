//! TLS of a document: files become what listeners and upstreams encrypt with.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tollgate_config::{self as config, Diagnostic, FilePath, Located};
use tollgate_tls::{Acceptor, Connector};

use super::Compiler;

/// Bytes of a file of certificates or a key, at most: the bundle of a system's authorities has about 250 KiB.
const LARGEST: u64 = 4 << 20;

/// A file that was read. Two of them are the same if their contents are.
#[derive(Clone)]
pub struct FileContent {
    seal: u64,
    bytes: Arc<[u8]>,
}

impl PartialEq for FileContent {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

// It may be a private key.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes, {:016x})", self.bytes.len(), self.seal)
    }
}

impl FileContent {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn read(path: &Path) -> io::Result<Self> {
        use io::Read;
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
        }
        let seal = KEY.get_or_init(RandomState::new).hash_one(&bytes);
        Ok(Self { seal, bytes: bytes.into() })
    }
}

/// What a connector is made from. The same plan makes the same connector.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorPlan {
    /// The authorities, PEM; `None` for those of the system.
    pub roots: Option<FileContent>,
    /// The name to verify; `None` for the endpoint's host.
    pub name: Option<String>,
    /// Tollgate's own certificate chain and key, PEM.
    pub identity: Option<(FileContent, FileContent)>,
    /// Any certificate is accepted.
    pub insecure: bool,
    /// HTTP/2 is agreed on by ALPN.
    pub http2: bool,
}

impl ConnectorPlan {
    /// The connector of the plan.
    pub fn connector(&self) -> Arc<Connector> {
        Arc::new(Connector)
    }
}

impl Compiler<'_> {
    /// Reads a file that the document names. `None` after a finding.
    fn file(&mut self, path: &Located<FilePath>) -> Option<FileContent> {
        FileContent::read(path.value.path())
            .map_err(|error| {
                let message = format!("cannot read `{}`: {error}", path.value.path().display());
                self.diagnostics.push(Diagnostic::error(path.origin, message));
            })
            .ok()
    }

    /// The plan of an upstream's TLS. `None` after a finding.
    pub(super) fn connector(&mut self, tls: &config::UpstreamTls, http2: bool) -> Option<ConnectorPlan> {
        let roots = match &tls.ca {
            Some(path) => Some(self.file(path)?),
            None => None,
        };
        let identity = match (&tls.client_cert, &tls.client_key) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (self.file(cert), self.file(key));
                Some((cert?, key?))
            }
            _ => None,
        };
        Some(ConnectorPlan {
            roots,
            name: tls.name.as_ref().map(|name| name.value.as_str().to_owned()),
            identity,
            insecure: tls.insecure_accept_any_certificate.value,
            http2,
        })
    }

    /// The acceptor of a listener. `None` after a finding.
    pub(super) fn acceptor(&mut self, listener: &config::Listener) -> Option<Arc<Acceptor>> {
        let before = self.diagnostics.errors();
        for certificate in listener.tls.iter().flat_map(|tls| tls.certificates.iter()) {
            self.file(&certificate.cert);
            self.file(&certificate.key);
            certificate.ocsp.iter().for_each(|ocsp| drop(self.file(ocsp)));
        }
        if let Some(clients) = listener.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref()) {
            self.file(&clients.ca);
        }
        (self.diagnostics.errors() == before).then(|| Arc::new(Acceptor))
    }
}
