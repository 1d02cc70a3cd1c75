//! TLS for clients and origins of tests: rustls, driven apart from the program's own.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};

use crate::PATIENCE;
use crate::authority::{Authority, Issued};
use crate::client::Client;
use crate::wire::Wire;

/// Versions that a side speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl Versions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        let (new, old) = (&rustls::version::TLS13, &rustls::version::TLS12);
        match self {
            Self::Both => vec![new, old],
            Self::Tls12 => vec![old],
            Self::Tls13 => vec![new],
        }
    }
}

/// How a client opens TLS connections. Sessions are kept from one connection to the next unless told.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: String,
}

impl TlsClient {
    /// A client that trusts this authority and asks for `name`, in all versions and without ALPN.
    pub fn new(authority: &Authority, name: &str) -> Self {
        Self::made(authority, name, Versions::Both, None)
    }

    /// The same in these versions, with a certificate to show.
    pub fn made(authority: &Authority, name: &str, versions: Versions, shown: Option<&Issued>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions.list())
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(issued) => builder.with_client_auth_cert(vec![issued.der()], issued.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(16);
        Self { config: Arc::new(config), name: name.to_owned() }
    }

    fn change(&self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        change(&mut config);
        Self { config: Arc::new(config), name: self.name.clone() }
    }

    /// Offers these protocols (ALPN).
    #[must_use]
    pub fn alpn(&self, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self.change(|config| config.alpn_protocols = protocols)
    }

    /// Asks for no name, and takes what it gets for the one it wants.
    #[must_use]
    pub fn without_sni(&self) -> Self {
        self.change(|config| config.enable_sni = false)
    }

    /// Asks for another name, with the same sessions.
    #[must_use]
    pub fn for_name(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// Takes any certificate, for looking at what is shown.
    #[must_use]
    pub fn trusting_all(&self) -> Self {
        self.change(|config| {
            config.dangerous().set_certificate_verifier(Arc::new(Trusting { schemes: None }));
        })
    }

    /// Takes any certificate, and tells that it can check these signatures only.
    #[must_use]
    pub fn checking_only(&self, schemes: &[SignatureScheme]) -> Self {
        let schemes = Some(schemes.to_vec());
        self.change(|config| {
            config.dangerous().set_certificate_verifier(Arc::new(Trusting { schemes }));
        })
    }

    /// Keeps no sessions.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        self.change(|config| config.resumption = Resumption::disabled())
    }

    /// Sends data before the handshake ends (0-RTT) where a session allows it.
    #[must_use]
    pub fn with_early_data(&self) -> Self {
        self.change(|config| config.enable_early_data = true)
    }

    /// A new TLS connection.
    pub fn connect(&self, address: SocketAddr) -> Client {
        self.on(Client::connect(address))
    }

    /// TLS on a connection that was opened already, whatever was sent on it before.
    pub fn on(&self, client: Client) -> Client {
        self.try_on(client).unwrap_or_else(|error| panic!("no TLS with {}: {error}", self.name))
    }

    /// The same where it may fail.
    pub fn try_on(&self, client: Client) -> io::Result<Client> {
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let connection = ClientConnection::new(self.config.clone(), name).unwrap();
        Ok(Client::over(Wire::secure(client.into_socket(), connection.into())?))
    }

    /// Why there is no connection: what the other side's refusal looks like from here. A connection that is not
    /// refused is a failure of the test.
    pub fn refusal(&self, address: SocketAddr) -> String {
        // In TLS 1.3 the other side may refuse what it gets when this one has finished.
        let refused = self.try_on(Client::connect(address)).and_then(|mut client| client.try_read_one());
        match refused {
            Err(error) => error.to_string(),
            Ok(read) => panic!("it was not refused: {read:?}"),
        }
    }
}

/// What was agreed upon in a handshake, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The application protocol.
    pub alpn: Option<String>,
    /// The certificates that were shown, as DER.
    pub chain: Vec<Vec<u8>>,
}

impl Client {
    /// What was agreed upon; the connection has TLS.
    pub fn handshake(&self) -> Handshake {
        let tls = self.wire().tls().expect("no TLS on it");
        Handshake {
            version: match tls.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
                other => panic!("version {other:?}"),
            },
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            chain: tls.peer_certificates().iter().flat_map(|c| c.iter()).map(|c| c.to_vec()).collect(),
        }
    }
}

impl Client {
    /// Whether data may be sent before the handshake ends, as the session says that this connection resumed.
    pub fn offers_early_data(&self) -> bool {
        match &*self.wire().tls().expect("no TLS on it") {
            rustls::Connection::Client(connection) => connection.is_early_data_accepted(),
            rustls::Connection::Server(_) => false,
        }
    }
}

/// How an origin accepts TLS connections.
#[derive(Clone, Debug)]
pub struct TlsOrigin {
    config: Arc<ServerConfig>,
}

impl TlsOrigin {
    /// Shows this certificate, in all versions.
    pub fn new(issued: &Issued) -> Self {
        Self::made(issued, Versions::Both, None)
    }

    /// The same in these versions, asking clients for certificates of an authority.
    pub fn made(issued: &Issued, versions: Versions, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions.list())
            .unwrap();
        let builder = match clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(vec![issued.der()], issued.private_key()).unwrap();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        Self { config: Arc::new(config) }
    }

    /// Speaks these protocols (ALPN).
    #[must_use]
    pub fn alpn(&self, protocols: &[&str]) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    pub(crate) fn accept(&self, socket: TcpStream) -> io::Result<Wire> {
        let connection = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Wire::secure(socket, connection.into())
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct Trusting {
    schemes: Option<Vec<SignatureScheme>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let all = || default_provider().signature_verification_algorithms.supported_schemes();
        self.schemes.clone().unwrap_or_else(all)
    }
}
