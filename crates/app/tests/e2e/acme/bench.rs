//! An authority, a storage, an origin, and the program between them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{AcmeServer, Launch, Origin, PATIENCE, Tollgate};

use crate::PROGRAM;
use crate::verbs::{json_of, verb};

pub(super) const SHOP: &str = "shop.example.com";
pub(super) const WWW: &str = "www.example.com";

/// What outlives the program.
pub(super) struct Bench {
    pub(super) server: AcmeServer,
    pub(super) origin: Origin,
    folder: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let bench = Self {
            server: AcmeServer::start(),
            origin: Origin::saying("hello"),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(bench.folder.path().join("ca.pem"), bench.server.root_pem()).unwrap();
        bench
    }

    /// A document with a plain listener, and one with certificates for these names.
    pub(super) fn document(&self, challenge: &str, names: &[&str]) -> String {
        let (directory, folder) = (self.server.directory(), self.folder.path().display());
        format!(
            "version: 1\nworkers: 2\naccess_log: none\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
             acme: {{ directory: \"{directory}\", ca: {folder}/ca.pem, storage: {folder}/kept, challenge: {challenge} }}\n\
             listen:\n  - {{ address: \"127.0.0.1:0\", redirect_https: true }}\n  \
             - {{ address: \"127.0.0.1:0\", tls: {{ acme: [{}] }} }}\n\
             routes: [{{ name: all, path: /, to: \"http://{}\", retry: none }}]\n",
            names.join(", "),
            self.origin.address(),
        )
    }

    /// Starts the program. The authority does not find it yet, and waits with its questions until it does.
    pub(super) fn start(&self, document: &str) -> Tollgate {
        self.server.expect(SHOP);
        self.server.expect(WWW);
        Launch::new(PROGRAM, document).listeners(2).start()
    }

    /// The authority finds these names at the program's listeners.
    pub(super) fn resolve(&self, tollgate: &Tollgate, names: &[&str]) {
        let [plain, secured] = tollgate.addresses() else { panic!("two listeners are expected") };
        names.iter().for_each(|name| self.server.resolve(name, Some(*plain), Some(*secured)));
    }

    /// Starts the program, and waits until it has its certificates.
    pub(super) fn start_with(&self, document: &str, names: &[&str]) -> Tollgate {
        let tollgate = self.start(document);
        self.resolve(&tollgate, names);
        names.iter().for_each(|name| self.obtained(&tollgate, name));
        tollgate
    }

    /// Waits until the program says that it has a certificate.
    pub(super) fn obtained(&self, tollgate: &Tollgate, name: &str) {
        tollgate.stderr_line(&format!("ACME: the certificate for {name} is there, valid until "));
    }

    /// A client of the program that believes the authority and nobody else.
    pub(super) fn visitor(&self, tollgate: &Tollgate, name: &str) -> Visitor {
        self.visitor_at(tollgate.addresses()[1], name)
    }

    /// The same of a listener.
    pub(super) fn visitor_at(&self, address: SocketAddr, name: &str) -> Visitor {
        Visitor { address, name: name.to_owned(), config: self.trust() }
    }

    fn trust(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.server.root_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        // Else a client would go on to see the certificate of its first connection.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// The files of the storage, by their names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().join("kept")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    pub(super) fn certificate_file(&self, name: &str) -> PathBuf {
        let name = format!("{name}.pem");
        self.files().into_iter().find(|path| path.ends_with(&name)).unwrap()
    }
}

/// The ACME part of what `tollgate status --json` says.
pub(super) fn status(tollgate: &Tollgate) -> Vec<Value> {
    let status = json_of(&verb(tollgate, &["status", "--json"]));
    status["acme"].as_array().unwrap().clone()
}

/// Waits until the status of the first certificate is as it should be.
pub(super) fn await_status(tollgate: &Tollgate, until: impl Fn(&Value) -> bool) -> Value {
    let began = std::time::Instant::now();
    loop {
        let status = status(tollgate);
        match status.first() {
            Some(first) if until(first) => return first.clone(),
            _ => assert!(began.elapsed() < PATIENCE, "{status:?}"),
        }
    }
}

/// A client that opens verified TLS connections.
#[derive(Clone)]
pub(super) struct Visitor {
    address: SocketAddr,
    name: String,
    config: Arc<ClientConfig>,
}

impl Visitor {
    /// A new connection; its handshake is over.
    pub(super) fn connect(&self) -> Result<Visit, String> {
        let stream = TcpStream::connect(self.address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let tls = ClientConnection::new(self.config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
        }
        Ok(Visit { name: self.name.clone(), stream })
    }

    /// A request on a new connection: the certificate that was shown.
    pub(super) fn visit(&self) -> Result<Vec<u8>, String> {
        let mut visit = self.connect()?;
        visit.request()?;
        Ok(visit.certificate())
    }
}

/// An open connection.
pub(super) struct Visit {
    name: String,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Visit {
    /// A request that must be answered by the origin.
    pub(super) fn request(&mut self) -> Result<(), String> {
        let request = format!("GET /cart HTTP/1.1\r\nHost: {}\r\n\r\n", self.name);
        self.stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut response = Vec::new();
        while !response.ends_with(b"hello") {
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(format!("cut: {}", String::from_utf8_lossy(&response))),
                Ok(count) => response.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(format!("{error}: {}", String::from_utf8_lossy(&response))),
            }
        }
        match response.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&response).into_owned()),
        }
    }

    /// The certificate that the connection was opened with.
    pub(super) fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }
}
