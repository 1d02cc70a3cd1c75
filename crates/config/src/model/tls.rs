//! TLS, on listeners and towards upstreams, and what goes with it.

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::section::{section, words};
use crate::setting::{Decoder, Many, Setting, Whole};
use crate::shape::Shape;
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{DirectoryUrl, Duration, Email, FilePath, HostPattern};

section! {
    /// How a listener encrypts.
    pub struct ListenerTls {
        /// Certificates with their keys. A client gets one for the name that it asks for; the first one is for
        /// clients that ask for none. Changed files are taken without a reload.
        certificates: Many<Located<CertificateFiles>> = default(Many::none());
        /// Names to get certificates for by ACME, see `acme` of the document.
        acme: Many<Located<HostPattern>> = default(Many::none());
        /// The oldest version of TLS; 1.2 if left out, with the profile `modern` 1.3.
        min_version: Option<Located<TlsVersion>> = optional;
        /// Which ciphers and key exchanges.
        profile: TlsProfile = default(TlsProfile::Intermediate);
        /// Asks clients for certificates. They are not asked if left out.
        client_certificates: Option<Located<ClientCertificates>> = optional;
        /// What a client gets that asks for a name which no certificate is for.
        unknown_names: UnknownNames = default(UnknownNames::Default);
        /// Whether clients get tickets to come back with, which saves most of a handshake.
        tickets ("session_tickets"): bool = default(true);
        /// Whether requests may come with the first packet of a client that comes back with a ticket. Whoever can record such a packet
        /// can send it again, so only safe requests are answered early.
        early_data: Located<bool> = default(Located::nowhere(false));
        /// Whether to fetch and staple OCSP answers where a certificate names a responder.
        ocsp: bool = default(true);
        /// How long a client may take for the handshake.
        handshake_timeout: Duration<1> = default(Duration::seconds(10));
    }
}

section! {
    /// A certificate, PEM.
    pub struct CertificateFiles {
        /// The file of the certificate and the chain behind it, relative to the document that names it.
        cert: Located<FilePath> = required;
        /// The file of its private key.
        key: Located<FilePath> = required;
        /// A file with an OCSP answer to staple, DER, kept fresh by somebody else.
        ocsp: Option<Located<FilePath>> = optional;
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2.
        V12 = "1.2";
        /// TLS 1.3.
        V13 = "1.3";
    }
}

words! {
    /// Ciphers and key exchanges.
    pub enum TlsProfile {
        /// TLS 1.2 with forward secrecy and authenticated encryption, and all of 1.3.
        Intermediate = "intermediate";
        /// TLS 1.3 only, key exchange with X25519 (also with ML-KEM) or P-256.
        Modern = "modern";
    }
}

words! {
    /// What a client gets that asks for a name which no certificate is for.
    pub enum UnknownNames {
        /// The first certificate.
        Default = "default";
        /// The handshake is refused.
        Refuse = "refuse";
    }
}

section! {
    /// Certificates of clients.
    pub struct ClientCertificates {
        /// The authorities that may have issued them, PEM.
        ca: Located<FilePath> = required;
        /// Whether a client must have one.
        mode: ClientCertificateMode = default(ClientCertificateMode::Required);
    }
}

words! {
    /// Whether a client must have a certificate.
    pub enum ClientCertificateMode {
        /// Without a right one the handshake is refused.
        Required = "required";
        /// None is right, too; a wrong one is refused.
        Optional = "optional";
    }
}

words! {
    /// A version of HTTP on the client's side.
    pub enum HttpProtocol {
        /// HTTP/1.0 and HTTP/1.1.
        H1 = "h1";
        /// HTTP/2: over TLS by ALPN, else by prior knowledge.
        H2 = "h2";
        /// HTTP/3, on the UDP port of the same number. Needs TLS.
        H3 = "h3";
    }
}

/// Where plain requests are sent to https.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectHttps {
    /// Nowhere; they are routed.
    Off,
    /// To this port.
    To(u16),
}

impl Setting for RedirectHttps {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "true" => Some(Self::To(443)),
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "false" => Some(Self::Off),
            Value::Scalar(scalar) if scalar.text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Whole::<1, 65_535>::decode(node, decoder)
                    .and_then(|port| u16::try_from(port.get()).ok())
                    .map(Self::To)
            }
            Value::Scalar(_) => {
                let finding = Diagnostic::error(node.origin, "this is neither `true`, `false` nor a port");
                decoder
                    .report(finding.mend("write `true` for the port 443, or the port of the https listener"));
                None
            }
            _ => {
                decoder.expected(node, "`true`, `false` or a port");
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Boolean, Shape::Integer { minimum: 1, maximum: 65_535 }])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Off => false.into(),
            Self::To(443) => true.into(),
            Self::To(port) => (*port).into(),
        }
    }
}

