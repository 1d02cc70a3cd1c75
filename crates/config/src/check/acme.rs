//! Certificates by ACME, as far as listeners must go with it.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Challenge, Document, Listener, Place};
use crate::source::{Located, Origin};

pub(super) fn check(document: &Document, found: &mut Diagnostics) {
    let wanted = document.listen.iter().find(|listener| !listener.acme_names().is_empty());
    if let Some(wanted) = wanted
        && document.acme.as_ref().is_none_or(|acme| acme.challenge.is_none())
    {
        asked_elsewhere(document, wanted.origin, found);
    }
    let Some(acme) = &document.acme else { return };
    let wanted = wanted.is_some();
    // Names may be on a listener that was left out as wrong.
    if !wanted && !found.has_errors() {
        let finding = Diagnostic::warning(acme.origin, "no listener asks for a certificate by ACME");
        found.push(finding.mend(
            "write `listen: \"https://shop.example.com\"`, or `acme: [NAME]` below a listener's `tls`",
        ));
    }
    let http = |listener: &Located<Listener>| matches!(listener.place, Place::Http(_));
    if let Some(challenge) = &acme.challenge
        && challenge.value == Challenge::Http01
        && wanted
        && !document.listen.iter().any(|listener| http(listener) && !listener.ends_tls())
    {
        let message = "`http-01` is answered on a plain listener, and there is none";
        let finding = Diagnostic::error(challenge.origin, message);
        found.push(finding.mend("add `\":80\"` to `listen`, or write `tls-alpn-01`"));
    }
}

/// Authorities ask on port 80 without TLS, or on port 443 with it (RFC 8555 section 8.3, RFC 8737 section 3). These
/// may well lead to other ports here, so whoever says which challenge it is hears nothing.
fn asked_elsewhere(document: &Document, wanted: Origin, found: &mut Diagnostics) {
    let answers = |listener: &Located<Listener>| {
        let port = listener.place.address().port();
        match &listener.place {
            Place::Http(_) | Place::Tcp(_) if listener.ends_tls() => port == 443,
            Place::Http(_) => port == 80,
            Place::Tcp(_) | Place::Udp(_) => false,
        }
    };
    if document.listen.iter().any(answers) {
        return;
    }
    let message =
        "ACME asks on port 80, or on port 443 with TLS, whether a name is ours, and no listener is there";
    found.push(Diagnostic::warning(wanted, message).mend(
        "add `\":80\"` to `listen`; or, if one of these ports leads to a listener here, say which: `acme: { challenge: tls-alpn-01 }` for 443, `http-01` for 80",
    ));
}
