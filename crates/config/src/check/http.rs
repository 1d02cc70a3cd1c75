//! Listeners for HTTP.

use super::streams::belongs_to_streams;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Hsts, HttpProtocol, Listener, RedirectHttps};
use crate::setting::Toggle;
use crate::source::Located;
use crate::units::Duration;

pub(super) fn check(listener: &Located<Listener>, found: &mut Diagnostics) {
    belongs_to_streams(listener, found);
    protocols(listener, found);
    let encrypted = listener.ends_tls();
    if let Some(redirect) = &listener.redirect_https
        && redirect.value != RedirectHttps::Off
        && encrypted
    {
        let message = "this listener is https already, so there is nothing to redirect";
        let finding = Diagnostic::error(redirect.origin, message);
        found.push(finding.mend("write `redirect_https` on the plain listener"));
    }
    if let Some(hsts) = &listener.hsts
        && let Toggle::On(settings) = &hsts.value
    {
        if !encrypted {
            // RFC 6797 section 7.2.
            let finding = Diagnostic::error(hsts.origin, "`hsts` is not told over plain connections");
            found.push(finding.mend("write it on the listener with `tls`"));
        }
        preload(settings, found);
    }
    if !listener.proxy_protocol.is_empty() && listener.protocols.is_some() && listener.versions().h3 {
        let origin = listener.proxy_protocol.first().map_or(listener.origin, |range| range.origin);
        let message =
            "no PROXY header comes before the packets of HTTP/3, so clients would be taken for the proxy";
        found.push(Diagnostic::error(origin, message).mend("leave `h3` out of the `protocols`"));
    }
}

fn protocols(listener: &Listener, found: &mut Diagnostics) {
    let Some(protocols) = &listener.protocols else { return };
    for (at, protocol) in protocols.iter().enumerate() {
        if let Some(first) = protocols.iter().take(at).find(|first| first.value == protocol.value) {
            let message = format!("`{}` is listed twice", protocol.value.word());
            found.push(Diagnostic::error(protocol.origin, message).note(first.origin, "first here"));
        }
        if protocol.value == HttpProtocol::H3 && !listener.ends_tls() {
            let finding = Diagnostic::error(
                protocol.origin,
                "HTTP/3 is always encrypted, and this listener has no `tls`",
            );
            found.push(finding.mend("add `tls: { certificates: […] }`, or leave `h3` out"));
        }
    }
}

/// What the lists of browsers ask for (hstspreload.org).
fn preload(hsts: &Hsts, found: &mut Diagnostics) {
    let year = Duration::seconds(365 * 86_400);
    if hsts.preload.value && (!hsts.include_subdomains || hsts.max_age < year) {
        let message =
            "browsers preload only names whose `max_age` is a year at least and that hold for subdomains";
        let finding = Diagnostic::warning(hsts.preload.origin, message);
        found.push(finding.mend("write `{ max_age: 365d, include_subdomains: true, preload: true }`"));
    }
}
