//! Two ends of a wire in memory, and certificates.

#![allow(dead_code, reason = "each file of tests uses its part")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SignatureAlgorithm};
use tollgate_runtime::clock::Clock;
use tollgate_tls::{
    Acceptor, Certificate, Certificates, ClientSettings, Connector, HandshakeFailure, Roots, ServerSettings,
    Session, TicketKeys, Wire,
};

/// One direction of a wire.
#[derive(Debug, Default)]
pub struct Pipe {
    pub bytes: VecDeque<u8>,
    pub is_closed: bool,
    /// How many bytes each send took.
    pub sends: Vec<usize>,
}

/// One end of a wire in memory.
#[derive(Clone, Debug)]
pub struct End {
    pub incoming: Rc<RefCell<Pipe>>,
    pub outgoing: Rc<RefCell<Pipe>>,
    /// How many bytes may wait in the wire.
    pub window: usize,
    /// How many bytes are received at once.
    pub step: usize,
}

/// The two ends of a wire.
pub fn wire() -> (End, End) {
    let (one, other): (Rc<RefCell<Pipe>>, Rc<RefCell<Pipe>>) = Default::default();
    let end = |incoming: &Rc<RefCell<Pipe>>, outgoing: &Rc<RefCell<Pipe>>| End {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        window: usize::MAX,
        step: usize::MAX,
    };
    (end(&one, &other), end(&other, &one))
}

impl End {
    pub fn close(&self) {
        self.outgoing.borrow_mut().is_closed = true;
    }
}

impl Wire for End {
    fn poll_recv(&mut self, _cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buf.is_empty());
        let mut pipe = self.incoming.borrow_mut();
        if pipe.bytes.is_empty() {
            return if pipe.is_closed { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        let len = buf.len().min(pipe.bytes.len()).min(self.step);
        for (to, from) in buf.iter_mut().zip(pipe.bytes.drain(..len)) {
            *to = from;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!bytes.is_empty());
        let mut pipe = self.outgoing.borrow_mut();
        let len = bytes.len().min(self.window.saturating_sub(pipe.bytes.len()));
        if len == 0 {
            return Poll::Pending;
        }
        pipe.bytes.extend(&bytes[..len]);
        pipe.sends.push(len);
        Poll::Ready(Ok(len))
    }
}

pub fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A side of a connection.
pub struct Side {
    pub session: Session,
    pub end: End,
}

impl Side {
    pub fn handshake(&mut self) -> Poll<Result<(), HandshakeFailure>> {
        self.session.poll_handshake(&mut context(), &mut self.end)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.session.poll_send(&mut context(), &mut self.end, bytes)
    }

    pub fn recv(&mut self, len: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut buf = vec![0; len];
        self.session.poll_recv(&mut context(), &mut self.end, &mut buf).map_ok(|len| buf[..len].to_vec())
    }

    pub fn flush(&mut self) -> Poll<io::Result<()>> {
        self.session.poll_flush(&mut context(), &mut self.end)
    }

