//! Login of browsers.

use super::methods::{handed_on, plain_http};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{OidcAuth, SameSite, SessionCookie};
use crate::source::Origin;
use crate::units::HttpUrl;

/// Bytes of a secret of cookies, at least: an AES-256 key is made of it.
const SECRET_MIN: usize = 32;

pub(super) fn check(login: &OidcAuth, origin: Origin, found: &mut Diagnostics) {
    plain_http(&login.issuer, "codes and the client's secret", found);
    if !login.scopes.iter().any(|scope| scope.as_str() == "openid") {
        // OpenID Connect Core section 3.1.2.1.
        let place = login.scopes.first().map_or(origin, |scope| scope.origin);
        let finding = Diagnostic::error(place, "without the scope `openid` there is no identity");
        found.push(finding.mend("add `openid`"));
    }
    if login.callback == login.logout {
        let message = format!("`callback` and `logout` are the same path, `{}`", login.callback);
        found.push(Diagnostic::error(origin, message));
    }
    let after = login.after_logout.as_str();
    let on_site = after.starts_with('/') && !after.starts_with("//") && !after.contains('\\');
    if !on_site && after.parse::<HttpUrl>().is_err() {
        let message = format!("`{after}` is neither a path nor a URL");
        found.push(Diagnostic::error(login.after_logout.origin, message).mend("write `/`"));
    }
    cookie(&login.cookie, origin, found);
    handed_on(&login.claims_to_headers, found);
}

fn cookie(cookie: &SessionCookie, origin: Origin, found: &mut Diagnostics) {
    if cookie.secrets.is_empty() {
        let finding = Diagnostic::error(origin, "the cookie has no secret, so that anyone could make one");
        found.push(finding.mend("add one to `secrets`; `openssl rand -hex 32` makes it"));
    }
    for secret in cookie.secrets.iter().filter(|secret| secret.reveal().len() < SECRET_MIN) {
        let message = format!("a secret of cookies has at least {SECRET_MIN} bytes");
        let finding = Diagnostic::error(secret.origin, message);
        found.push(finding.mend("`openssl rand -hex 32` makes a good one"));
    }
    if cookie.same_site.value == SameSite::None && !cookie.secure.value {
        let message = "browsers refuse a cookie with `same_site: none` that is not `secure`";
        found.push(Diagnostic::error(cookie.same_site.origin, message));
    } else if !cookie.secure.value {
        let message = "the login goes over plain http, too, and can be stolen there";
        found.push(Diagnostic::warning(cookie.secure.origin, message).mend("remove `secure: false`"));
    }
}
