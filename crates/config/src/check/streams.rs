//! Listeners for TCP and UDP, and the keys that only they have.

use super::references::References;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Document, Listener, StreamDestination};
use crate::source::{Located, Origin};

/// Refuses keys of one kind of listener on another.
fn refuse(keys: &[(&str, Option<Origin>)], of: &str, mend: &str, found: &mut Diagnostics) {
    for (key, origin) in keys {
        if let Some(origin) = origin {
            let finding = Diagnostic::error(*origin, format!("`{key}` is only for {of}"));
            found.push(finding.mend(mend));
        }
    }
}

/// Refuses on a listener for HTTP what is for TCP and UDP.
pub(super) fn belongs_to_streams(listener: &Located<Listener>, found: &mut Diagnostics) {
    let to = listener.to.as_ref().map(|to| to.origin);
    let mend = "add it to `routes`, or write `tcp` instead of `address`";
    refuse(&[("to", to)], "`tcp` and `udp` listeners; HTTP is routed", mend, found);
    let keys = [
        ("sni", listener.sni.as_ref().map(|sni| sni.origin)),
        ("idle_timeout", listener.idle_timeout.as_ref().map(|timeout| timeout.origin)),
    ];
    refuse(&keys, "`tcp` listeners", "remove it, or write `tcp` instead of `address`", found);
    flows(listener, found);
}

fn flows(listener: &Listener, found: &mut Diagnostics) {
    let flows = listener.flows.as_ref().map(|flows| flows.origin);
    refuse(&[("flows", flows)], "`udp` listeners", "remove it", found);
}

/// Refuses on a listener for TCP or UDP what is for HTTP.
fn belongs_to_http(listener: &Located<Listener>, found: &mut Diagnostics) {
    let proxies = listener
        .trusted_proxies
        .as_ref()
        .map(|proxies| proxies.first().map_or(listener.origin, |first| first.origin));
    let keys = [
        ("protocols", listener.protocols.as_ref().map(|protocols| protocols.origin)),
        ("redirect_https", listener.redirect_https.as_ref().map(|redirect| redirect.origin)),
        ("hsts", listener.hsts.as_ref().map(|hsts| hsts.origin)),
        ("trusted_proxies", proxies),
    ];
    refuse(&keys, "HTTP listeners", "remove it, or write `address` for HTTP", found);
}

pub(super) fn tcp<'d>(
    listener: &'d Located<Listener>,
    references: &mut References<'d>,
    found: &mut Diagnostics,
) {
    belongs_to_http(listener, found);
    flows(listener, found);
    if let Some(to) = &listener.to {
        destination(to, references, found);
    }
    let Some(sni) = &listener.sni else {
        return needs_to(listener, "a `tcp` listener needs `to`, or `sni` with destinations by name", found);
    };
    for (_, to) in sni.iter() {
        destination(to, references, found);
    }
    if sni.is_empty() && sni.broken.is_empty() {
        let finding = Diagnostic::error(sni.origin, "`sni` names no destination");
        found.push(finding.mend("write `sni: { db.example.com: postgres }`"));
    }
    if let Some(tls) = &listener.tls {
        let message = "`sni` passes TLS on as it is, and `tls` ends it: only one of them can be";
        let finding = Diagnostic::error(sni.origin, message).note(tls.origin, "`tls` is here");
        found.push(finding.mend("remove `tls`, or write `to` instead of `sni`"));
    }
}

pub(super) fn udp<'d>(
    listener: &'d Located<Listener>,
    document: &Document,
    references: &mut References<'d>,
    found: &mut Diagnostics,
) {
    belongs_to_http(listener, found);
    let header = listener.proxy_protocol.first().map(|range| range.origin);
    let keys = [
        ("sni", listener.sni.as_ref().map(|sni| sni.origin)),
        ("idle_timeout", listener.idle_timeout.as_ref().map(|timeout| timeout.origin)),
        ("max_connections", listener.max_connections.as_ref().map(|max| max.origin)),
        ("max_connections_per_address", listener.max_connections_per_address.as_ref().map(|max| max.origin)),
        ("defer_accept", listener.defer_accept.then_some(listener.origin)),
    ];
    refuse(&keys, "connections", "UDP has flows: `flows: { idle_timeout: 30s, max: 65536 }`", found);
    if let Some(origin) = header {
        let finding = Diagnostic::error(origin, "`proxy_protocol` is only for connections, and UDP has none");
        found.push(finding.mend("remove it"));
    }
    if let Some(tls) = &listener.tls {
        let finding = Diagnostic::error(tls.origin, "TLS does not run over UDP");
        found.push(finding.mend("remove `tls`; QUIC and DTLS pass as they are"));
    }
    let Some(to) = &listener.to else {
        return needs_to(listener, "a `udp` listener needs `to`", found);
    };
    destination(to, references, found);
    let StreamDestination::Upstream(name) = &to.value else { return };
    let Some(upstream) = document.upstreams.get(name.as_str()) else { return };
    let header = upstream.proxy_protocol.as_ref().map(|header| ("a PROXY header", header.origin));
    let encrypted = upstream.tls.as_ref().filter(|tls| tls.on().is_some()).map(|tls| ("TLS", tls.origin));
    for (what, origin) in header.into_iter().chain(encrypted) {
        let message = format!("the upstream `{}` wants {what}, which UDP does not carry", name.as_str());
        let finding = Diagnostic::error(to.origin, message).note(origin, "asked for here");
        found.push(finding.mend("write an upstream of its own for UDP"));
    }
}

fn needs_to(listener: &Located<Listener>, message: &str, found: &mut Diagnostics) {
    if listener.to.is_none() {
        let finding = Diagnostic::error(listener.origin, message);
        found.push(finding.mend("write `to: NAME` for an upstream, or `to: \"10.0.0.1:5432\"`"));
    }
}

fn destination<'d>(
    to: &'d Located<StreamDestination>,
    references: &mut References<'d>,
    found: &mut Diagnostics,
) {
    if let StreamDestination::Upstream(name) = &to.value {
        references.stream(name.as_str(), to.origin, found);
    }
}
