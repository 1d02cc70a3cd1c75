//! Sessions: what browsers would refuse, and keys that are none.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Action, Document, Route, SameSite, SecureCookie, SessionCarrier, Sticky, StickyCookie};

/// Bytes of a key of sessions, at least.
const KEY_MIN: usize = 32;
/// Keys, at most: each costs time with every foreign token.
const KEYS_MAX: usize = 8;

/// Checks what keeps the sessions of an upstream or a route.
pub(super) fn check(sticky: &Sticky, found: &mut Diagnostics) {
    for key in sticky.keys.iter().filter(|key| key.reveal().len() < KEY_MIN) {
        let finding =
            Diagnostic::error(key.origin, format!("a key of sessions has at least {KEY_MIN} bytes"));
        found.push(finding.mend("`openssl rand -hex 32` makes a good one"));
    }
    if let Some(key) = sticky.keys.get(KEYS_MAX) {
        found.push(Diagnostic::error(key.origin, format!("there are at most {KEYS_MAX} keys of sessions")));
    }
    match &sticky.carrier {
        SessionCarrier::Cookie(of) => cookie(of, found),
        SessionCarrier::Header(name) => {
            const TAKEN: [&str; 8] = [
                "cookie",
                "set-cookie",
                "host",
                "connection",
                "content-length",
                "content-type",
                "transfer-encoding",
                "authorization",
            ];
            if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name.value.as_ref())) {
                let message = format!("the header `{}` has a meaning of its own", name.value);
                found.push(Diagnostic::error(name.origin, message).mend("write `header: X-Session`"));
            }
        }
    }
}

/// Warns where a split would end the sessions of one upstream by those of another: a client keeps one token of a name.
pub(super) fn split(document: &Document, route: &Route, found: &mut Diagnostics) {
    let Action::Split(split) = &route.action else { return };
    let own = route.forwarding.sticky.as_ref().map(|sticky| sticky.on());
    let of = |name: &str| match own {
        Some(own) => own,
        None => document.upstreams.get(name).and_then(|upstream| upstream.shares.sticky.as_deref()),
    };
    let mut seen = HashMap::new();
    for (name, share) in split.iter().filter(|(_, share)| share.weight.get() > 0) {
        let upstream = share.upstream.as_ref().map_or(name.as_str(), |upstream| upstream.value.as_str());
        let Some(sticky) = of(upstream) else { continue };
        let carried = match &sticky.carrier {
            SessionCarrier::Cookie(cookie) => format!("cookie `{}`", cookie.name.value),
            SessionCarrier::Header(header) => format!("header `{}`", header.value),
        };
        if let Some(first) = seen.insert(carried.clone(), name.as_str()) {
            let message = format!(
                "the sessions of `{first}` and `{}` have the same {carried}, so each ends those of the other",
                name.as_str()
            );
            let finding = Diagnostic::warning(name.origin, message);
            found.push(finding.mend("give the `sticky` of each upstream a name of its own"));
        }
    }
}

fn cookie(cookie: &StickyCookie, found: &mut Diagnostics) {
    if cookie.path.as_str().contains(';') {
        found.push(Diagnostic::error(cookie.path.origin, "the path of a cookie has no `;`"));
    }
    if let Some(domain) = &cookie.domain {
        let is_label = |label: &str| {
            let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            plain && !label.is_empty() && label.len() <= 63
        };
        if domain.value.len() > 253 || !domain.value.split('.').all(is_label) {
            let message = format!("`{}` is not the name of a domain", domain.value);
            found.push(Diagnostic::error(domain.origin, message).mend("write it as `example.com`"));
        }
    }
    if cookie.same_site.value == SameSite::None && cookie.secure.value == SecureCookie::Set(false) {
        let message = "browsers refuse a cookie with `same_site: none` that is not `secure`";
        found.push(Diagnostic::error(cookie.same_site.origin, message));
    }
    // RFC 6265bis section 4.1.3.
    let begins = |prefix: &str| {
        cookie.name.as_str().get(..prefix.len()).is_some_and(|b| b.eq_ignore_ascii_case(prefix))
    };
    let (is_host, is_secure) = (begins("__Host-"), begins("__Secure-"));
    if (is_host || is_secure) && cookie.secure.value != SecureCookie::Set(true) {
        let message = format!("browsers refuse the cookie `{}` that is not `secure`", cookie.name.value);
        found.push(Diagnostic::error(cookie.name.origin, message).mend("write `secure: true`"));
    }
    if is_host && (cookie.domain.is_some() || cookie.path.as_str() != "/") {
        let message =
            format!("browsers refuse `{}` with a `domain`, or a `path` other than `/`", cookie.name.value);
        found.push(Diagnostic::error(cookie.name.origin, message).mend("remove them"));
    }
}
