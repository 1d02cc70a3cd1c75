//! Methods of authentication.

use super::{oidc, tokens};
use crate::check::edits::{Whose, refuse_repeated, refuse_reserved};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{AuthMethod, BasicAuth, Document};
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, HeaderName, HttpUrl};

pub(super) fn check(document: &Document, method: &Located<AuthMethod>, found: &mut Diagnostics) {
    match &method.value {
        AuthMethod::ApiKey(keys) => {
            if keys.header.is_none() && keys.query.is_none() && keys.cookie.is_none() {
                let finding = Diagnostic::error(method.origin, "nothing says where the key is");
                found.push(finding.mend("write `header: X-API-Key`, or `query` or `cookie`"));
            }
        }
        AuthMethod::Basic(basic) => realm(basic, found),
        AuthMethod::Jwt(jwt) => tokens::jwt(jwt, method.origin, found),
        AuthMethod::Introspection(asked) => {
            plain_http(&asked.url, "tokens and the client's secret", found);
            handed_on(&asked.claims_to_headers, found);
        }
        AuthMethod::Oidc(login) => oidc::check(login, method.origin, found),
        AuthMethod::Signature(signature) => {
            if signature.covered.is_empty() {
                let finding = Diagnostic::error(method.origin, "signatures would have to cover nothing");
                found.push(finding.mend("leave `covered` out, or write `[\"@method\", \"@target-uri\"]`"));
            }
        }
        AuthMethod::Certificate(_) => {
            let asked = |listener: &Located<crate::model::Listener>| {
                listener.tls.as_ref().is_some_and(|tls| tls.client_certificates.is_some())
            };
            if !document.listen.iter().any(asked) && !found.has_errors() {
                let message = "no listener asks clients for certificates";
                let finding = Diagnostic::warning(method.origin, message);
                found.push(finding.mend("add `client_certificates: { ca: FILE }` to `tls` of a listener"));
            }
        }
        AuthMethod::Forward(forward) => {
            plain_http(&forward.url, "credentials of callers", found);
            answered(&forward.response_headers, found);
            for name in forward.request_headers.iter() {
                refuse_reserved(name, Whose::Export, found);
            }
            refuse_repeated(forward.request_headers.iter(), found);
        }
        AuthMethod::ExtAuthz(asked) => {
            plain_http(&asked.url, "credentials of callers", found);
            answered(&asked.response_headers, found);
        }
    }
}

fn realm(basic: &BasicAuth, found: &mut Diagnostics) {
    if basic.realm.as_str().contains(['"', '\\']) || !basic.realm.as_str().is_ascii() {
        let message = "a realm is ASCII without `\"` and `\\`";
        found.push(Diagnostic::error(basic.realm.origin, message));
    }
}

/// Warns of what others could read on the way.
pub(super) fn plain_http(url: &Located<HttpUrl>, what: &str, found: &mut Diagnostics) {
    if url.is_open_to_others() {
        let message = format!("{what} go to `{}` in clear, and its answers can be forged", url.host());
        found.push(Diagnostic::warning(url.origin, message).mend("write `https://`"));
    }
}

/// Headers that say who the caller is.
pub(super) fn handed_on(headers: &Table<HeaderName, ClaimPath>, found: &mut Diagnostics) {
    for (name, _) in headers.iter() {
        refuse_reserved(name, Whose::Identity, found);
    }
    refuse_repeated(headers.iter().map(|(name, _)| name), found);
}

fn answered(headers: &[Located<HeaderName>], found: &mut Diagnostics) {
    for name in headers {
        refuse_reserved(name, Whose::Identity, found);
    }
    refuse_repeated(headers.iter(), found);
}
