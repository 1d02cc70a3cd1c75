//! Certificates by ACME, as far as listeners must go with it.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Challenge, Document, Listener, Place};
use crate::source::Located;

pub(super) fn check(document: &Document, found: &mut Diagnostics) {
    let Some(acme) = &document.acme else { return };
    let wanted = document.listen.iter().any(|listener| !listener.acme_names().is_empty());
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
