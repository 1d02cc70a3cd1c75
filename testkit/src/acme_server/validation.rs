//! Fetching challenges from the client, over the network.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::Shared;
use super::problem::Problem;
use crate::PATIENCE;

/// A challenge to be fetched.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) token: String,
    pub(super) key_authorization: String,
}

impl Question {
    pub(super) async fn ask(&self, shared: &Shared) -> Result<(), Problem> {
        let asking = async {
            let addresses = shared.find(&self.name).await;
            match self.kind {
                "http-01" => self.http01(self.address(addresses.and_then(|addresses| addresses.http))?).await,
                _ => self.tls_alpn01(self.address(addresses.and_then(|addresses| addresses.tls))?).await,
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(connection("no answer in time")))
    }

    fn address(&self, address: Option<SocketAddr>) -> Result<SocketAddr, Problem> {
        let missing = || {
            let detail = format!("no address of {} is known for {}", self.name, self.kind);
            Problem::new(StatusCode::BAD_REQUEST, "dns", detail)
        };
        address.ok_or_else(missing)
    }

    /// RFC 8555 section 8.3. Redirects are not followed: nobody should need that here.
    async fn http01(&self, address: SocketAddr) -> Result<(), Problem> {
        let stream = TcpStream::connect(address).await.map_err(connection)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, driver) = handshake.map_err(connection)?;
        tokio::spawn(driver);
        let request = Request::get(format!("/.well-known/acme-challenge/{}", self.token))
            .header("Host", &self.name)
            .header("Connection", "close")
            .body(Empty::<Bytes>::new());
        let response = sender.send_request(request.unwrap()).await.map_err(connection)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), 4096).collect().await;
        let body = body.map_err(|error| connection(error.to_string()))?.to_bytes();
        let body = String::from_utf8_lossy(&body);
        if status == StatusCode::OK && body.trim_ascii_end() == self.key_authorization {
            return Ok(());
        }
        Err(Problem::unauthorized(format!("{} answers {status} with {body:?}", self.name)))
    }

    /// RFC 8737 section 3.
    async fn tls_alpn01(&self, address: SocketAddr) -> Result<(), Problem> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        let mut config =
            client(provider).dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let name = ServerName::try_from(self.name.clone()).map_err(connection)?;
        let stream = TcpStream::connect(address).await.map_err(connection)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream =
            stream.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "tls", error.to_string()))?;
        let (_, tls) = stream.get_ref();
        if tls.alpn_protocol() != Some(b"acme-tls/1") {
            return Err(Problem::unauthorized("acme-tls/1 was not chosen by ALPN"));
        }
        let Some([certificate]) = tls.peer_certificates() else {
            return Err(Problem::unauthorized("one certificate is expected"));
        };
        self.judge(certificate).map_err(Problem::unauthorized)
    }

    fn judge(&self, certificate: &CertificateDer<'_>) -> Result<(), String> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        if !matches!(names, [GeneralName::DNSName(name)] if *name == self.name) {
            return Err(format!("the certificate is for {names:?}, not just for {}", self.name));
        }
        let mut extensions = certificate.extensions().iter();
        let identifier = extensions.find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let identifier = identifier.ok_or("the certificate has no acmeIdentifier")?;
        let digest = digest(&SHA256, self.key_authorization.as_bytes());
        // An OCTET STRING of 32 bytes.
        if !identifier.critical || identifier.value != [&[0x04, 0x20], digest.as_ref()].concat() {
            return Err("the acmeIdentifier is not critical, or of another key authorization".into());
        }
        Ok(())
    }
}

fn client(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap()
}

fn connection(error: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "connection", error.to_string())
}

/// Takes any certificate, if only its key is there: what it says is judged behind the handshake.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is offered".into()))
    }

    /// By the bare key: rustls would refuse the certificate for its critical acmeIdentifier.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let broken = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(broken)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
