//! The client side of TLS: one version, one cipher suite and one key exchange group, so that all programs
//! under test do the same work.

use crate::identity;
use anyhow::{Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    NamedGroup, SignatureScheme,
};
use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Tickets kept at most: several for each of the connections that are open at once.
const MOST_TICKETS: usize = 4_096;

/// What a client does with tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tickets {
    /// It takes none: each handshake is a full one.
    Refused,
    /// It uses each one once, the oldest first.
    Used,
}

/// A client's configuration: TLS 1.3, AES-128-GCM, X25519, and only the certificate in `certificate` counts.
pub(crate) fn client(certificate: &Path, tickets: Tickets, alpn: &[&str]) -> Result<Arc<ClientConfig>> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let verifier = Pinned {
        certificate: identity::read(certificate)?,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = match tickets {
        Tickets::Refused => Resumption::disabled(),
        Tickets::Used => Resumption::store(Arc::new(Store::default())),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// A new connection's state.
pub(crate) fn session(config: &Arc<ClientConfig>) -> Result<ClientConnection> {
    Ok(ClientConnection::new(Arc::clone(config), ServerName::try_from(identity::NAME)?)?)
}

/// How a handshake went. It is an error when something else was negotiated than what this client asked for.
pub(crate) fn handshake(session: &ClientConnection) -> Result<HandshakeKind> {
    let group = session.negotiated_key_exchange_group().map(|group| group.name());
    if group != Some(NamedGroup::X25519) {
        bail!("the key exchange was {group:?}");
    }
    match session.handshake_kind() {
        Some(kind) => Ok(kind),
        None => bail!("the handshake is not complete"),
    }
}

/// Takes exactly one certificate. The signature over the handshake is checked as usual.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// All tickets of all connections, oldest first. There is one server only.
#[derive(Default)]
struct Store(Mutex<VecDeque<Tls13ClientSessionValue>>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl ClientSessionStore for Store {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        Some(NamedGroup::X25519)
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() == MOST_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::{Tickets, client};
    use crate::identity::Identity;
    use crate::load::{Outcome, Settings, run};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    /// Answers with 128 bytes each time, and closes where it is asked to.
    fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
        let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        let mut seen = Vec::new();
        let mut buffer = [0; 4_096];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            seen.extend_from_slice(&buffer[..count]);
            if seen.ends_with(b"\r\n\r\n") {
                let closes = String::from_utf8_lossy(&seen).contains("Connection: close");
                seen.clear();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n{}", "x".repeat(128))?;
                stream.flush()?;
                if closes {
                    stream.conn.send_close_notify();
                    return stream.flush();
                }
            }
        }
    }

    fn serve(identity: &Identity) -> std::net::SocketAddr {
        let certificate = crate::identity::read(&identity.certificate()).expect("is one");
        let key = PrivateKeyDer::from_pem_file(identity.key()).expect("is one");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
        let mut config = config.expect("fits");
        config.ticketer = aws_lc_rs::Ticketer::new().expect("has randomness");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("has one");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                // The load counts what goes wrong.
                thread::spawn(move || answer(stream, config));
            }
        });
        address
    }

    fn load(
        target: std::net::SocketAddr,
        certificate: &Path,
        tickets: Tickets,
        connection_per_request: bool,
    ) -> Outcome {
        let outcome = run(&Settings {
            target,
            tls: Some(client(certificate, tickets, &["http/1.1"]).expect("fits")),
            path: "/128".to_owned(),
            routes: 1,
            body: 128,
            connections: 4,
            connection_per_request,
            warm_up: Duration::ZERO,
            window: Duration::from_secs(60),
            enough: Some(40),
            patience: Duration::from_secs(30),
            account: None,
            identity: crate::load::Identification::default(),
            over_time: crate::load::OverTime::default(),
        });
        outcome.expect("runs")
    }

    #[test]
    fn handshakes_are_counted_as_they_were() {
        let directory = tempfile::tempdir().expect("a folder");
        let identity = Identity::make(directory.path()).expect("is made");
        let target = serve(&identity);
        for (tickets, churns, full, resumed) in
            [(Tickets::Refused, false, 4, 0), (Tickets::Refused, true, 40, 0), (Tickets::Used, true, 4, 36)]
        {
            let outcome = load(target, &identity.certificate(), tickets, churns);
            assert_eq!(outcome.errors.total(), 0, "{outcome}");
            assert!(outcome.requests >= 40, "{outcome}");
            assert!(outcome.handshakes.full >= full, "{tickets:?}: {outcome}");
            assert!(outcome.handshakes.resumed >= resumed, "{tickets:?}: {outcome}");
            assert!(tickets == Tickets::Used || outcome.handshakes.resumed == 0, "{outcome}");
            assert!(tickets == Tickets::Refused || outcome.handshakes.full <= 4, "{outcome}");
        }
    }

    #[test]
    fn another_certificate_is_refused() {
        let folders = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
        let [one, other] =
            [&folders[0], &folders[1]].map(|folder| Identity::make(folder.path()).expect("is made"));
        let outcome = load(serve(&one), &other.certificate(), Tickets::Refused, true);
        assert!(outcome.requests == 0 && outcome.errors.total() > 0, "{outcome}");
    }
}
