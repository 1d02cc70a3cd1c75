//! What an upstream needs to open TLS connections.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::certificates::{Certificate, Problem};
use crate::failure::{self, HandshakeFailure};
use crate::profile::{MinVersion, Profile};
use crate::roots::Roots;
use crate::session::Session;

/// An upstream's TLS settings.
#[derive(Debug)]
pub struct ClientSettings {
    /// Whose certificates are accepted.
    pub roots: Roots,
    /// The name that certificates must have and that is sent as SNI; the endpoint's host where there is none.
    pub name: Option<String>,
    /// The protocol that is offered (ALPN), such as `http/1.1` or `h2`; none for plain TCP.
    pub alpn: Option<Vec<u8>>,
    /// Whether the endpoint must agree to that protocol, as HTTP/2 wants it.
    pub must_agree: bool,
    /// The certificate that is shown where the endpoint asks for one.
    pub certificate: Option<Certificate>,
    /// Takes any certificate, also one that is expired, of another name or made by an attacker.
    pub insecure_accept_any_certificate: bool,
    /// For how many endpoint names sessions are kept to be resumed.
    pub resumed_names: usize,
}

/// What an upstream needs to open TLS connections: its settings, compiled, with the sessions that can be
/// resumed. Shared by all workers.
pub struct Connector {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    must_speak: Option<Arc<[u8]>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, must_speak, .. } = self;
        f.debug_struct("Connector")
            .field("name", name)
            .field("must_speak", must_speak)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Compiles the settings.
    ///
    /// # Errors
    /// The name is none that a certificate can have.
    pub fn new(settings: ClientSettings) -> Result<Self, Problem> {
        let provider = Profile::Intermediate.provider();
        let refused = |error: rustls::Error| Problem::new(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(Profile::Intermediate.versions(MinVersion::Tls12))
            .map_err(refused)?;
        let verifier: Arc<dyn ServerCertVerifier> = match settings.insecure_accept_any_certificate {
            true => Arc::new(AnyCertificate(provider.clone())),
            false => WebPkiServerVerifier::builder_with_provider(settings.roots.store(), provider)
                .build()
                .map_err(|error| Problem::new(error.to_string()))?,
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match settings.certificate {
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(certificate.certified_key()),
            )),
            None => builder.with_no_client_auth(),
        };
        config.resumption = match settings.resumed_names {
            0 => Resumption::disabled(),
            names => Resumption::in_memory_sessions(names),
        };
        config.alpn_protocols.extend(settings.alpn.clone());
        let name = match settings.name {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| Problem::new(format!("`{name}` is neither a DNS name nor an IP address")))?,
            ),
            None => None,
        };
        let must_speak = settings.alpn.filter(|_| settings.must_agree).map(Into::into);
        Ok(Self { config: Arc::new(config), name, must_speak })
    }

    /// The settings as rustls has them, for connections that are driven by somebody else. The name to verify and the
    /// protocol that must be agreed on are not in them.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// A session with an endpoint, which is at `host` (a DNS name or an IP address, without port). Its first
    /// message is sent by [`Session::poll_handshake`]. An IP address is verified, but not sent as SNI.
    ///
    /// # Errors
    /// No name is set and the host is none that a certificate can have.
    pub fn connect(&self, host: &str) -> Result<Session, HandshakeFailure> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))
                .map_err(|_| failure::bad_endpoint_name(host))?
                .to_owned(),
        };
        let text = name.to_str().into_owned();
        let connection = UnbufferedClientConnection::new(self.config.clone(), name)
            .map_err(|error| failure::own_upstream(&error))?;
        Session::client(connection, &text, self.must_speak.clone())
    }
}

/// Accepts every certificate, but checks that the endpoint has its key: the connection is encrypted, with
/// nobody knows whom.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
