//! Why connections end.

use std::fmt;

use quinn::ConnectionError;
use tollgate_decision::Reason;

/// Why a connection ended, or never came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The reason of the catalogue.
    pub reason: Reason,
    /// What exactly happened, for people.
    pub detail: String,
}

impl Ended {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// What an error of QUIC means before the handshake is done.
    pub(crate) fn in_handshake(error: &ConnectionError) -> Self {
        let detail = error.to_string();
        let reason = match error {
            ConnectionError::TransportError(error) => tls_reason(u64::from(error.code), &error.reason),
            ConnectionError::TimedOut => Reason::TlsHandshakeTimeout,
            ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => Reason::ClientClosed,
            // What the client itself found wrong, such as a certificate that it does not trust.
            _ => Reason::TlsHandshakeFailed,
        };
        Self { reason, detail }
    }

    /// What an error of QUIC means afterwards.
    pub(crate) fn after_handshake(error: &ConnectionError) -> Self {
        const H3_NO_ERROR: u64 = 0x100;
        let detail = error.to_string();
        let reason = match error {
            ConnectionError::ApplicationClosed(close)
                if matches!(close.error_code.into_inner(), 0 | H3_NO_ERROR) =>
            {
                Reason::ConnectionEnded
            }
            ConnectionError::ApplicationClosed(_)
            | ConnectionError::ConnectionClosed(_)
            | ConnectionError::Reset => Reason::ClientClosed,
            ConnectionError::TimedOut => Reason::ConnectionIdle,
            ConnectionError::LocallyClosed => Reason::ConnectionEnded,
            _ => Reason::ProtocolViolation,
        };
        Self { reason, detail }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

impl std::error::Error for Ended {}

/// The reason of an error that Tollgate's side found. TLS alerts are codes from 0x100 on (RFC 9001 section 4.8).
fn tls_reason(code: u64, text: &str) -> Reason {
    const ALERTS: u64 = 0x100;
    let Some(alert) = code.checked_sub(ALERTS).and_then(|alert| u8::try_from(alert).ok()) else {
        return Reason::ProtocolViolation;
    };
    match alert {
        120 => Reason::AlpnMismatch,
        116 => Reason::ClientCertificateMissing,
        // bad, unsupported, revoked, expired, unknown, of an unknown authority.
        42..=46 | 48 => Reason::ClientCertificateRefused,
        112 => Reason::NoCertificate,
        // Other alerts than those, such as one about a signature.
        _ if text.contains("invalid peer certificate") => Reason::ClientCertificateRefused,
        // A resolver of certificates that has none; rustls has no kind of its own for it.
        _ if text.contains("no server certificate") => Reason::NoCertificate,
        _ => Reason::TlsHandshakeFailed,
    }
}