    pub fn close(&mut self) -> Poll<io::Result<()>> {
        self.session.poll_close(&mut context(), &mut self.end)
    }
}

/// A connection's two sides, the client's first.
pub fn sides(connector: &Connector, host: &str, acceptor: &Arc<Acceptor>) -> (Side, Side) {
    let (one, other) = wire();
    let client = Side { session: connector.connect(host).expect("a good host"), end: one };
    (client, Side { session: acceptor.accept(), end: other })
}

pub type Outcome = Result<(), HandshakeFailure>;

/// Brings the handshake to its end on both sides; then what the client hears of a refusal in TLS 1.3.
pub fn handshake(client: &mut Side, server: &mut Side) -> (Outcome, Outcome) {
    let (mut at_client, mut at_server) = (None, None);
    for _ in 0..200_000 {
        if at_client.is_none() {
            match client.handshake() {
                Poll::Ready(outcome) => {
                    at_client = Some(outcome);
                    let _ = client.flush();
                    if at_client != Some(Ok(())) {
                        client.end.close();
                    }
                }
                Poll::Pending => {}
            }
        } else {
            let _ = client.flush();
        }
        if at_server.is_none() {
            match server.handshake() {
                Poll::Ready(outcome) => {
                    at_server = Some(outcome);
                    if at_server != Some(Ok(())) {
                        let _ = server.flush();
                        server.end.close();
                    } else if server.session.wants_flush() {
                        let _ = server.flush();
                    }
                }
                Poll::Pending => {}
            }
        } else if server.session.wants_flush() {
            let _ = server.flush();
        }
        if let (Some(client), Some(server)) = (&at_client, &at_server) {
            return (client.clone(), server.clone());
        }
    }
    panic!("the handshake does not end: {at_client:?} {at_server:?}");
}

/// Sends all bytes from one side and receives them at the other.
pub fn carry(from: &mut Side, to: &mut Side, bytes: &[u8], buf: usize) -> Vec<u8> {
    let (mut sent, mut received) = (0, Vec::new());
    for _ in 0..10_000_000 {
        if sent < bytes.len() {
            if let Poll::Ready(taken) = from.send(&bytes[sent..]) {
                sent += taken.expect("taken");
            }
        } else {
            let _ = from.flush();
        }
        while let Poll::Ready(got) = to.recv(buf) {
            let got = got.expect("received");
            assert!(!got.is_empty(), "closed after {}", received.len());
            received.extend(got);
        }
        if received.len() >= bytes.len() {
            return received;
        }
    }
    panic!("stuck at {sent} sent and {} received of {}", received.len(), bytes.len());
}

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(self.0.pem().as_bytes()).expect("roots")
    }

    pub fn key(&self) -> &KeyPair {
        self.0.key()
    }

    /// Chain and key as PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    pub fn certificate(&self, names: &[&str]) -> Certificate {
        let (chain, key) = self.issue(names);
        Certificate::from_pem(names[0], chain.as_bytes(), key.as_bytes()).expect("a certificate")
    }
}

pub fn acceptor(settings: ServerSettings, certificates: Vec<Certificate>) -> Arc<Acceptor> {
    Arc::new(Acceptor::new(settings, Arc::new(Certificates::new(certificates))).expect("an acceptor"))
}

pub fn client_settings(roots: Roots) -> ClientSettings {
    ClientSettings {
        roots,
        name: None,
        alpn: None,
        must_agree: false,
        certificate: None,
        insecure_accept_any_certificate: false,
        resumed_names: 8,
    }
}

pub fn connector(settings: ClientSettings) -> Connector {
    Connector::new(settings).expect("a connector")
}

pub fn ticket_keys() -> Arc<TicketKeys> {
    Arc::new(TicketKeys::new(Clock::new(), std::time::Duration::from_secs(3600)).expect("randomness"))
}

/// Settings of a plain rustls client.
pub fn plain_client(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut store = rustls::RootCertStore::empty();
    let root = rustls::pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
    store.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).expect("versions");
    Arc::new(builder.with_root_certificates(store).with_no_client_auth())
}

/// A plain rustls client at the end of a wire.
pub struct Plain {
    pub client: rustls::ClientConnection,
    end: End,
    pub other: End,
}

impl Plain {
    pub fn new(config: &Arc<rustls::ClientConfig>, host: &str) -> Self {
        let name = host.to_owned().try_into().expect("a name");
        let client = rustls::ClientConnection::new(config.clone(), name).expect("a client");
        let (end, other) = wire();
        Self { client, end, other }
    }

    /// Hands bytes to and fro once.
    pub fn exchange(&mut self) -> Result<(), rustls::Error> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("written");
        }
        self.end.outgoing.borrow_mut().bytes.extend(bytes);
        let bytes: Vec<u8> = self.end.incoming.borrow_mut().bytes.drain(..).collect();
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).expect("read");
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    pub fn handshake(&mut self, server: &mut Side) -> Result<(), HandshakeFailure> {
        loop {
            self.exchange().expect("a good server");
            if let Poll::Ready(outcome) = server.handshake() {
                outcome?;
                let _ = server.flush();
                self.exchange().expect("a good server");
                return Ok(());
            }
        }
    }
}

/// A plain client that remembers what was stapled.
#[derive(Debug, Default)]
pub struct Staples(std::sync::Mutex<Vec<u8>>);

impl Staples {
    pub fn client(self: Arc<Self>) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("versions").dangerous();
        Arc::new(builder.with_custom_certificate_verifier(self).with_no_client_auth())
    }

    pub fn last(&self) -> Vec<u8> {
        self.0.lock().expect("a lock").clone()
    }
}

impl rustls::client::danger::ServerCertVerifier for Staples {
    fn verify_server_cert(
        &self,
        _end_entity: &rustls::pki_types::CertificateDer<'_>,
        _intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("a lock") = ocsp_response.to_vec();
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}
