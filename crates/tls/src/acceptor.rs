//! What a listener needs to accept TLS connections.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::certificates::{Certificates, Problem};
use crate::hello::Alpn;
use crate::profile::{MinVersion, ONLY_13, Profile};
use crate::roots::Roots;
use crate::session::Session;
use crate::tickets::TicketKeys;

/// What a client offers to answer a tls-alpn-01 challenge (RFC 8737).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// How many tickets a client gets in TLS 1.3. More would serve clients that open several connections at once
/// right after their first; each costs every handshake.
const TICKETS: usize = 1;

/// Whether clients are asked for certificates.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// They are not.
    #[default]
    Off,
    /// They are, but need not have one. One that they show must be made by one of these authorities.
    Optional(Roots),
    /// They must have one made by one of these authorities.
    Required(Roots),
}

/// What a client gets that asks for a name for which there is no certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownNames {
    /// The default certificate.
    #[default]
    Default,
    /// No connection.
    Refuse,
}

/// A listener's TLS settings.
#[derive(Debug, Default)]
pub struct ServerSettings {
    /// The oldest version spoken.
    pub min_version: MinVersion,
    /// Ciphers and groups.
    pub profile: Profile,
    /// The application protocols spoken (ALPN), the best first. Clients that offer none of them are refused,
    /// those that offer nothing are not.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients are asked for certificates.
    pub client_certificates: ClientCertificates,
    /// What clients get that ask for an unknown name.
    pub unknown_names: UnknownNames,
    /// What session tickets are made with. None: sessions cannot be resumed.
    pub tickets: Option<Arc<TicketKeys>>,
}

/// What a listener needs to accept TLS connections: its settings, compiled, with its certificates. Shared by
/// all workers.
pub struct Acceptor {
    config: Arc<ServerConfig>,
    /// For clients that prefer ChaCha20.
    chacha: Arc<ServerConfig>,
    quic: Arc<ServerConfig>,
    settings: ServerSettings,
    certificates: Arc<Certificates>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, certificates, .. } = self;
        f.debug_struct("Acceptor")
            .field("settings", settings)
            .field("certificates", certificates)
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Compiles the settings.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub fn new(settings: ServerSettings, certificates: Arc<Certificates>) -> Result<Self, Problem> {
        let versions = settings.profile.versions(settings.min_version);
        let mut config = configure(&settings, versions, &certificates)?;
        config.alpn_protocols.clone_from(&settings.alpn);
        let chacha = Arc::new(config.clone());
        // The cheapest that both have. For those who put ChaCha20 first, their own order.
        config.ignore_client_order = true;
        let mut quic = configure(&settings, ONLY_13, &certificates)?;
        quic.alpn_protocols = vec![b"h3".to_vec()];
        Ok(Self { config: Arc::new(config), chacha, quic: Arc::new(quic), settings, certificates })
    }

    /// A session for a connection that was accepted. Nothing but the session itself is allocated before the
    /// client's first message is there.
    pub fn accept(self: &Arc<Self>) -> Session {
        Session::server(self.clone())
    }

    /// Whether the certificate that a connection was opened with (`sni`: what its client asked for) is also
    /// the one for this host, so that requests for the host belong on this connection. `host` is a DNS name
    /// or an IP address without brackets and port. A host that no certificate is for belongs anywhere.
    pub fn same_certificate(&self, sni: Option<&str>, host: &str) -> bool {
        self.certificates.are_same(sni, host)
    }

    /// The certificates.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// The settings.
    pub fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// What QUIC needs for HTTP/3 with the same settings: TLS 1.3 and `h3` only.
    pub fn rustls_config_for_quic(&self) -> Arc<ServerConfig> {
        self.quic.clone()
    }

    /// Whether there is a certificate for a client that asks for this name.
    pub(crate) fn serves(&self, name: Option<&str>) -> bool {
        self.certificates.serves(name, self.settings.unknown_names == UnknownNames::Default)
    }

    /// What a client is to be met with.
    pub(crate) fn config_for(
        &self,
        name: Option<&str>,
        alpn: &Alpn,
        prefers_chacha: bool,
    ) -> Arc<ServerConfig> {
        let mut offered = alpn.iter();
        // RFC 8737 section 3: the authority offers this protocol and no other.
        if let (Some(ACME_TLS), None, Some(name)) = (offered.next(), offered.next(), name)
            && let Some(key) = self.certificates.challenge(name)
            && let Ok(config) = answer_challenge(key)
        {
            return Arc::new(config);
        }
        if prefers_chacha { self.chacha.clone() } else { self.config.clone() }
    }
}

/// All but the application protocols.
fn configure(
    settings: &ServerSettings,
    versions: &[&'static rustls::SupportedProtocolVersion],
    certificates: &Arc<Certificates>,
) -> Result<ServerConfig, Problem> {
    let builder = ServerConfig::builder_with_provider(settings.profile.provider())
        .with_protocol_versions(versions)
        .map_err(|error| Problem::new(error.to_string()))?;
    let chooser = Chooser { certificates: certificates.clone(), unknown_names: settings.unknown_names };
    let builder = match client_verifier(settings)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(chooser));
    // What rustls would keep of sessions beside tickets is one list under one lock, for all workers.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(keys) = &settings.tickets {
        config.ticketer = keys.ticketer(policy(&settings.client_certificates));
        config.send_tls13_tickets = TICKETS;
    }
    Ok(config)
}

fn client_verifier(settings: &ServerSettings) -> Result<Option<Arc<dyn ClientCertVerifier>>, Problem> {
    let (roots, may_lack) = match &settings.client_certificates {
        ClientCertificates::Off => return Ok(None),
        ClientCertificates::Optional(roots) => (roots, true),
        ClientCertificates::Required(roots) => (roots, false),
    };
    let builder = WebPkiClientVerifier::builder_with_provider(roots.store(), settings.profile.provider());
    let builder = if may_lack { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| Problem::new(error.to_string()))
}

/// What a session must have been opened under to be resumed: the same rule for client certificates.
fn policy(client_certificates: &ClientCertificates) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    match client_certificates {
        ClientCertificates::Off => hash.update(b"off"),
        ClientCertificates::Optional(roots) => {
            hash.update(b"optional");
            hash.update(roots.digest());
        }
        ClientCertificates::Required(roots) => {
            hash.update(b"required");
            hash.update(roots.digest());
        }
    }
    let mut policy = [0; 32];
    policy.copy_from_slice(hash.finish().as_ref());
    policy
}

/// Settings for one handshake that shows an authority the answer to its challenge. Nobody is asked for a
/// certificate, since the authority has none.
fn answer_challenge(key: Arc<CertifiedKey>) -> Result<ServerConfig, rustls::Error> {
    let profile = Profile::Intermediate;
    let mut config = ServerConfig::builder_with_provider(profile.provider())
        .with_protocol_versions(profile.versions(MinVersion::Tls12))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Chooses the certificate by name and by the signatures that the client can check.
#[derive(Debug)]
struct Chooser {
    certificates: Arc<Certificates>,
    unknown_names: UnknownNames,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let or_default = self.unknown_names == UnknownNames::Default;
        self.certificates.choose(hello.server_name(), or_default, hello.signature_schemes())
    }
}