section! {
    /// `Strict-Transport-Security` (RFC 6797) in responses over TLS.
    pub struct Hsts short "max_age" {
        /// How long browsers are to remember it.
        max_age: Duration = default(Duration::seconds(365 * 86_400));
        /// Whether it holds for all names below as well.
        include_subdomains: bool = default(false);
        /// Whether browsers may take the name into the list that they are delivered with.
        preload: Located<bool> = default(Located::nowhere(false));
    }
}

section! {
    /// How connections to the endpoints are encrypted. They are verified.
    pub struct UpstreamTls {
        /// The authorities that may have issued the endpoints' certificates, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
        /// The name to ask for and that the certificate must have; the endpoint's host if left out.
        name: Option<Located<HostPattern>> = optional;
        /// Tollgate's own certificate with the chain behind it, PEM, for endpoints that ask for one.
        client_cert: Option<Located<FilePath>> = optional;
        /// Its private key.
        client_key: Option<Located<FilePath>> = optional;
        /// Takes any certificate, so that whoever is in between can read and change everything.
        insecure_accept_any_certificate: Located<bool> = default(Located::nowhere(false));
    }
}

section! {
    /// How certificates are got and renewed by ACME (RFC 8555), for the names under `acme` of listeners and after
    /// `https://`. All defaults if left out; with them, the terms of Let's Encrypt are agreed to.
    pub struct Acme {
        /// Whom the authority may write to.
        email: Option<Email> = optional;
        /// The directory of the ACME server.
        directory: DirectoryUrl = default(DirectoryUrl::usual());
        /// The authorities that may have issued the certificate of the ACME server itself, PEM; those of the system if
        /// left out.
        ca: Option<Located<FilePath>> = optional;
        /// The folder that holds the account and the certificates. Only Tollgate's own user can read it.
        storage: Located<FilePath> = default(Located::nowhere(FilePath::of("/var/lib/tollgate/acme")));
        /// How Tollgate proves that a name is its own. If left out, `http-01` where a plain listener has the port 80,
        /// else `tls-alpn-01`.
        challenge: Option<Located<Challenge>> = optional;
    }
}

words! {
    /// How Tollgate proves that a name is its own.
    pub enum Challenge {
        /// By an answer on the plain listeners; the authority asks on the port 80.
        Http01 = "http-01";
        /// By a handshake on the TLS listeners; the authority asks on the port 443.
        TlsAlpn01 = "tls-alpn-01";
    }
    later ["dns-01"]
}

impl Hsts {
    /// All defaults.
    pub(crate) fn standard() -> Self {
        Self {
            max_age: Duration::seconds(365 * 86_400),
            include_subdomains: false,
            preload: Located::nowhere(false),
        }
    }
}

impl UpstreamTls {
    /// All defaults.
    pub fn standard() -> Self {
        Self {
            ca: None,
            name: None,
            client_cert: None,
            client_key: None,
            insecure_accept_any_certificate: Located::nowhere(false),
        }
    }
}

impl Acme {
    /// What the document means where it says nothing.
    pub fn standard() -> Self {
        Self {
            email: None,
            directory: DirectoryUrl::usual(),
            ca: None,
            storage: Located::nowhere(FilePath::of("/var/lib/tollgate/acme")),
            challenge: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Acme, UpstreamTls};
    use crate::diagnostic::Diagnostics;
    use crate::setting::{Decoder, Setting};
    use crate::source::{MemoryFiles, Sources};
    use crate::tree::Node;

    #[test]
    fn standards_are_what_empty_sections_give() {
        let (diagnostics, sources) = (&mut Diagnostics::default(), &mut Sources::default());
        let mut decoder = Decoder { diagnostics, sources, files: &MemoryFiles::default() };
        assert_eq!(Acme::decode(&Node::EMPTY, &mut decoder), Some(Acme::standard()));
        assert_eq!(UpstreamTls::decode(&Node::EMPTY, &mut decoder), Some(UpstreamTls::standard()));
    }
}
