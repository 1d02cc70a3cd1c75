//! What is told of TLS: the name that was asked for, and the setting that a handshake failed by.

use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_proxy::recorder::Entry;
use tollgate_proxy::snapshot::{Listener, Service};
use tollgate_tls::{Acceptor, ClientCertificates, MinVersion, Profile, ServerSettings, UnknownNames};

use super::setting::{capitalised, duration};

/// Whether a client's connection ended by its TLS handshake.
pub(super) fn is_handshake(entry: &Entry) -> bool {
    entry.head.is_none()
        && matches!(
            entry.reason(),
            Reason::TlsHandshakeFailed
                | Reason::TlsHandshakeTimeout
                | Reason::NotTls
                | Reason::NoCertificate
                | Reason::AlpnMismatch
                | Reason::ClientCertificateMissing
                | Reason::ClientCertificateRefused
        )
}

/// Where, and for which name, as part of the cause.
pub(super) fn asked_for(entry: &Entry) -> String {
    let listener = &entry.names.listener;
    let name = entry.names.server.as_deref().map(str::escape_debug);
    match (entry.reason(), name) {
        (Reason::Misdirected, Some(name)) => {
            format!(", on the listener {listener}: the connection was opened for `{name}`, the request")
        }
        (Reason::Misdirected, None) => {
            format!(", on the listener {listener}: the connection was opened for no name, the request")
        }
        (_, Some(name)) => format!(", on the listener {listener}: the client asked for `{name}`"),
        // It may not have come so far.
        (Reason::NotTls | Reason::TlsHandshakeTimeout | Reason::TlsHandshakeFailed, None) => {
            format!(", on the listener {listener}")
        }
        (_, None) => format!(", on the listener {listener}: the client asked for no name"),
    }
}

/// The setting that TLS failed by, or that sent a request to https.
pub(super) fn that_decided(snapshot: &Snapshot, entry: &Entry) -> Option<String> {
    match entry.reason() {
        Reason::UpstreamTlsFailed | Reason::UpstreamCertificateRefused | Reason::UpstreamAlpnMismatch => {
            of_upstream(entry)
        }
        Reason::HttpsRedirect => of_redirect(listener(snapshot, entry)?),
        _ if is_handshake(entry) => of_listener(listener(snapshot, entry)?, entry),
        _ => None,
    }
}

fn listener<'s>(snapshot: &'s Snapshot, entry: &Entry) -> Option<&'s Listener> {
    snapshot.listeners.iter().map(|listener| &**listener).find(|l| l.name == entry.names.listener)
}

fn of_redirect(listener: &Listener) -> Option<String> {
    let Service::Http(http) = &listener.service else { return None };
    let port = http.redirect_https?;
    Some(capitalised(format!("redirect_https of the listener {} sends to port {port}", listener.name)))
}

fn of_upstream(entry: &Entry) -> Option<String> {
    let upstream = entry.names.upstream.as_deref()?;
    let told = match entry.reason() {
        Reason::UpstreamCertificateRefused => format!(
            "tls.ca of the upstream {upstream} (else the system's roots) says whose certificates are accepted, \
             tls.name (else the endpoint's host) for which name"
        ),
        Reason::UpstreamAlpnMismatch => {
            return Some(format!(
                "The setting protocol of the upstream {upstream} needs the endpoint to agree"
            ));
        }
        // What endpoints refuse is a client's certificate, as a rule.
        _ if entry.record.detail.is_some_and(|detail| detail.starts_with("the peer refused")) => {
            format!("tls.client_cert of the upstream {upstream} is what endpoints are shown that ask for one")
        }
        _ => return None,
    };
    Some(capitalised(told))
}

fn of_listener(listener: &Listener, entry: &Entry) -> Option<String> {
    let (acceptor, limit_ms) = match &listener.service {
        Service::Http(http) => (http.tls.as_deref()?, http.handshake_ms),
        Service::Tcp(tcp) => (tcp.tls.as_deref()?, tcp.timeouts.prelude_ms),
        Service::Udp(_) => return None,
    };
    let (key, value) = of_handshake(acceptor, limit_ms, entry)?;
    Some(capitalised(format!("{key} of the listener {} {value}", listener.name)))
}

/// A key of the document, and what it says.
fn of_handshake(acceptor: &Acceptor, limit_ms: u64, entry: &Entry) -> Option<(&'static str, String)> {
    let settings = acceptor.settings();
    match entry.reason() {
        Reason::TlsHandshakeTimeout => Some(("tls.handshake_timeout", format!("is {}", duration(limit_ms)))),
        Reason::NotTls => Some(("tls.certificates", "makes its clients begin with a handshake".to_owned())),
        Reason::NoCertificate => Some(match settings.unknown_names {
            UnknownNames::Refuse => ("tls.unknown_names", "is refuse".to_owned()),
            UnknownNames::Default => ("tls.certificates", "has none yet".to_owned()),
        }),
        Reason::AlpnMismatch => Some(("listen.protocols", format!("allows {}", protocols(settings)))),
        Reason::ClientCertificateMissing => Some(("tls.client_certificates.mode", "is required".to_owned())),
        Reason::ClientCertificateRefused => {
            let mode = match settings.client_certificates {
                ClientCertificates::Required(_) => "required",
                ClientCertificates::Optional(_) => "optional",
                ClientCertificates::Off => "off",
            };
            let told = format!("says whose certificates are accepted, its mode is {mode}");
            Some(("tls.client_certificates.ca", told))
        }
        _ => {
            let is_about_versions =
                entry.record.detail.is_some_and(|detail| detail.starts_with("no common TLS version"));
            is_about_versions.then(|| ("tls.min_version", format!("is {}", versions(settings))))
        }
    }
}

fn versions(settings: &ServerSettings) -> &'static str {
    match (settings.min_version, settings.profile) {
        (_, Profile::Modern) => "1.3, as tls.profile is modern",
        (MinVersion::Tls13, Profile::Intermediate) => "1.3",
        (MinVersion::Tls12, Profile::Intermediate) => "1.2, and tls.profile is intermediate",
    }
}

fn protocols(settings: &ServerSettings) -> String {
    let names = settings.alpn.iter().map(|name| String::from_utf8_lossy(name));
    names.collect::<Vec<_>>().join(" and ")
}
