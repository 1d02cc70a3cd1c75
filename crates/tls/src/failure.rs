//! Why there is no TLS connection, as a reason of the catalogue.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};
use tollgate_decision::Reason;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFailure {
    /// The reason for the record.
    pub reason: Reason,
    /// What happened, in words.
    pub detail: &'static str,
    /// What is known beyond that: an alert's name, what is incompatible. It never holds what a peer wrote.
    pub text: Option<Box<str>>,
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.detail),
            None => f.write_str(self.detail),
        }
    }
}

impl std::error::Error for HandshakeFailure {}

impl HandshakeFailure {
    fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail, text: None }
    }

    fn with(reason: Reason, detail: &'static str, text: impl Into<Box<str>>) -> Self {
        Self { reason, detail, text: Some(text.into()) }
    }
}

/// What a session's error says about TLS, in words; nothing where the error is not one of TLS.
pub fn describe_error(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::AlertReceived(alert) => format!("the peer refused: {}", alert_name(*alert)),
        error => error.to_string(),
    })
}

/// What a session's error says about a peer that refused the connection by an alert of the handshake, which may come
/// after its end: in TLS 1.3 a server looks at its client's certificate when the client has finished.
pub fn refusal(error: &io::Error) -> Option<&'static str> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => refused(*alert),
        _ => None,
    }
}

/// A peer's refusal, for the alerts that tell of one (RFC 8446 section 6.2).
fn refused(alert: AlertDescription) -> Option<&'static str> {
    use AlertDescription as A;
    Some(match alert {
        A::HandshakeFailure => "the peer refused: handshake_failure",
        A::BadCertificate => "the peer refused: bad_certificate",
        A::UnsupportedCertificate => "the peer refused: unsupported_certificate",
        A::CertificateRevoked => "the peer refused: certificate_revoked",
        A::CertificateExpired => "the peer refused: certificate_expired",
        A::CertificateUnknown => "the peer refused: certificate_unknown",
        A::UnknownCA => "the peer refused: unknown_ca",
        A::AccessDenied => "the peer refused: access_denied",
        A::ProtocolVersion => "the peer refused: protocol_version",
        A::InsufficientSecurity => "the peer refused: insufficient_security",
        A::UnrecognisedName => "the peer refused: unrecognized_name",
        A::CertificateRequired => "the peer refused: certificate_required",
        _ => return None,
    })
}

pub(crate) fn not_tls() -> HandshakeFailure {
    HandshakeFailure::new(Reason::NotTls, "what the client sent first is not a TLS handshake")
}

pub(crate) fn client_went(began: bool) -> HandshakeFailure {
    let detail = match began {
        true => "the client went away in the middle of the handshake",
        false => "the client went away before it sent anything",
    };
    HandshakeFailure::new(Reason::TlsHandshakeFailed, detail)
}

pub(crate) fn client_lost(text: String) -> HandshakeFailure {
    HandshakeFailure::with(Reason::TlsHandshakeFailed, "the connection was lost in the handshake", text)
}

pub(crate) fn too_long() -> HandshakeFailure {
    HandshakeFailure::new(Reason::TlsHandshakeFailed, "the client's handshake message is too long")
}

pub(crate) fn failed_before() -> HandshakeFailure {
    HandshakeFailure::new(Reason::TlsHandshakeFailed, "the handshake has failed before")
}

/// rustls would not begin.
pub(crate) fn own(error: &Error) -> HandshakeFailure {
    HandshakeFailure::with(Reason::TlsHandshakeFailed, "the handshake could not be begun", error.to_string())
}

pub(crate) fn endpoint_went() -> HandshakeFailure {
    HandshakeFailure::new(Reason::UpstreamTlsFailed, "the endpoint closed in the middle of the handshake")
}

pub(crate) fn endpoint_lost(text: String) -> HandshakeFailure {
    HandshakeFailure::with(Reason::UpstreamTlsFailed, "the connection was lost in the handshake", text)
}

pub(crate) fn too_long_upstream() -> HandshakeFailure {
    HandshakeFailure::new(Reason::UpstreamTlsFailed, "the endpoint's handshake message is too long")
}

