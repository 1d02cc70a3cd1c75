//! TLS of listeners and upstreams.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Listener, ListenerTls, Place, Protocol, TlsProfile, TlsVersion, Upstream, UpstreamTls};
use crate::setting::Toggle;
use crate::source::{Located, Origin};
use crate::units::HostPattern;

pub(super) fn listener(listener: &Located<Listener>, found: &mut Diagnostics) {
    if let Some(name) = listener.https_name() {
        acme_name(name, listener.place.address().origin, found);
    }
    // UDP was told that it cannot have TLS at all.
    let Some(tls) = listener.tls.as_ref().filter(|_| !matches!(listener.place, Place::Udp(_))) else {
        return;
    };
    if tls.certificates.is_empty() && tls.acme.is_empty() && listener.https_name().is_none() {
        let finding = Diagnostic::error(tls.origin, "TLS needs a certificate, and here is none");
        found.push(finding.mend(
            "write `certificates: [{ cert: cert.pem, key: key.pem }]`, or `acme: [shop.example.com]` to get one",
        ));
    }
    let mut names: HashMap<&HostPattern, Origin> = HashMap::new();
    for name in tls.acme.iter() {
        if let Some(first) = names.insert(&name.value, name.origin) {
            let message = format!("`{}` is listed twice", name.value);
            found.push(Diagnostic::error(name.origin, message).note(first, "first here"));
        }
        acme_name(&name.value, name.origin, found);
    }
    settings(tls, found);
}

fn settings(tls: &ListenerTls, found: &mut Diagnostics) {
    if let Some(version) = &tls.min_version
        && version.value == TlsVersion::V12
        && tls.profile == TlsProfile::Modern
    {
        let finding = Diagnostic::error(version.origin, "the profile `modern` has TLS 1.3 only");
        found.push(finding.mend("remove `min_version`, or write `profile: intermediate`"));
    }
    if tls.early_data.value && !tls.tickets {
        let message = "early data comes with a session ticket, and those are switched off";
        found.push(Diagnostic::error(tls.early_data.origin, message).mend("remove `session_tickets: false`"));
    }
    if let Some(clients) = &tls.client_certificates
        && tls.early_data.value
    {
        let message = "early data would come before the client's certificate was looked at";
        let finding = Diagnostic::error(tls.early_data.origin, message);
        found.push(
            finding.note(clients.origin, "certificates are asked for here").mend("remove `early_data`"),
        );
    }
}

/// What the challenges that there are can prove (RFC 8555 section 8.3, RFC 8737 section 3).
fn acme_name(name: &HostPattern, origin: Origin, found: &mut Diagnostics) {
    let finding = if name.suffix().is_some() {
        let message =
            format!("ACME gives certificates for `{name}` only by changes of DNS, which Tollgate cannot do");
        Diagnostic::error(origin, message)
            .mend("list the names, or get the certificate elsewhere: `certificates`")
    } else if name.as_str().parse::<std::net::IpAddr>().is_ok() {
        let message = format!("`{name}` is an address, and ACME gives certificates for names");
        Diagnostic::error(origin, message).mend("write the name that leads to it, or `certificates`")
    } else if !name.as_str().contains('.') {
        let message = format!("`{name}` has no dot, and ACME gives certificates for public names");
        Diagnostic::error(origin, message).mend("write the whole name: `shop.example.com`")
    } else {
        return;
    };
    found.push(finding);
}

pub(super) fn upstream(name: &str, upstream: &Upstream, found: &mut Diagnostics) {
    schemes(name, upstream, found);
    let encrypted = upstream.encryption().is_some();
    let protocol = &upstream.protocol;
    match protocol.value {
        Protocol::H2 if !encrypted => {
            let message = "`h2` is agreed on in the TLS handshake, and this upstream has no TLS";
            let finding = Diagnostic::error(protocol.origin, message);
            found.push(finding.mend("add `tls: true`, or write `h2c` for HTTP/2 without TLS"));
        }
        Protocol::H2c if encrypted => {
            let finding =
                Diagnostic::error(protocol.origin, "`h2c` is HTTP/2 without TLS, and this upstream has it");
            found.push(finding.mend("write `h2`"));
        }
        Protocol::H1 | Protocol::H2 | Protocol::H2c | Protocol::Grpc => {}
    }
    if let Some(max) = &upstream.max_streams
        && !upstream.is_http2()
    {
        let finding = Diagnostic::error(max.origin, "connections of HTTP/1.1 have no streams");
        found.push(finding.mend("remove `max_streams`, or set `protocol` to `h2`, `h2c` or `grpc`"));
    }
    if let Some(header) = &upstream.proxy_protocol
        && upstream.is_http2()
    {
        let message = "a connection of HTTP/2 carries requests of many clients, and a PROXY header names one";
        let finding = Diagnostic::error(header.origin, message);
        found.push(finding.mend("write `protocol: h1`, or tell about clients by `forwarded`"));
    }
    if let Some(Toggle::On(tls)) = upstream.tls.as_ref().map(|tls| &tls.value) {
        upstream_settings(tls, found);
    }
}

/// Endpoints with and without TLS do not go together: an upstream has one way to be spoken to.
fn schemes(name: &str, upstream: &Upstream, found: &mut Diagnostics) {
    let addresses = || upstream.endpoints.iter().filter_map(|endpoint| endpoint.address());
    let find = |https: bool| addresses().find(|address| address.is_https() == https);
    let Some(https) = find(true) else { return };
    if let Some(plain) = find(false) {
        let message = format!("some endpoints of `{name}` are `https://` and some are not");
        let finding = Diagnostic::error(plain.origin, message).note(https.origin, "this one is");
        found.push(finding.mend("make two upstreams of them, or write `https://` before all"));
    }
    if let Some(tls) = upstream.tls.as_ref().filter(|tls| tls.on().is_none()) {
        let finding =
            Diagnostic::error(tls.origin, "`tls: false` contradicts the `https://` of the endpoints");
        found.push(finding.note(https.origin, "written here").mend("remove one of the two"));
    }
}

fn upstream_settings(tls: &UpstreamTls, found: &mut Diagnostics) {
    match (&tls.client_cert, &tls.client_key) {
        (Some(cert), None) => {
            let finding = Diagnostic::error(cert.origin, "`client_cert` needs its `client_key`");
            found.push(finding.mend("write `client_key: key.pem` beside it"));
        }
        (None, Some(key)) => {
            let finding = Diagnostic::error(key.origin, "`client_key` needs its `client_cert`");
            found.push(finding.mend("write `client_cert: cert.pem` beside it"));
        }
        _ => {}
    }
    if let Some(name) = tls.name.as_ref().filter(|name| name.suffix().is_some()) {
        let message = format!("`{}` is a pattern, but a name is needed here", name.value);
        found.push(Diagnostic::error(name.origin, message));
    }
    let insecure = &tls.insecure_accept_any_certificate;
    if insecure.value {
        let message = "whoever is between here and the endpoints can read and change everything";
        let finding = Diagnostic::warning(insecure.origin, message);
        found.push(finding.mend("write `ca: ca.pem` with the authority of their certificates"));
        if let Some(ca) = &tls.ca {
            let finding = Diagnostic::error(ca.origin, "`ca` means nothing if any certificate is accepted");
            found.push(finding.note(insecure.origin, "accepted here").mend("remove one of the two"));
        }
    }
}