pub(crate) fn bad_endpoint_name(name: &str) -> HandshakeFailure {
    let detail = "the name to verify is neither a DNS name nor an IP address";
    HandshakeFailure::with(Reason::UpstreamTlsFailed, detail, name)
}

/// rustls would not begin.
pub(crate) fn own_upstream(error: &Error) -> HandshakeFailure {
    HandshakeFailure::with(Reason::UpstreamTlsFailed, "the handshake could not be begun", error.to_string())
}

pub(crate) fn protocol_not_agreed() -> HandshakeFailure {
    HandshakeFailure::new(
        Reason::UpstreamAlpnMismatch,
        "the endpoint did not agree to the upstream's protocol",
    )
}

/// A handshake with a client failed. `covered` tells whether there is a certificate for the name.
pub(crate) fn of_client(error: &Error, covered: bool) -> HandshakeFailure {
    use Reason::{AlpnMismatch, ClientCertificateMissing, ClientCertificateRefused, NoCertificate};
    match error {
        Error::NoCertificatesPresented => {
            HandshakeFailure::new(ClientCertificateMissing, "the client showed no certificate")
        }
        Error::InvalidCertificate(error) => certificate(ClientCertificateRefused, error),
        Error::NoApplicationProtocol => {
            HandshakeFailure::new(AlpnMismatch, "the client offered no protocol that is spoken here")
        }
        // What rustls says where no certificate was chosen.
        Error::General(_) if !covered => {
            HandshakeFailure::new(NoCertificate, "there is no certificate for the name")
        }
        Error::General(_) => HandshakeFailure::new(
            Reason::TlsHandshakeFailed,
            "the client supports no signature of the certificates for the name",
        ),
        error => other(Reason::TlsHandshakeFailed, error),
    }
}

/// A handshake with an endpoint failed.
pub(crate) fn of_endpoint(error: &Error) -> HandshakeFailure {
    match error {
        Error::InvalidCertificate(error) => certificate(Reason::UpstreamCertificateRefused, error),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => protocol_not_agreed(),
        error => other(Reason::UpstreamTlsFailed, error),
    }
}

fn other(reason: Reason, error: &Error) -> HandshakeFailure {
    match error {
        Error::AlertReceived(alert) => match refused(*alert) {
            Some(detail) => HandshakeFailure::new(reason, detail),
            None => HandshakeFailure::with(reason, "the peer refused", alert_name(*alert)),
        },
        Error::PeerIncompatible(what) => HandshakeFailure::with(
            reason,
            "no common TLS version, cipher suite or group",
            format!("{what:?}"),
        ),
        Error::PeerMisbehaved(what) => {
            HandshakeFailure::with(reason, "the peer broke the rules of TLS", format!("{what:?}"))
        }
        Error::InvalidMessage(what) => {
            HandshakeFailure::with(reason, "a message of the peer is malformed", format!("{what:?}"))
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            HandshakeFailure::new(reason, "the peer sent a message that does not belong there")
        }
        Error::DecryptError => HandshakeFailure::new(reason, "a message of the peer cannot be decrypted"),
        Error::PeerSentOversizedRecord => HandshakeFailure::new(reason, "a record of the peer is too long"),
        error => HandshakeFailure::with(reason, "the handshake failed", error.to_string()),
    }
}

/// What is wrong with a certificate.
fn certificate(reason: Reason, error: &CertificateError) -> HandshakeFailure {
    use CertificateError as C;
    let detail = match error {
        C::Expired | C::ExpiredContext { .. } => "the certificate has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => "the certificate is not valid yet",
        C::Revoked => "the certificate is revoked",
        C::UnknownIssuer => "the certificate's issuer is not known",
        C::BadSignature => "a signature of the certificate is wrong",
        C::NotValidForName | C::NotValidForNameContext { .. } => "the certificate is not for this name",
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "the certificate is not for this purpose",
        C::BadEncoding => "the certificate is malformed",
        error => return HandshakeFailure::with(reason, "the certificate is refused", error.to_string()),
    };
    HandshakeFailure::new(reason, detail)
}

/// An alert's name as it stands in RFC 8446.
fn alert_name(alert: AlertDescription) -> String {
    let name = alert.as_str().unwrap_or("an alert that is not known");
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A session that is over was used again.
pub(crate) fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the TLS session is over")
}
