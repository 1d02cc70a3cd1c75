//! Routes: names, references, and settings that do not go together.

use std::collections::HashMap;

use super::references::References;
use super::{backoff, edits, mirrors, sticky};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Action, Document, PathMatch, PathRewrite, Redirect, Respond, Route};
use crate::setting::Switch;
use crate::source::{Located, Origin};

/// Bytes of an answer's body that a document may hold.
const LARGEST_BODY: usize = 1 << 20;

/// Checks all routes.
pub(super) fn check<'d>(document: &'d Document, references: &mut References<'d>, found: &mut Diagnostics) {
    let mut names: HashMap<&str, Origin> = HashMap::new();
    for route in &document.routes {
        if let Some(name) = &route.name
            && let Some(first) = names.insert(name.as_str(), name.origin)
        {
            let message = format!("two routes are called `{}`", name.as_str());
            found.push(Diagnostic::error(name.origin, message).note(first, "the first one"));
        }
        references.action(&route.action, found);
        references.fallback(document, route, found);
        mirrors::check(route, references, found);
        self::route(route, found);
        sticky::split(document, route, found);
    }
}

fn route(route: &Located<Route>, found: &mut Diagnostics) {
    if let Some(rewrite) = &route.rewrite {
        if matches!(route.action, Action::Redirect(_) | Action::Respond(_)) {
            let message = "`rewrite` changes what is sent to an upstream, but this route sends to none";
            found.push(Diagnostic::error(rewrite.origin, message).mend("remove `rewrite`"));
        } else if rewrite.host.is_none() && rewrite.path.is_none() {
            let finding = Diagnostic::error(rewrite.origin, "this `rewrite` changes nothing");
            found.push(finding.mend("set `host` or `path`"));
        }
        fixed_host(rewrite.host.as_ref(), rewrite.origin, found);
        prefix_rewrite(route, rewrite.path.as_ref(), found);
    }
    match &route.action {
        Action::Redirect(redirect) => self::redirect(route, redirect, found),
        Action::Respond(respond) => self::respond(respond, found),
        Action::To(_) | Action::Split(_) => {}
    }
    grpc(route, found);
    if let Some(written) = &route.forwarding.sticky {
        if matches!(route.action, Action::Redirect(_) | Action::Respond(_)) {
            let message = "`sticky` keeps sessions at endpoints, but this route sends to none";
            found.push(Diagnostic::error(written.origin, message).mend("remove `sticky`"));
        }
        if let Some(sessions) = written.on() {
            sticky::check(sessions, found);
        }
    }
    if let Some(headers) = &route.headers {
        edits::check(headers, found);
    }
    if let Some(conditions) = &route.conditions {
        edits::refuse_repeated(conditions.headers.iter().map(|(name, _)| name), found);
    }
    if let Some(Switch::On(retry)) = route.forwarding.retry.as_deref() {
        backoff(retry.backoff, retry.max_backoff, route.origin, "this route", found);
    }
}

/// A gRPC call is a path and a method already (PROTOCOL-HTTP2 of gRPC: `POST /service/method`).
fn grpc(route: &Route, found: &mut Diagnostics) {
    let Some(grpc) = &route.grpc else { return };
    let path = route.paths.first().map(|path| ("path", path.origin));
    let method = route.methods.first().map(|method| ("methods", method.origin));
    for (key, origin) in path.into_iter().chain(method) {
        let message = format!("`{key}` cannot stand beside `grpc`, which says path and method itself");
        let finding = Diagnostic::error(origin, message).note(grpc.origin, "`grpc` is here");
        found.push(finding.mend(format!("remove `{key}`, or write a route of its own for it")));
    }
}

/// A prefix can be replaced only if it is known which one matched (Gateway API `ReplacePrefixMatch`).
/// A route without paths is for the prefix `/`.
fn prefix_rewrite(route: &Route, path: Option<&Located<PathRewrite>>, found: &mut Diagnostics) {
    let Some(path) = path else { return };
    if !matches!(path.value, PathRewrite::Prefix(_)) {
        return;
    }
    let finding = match &*route.paths {
        [] if route.grpc.is_some() => {
            Diagnostic::error(path.origin, "replacing a prefix needs a route whose path is a prefix")
        }
        [] => return,
        [one] if matches!(one.value, PathMatch::Prefix(_)) => return,
        [one] => Diagnostic::error(path.origin, "replacing a prefix needs a route whose path is a prefix")
            .note(one.origin, "this path is no prefix"),
        [_, second, ..] => {
            Diagnostic::error(path.origin, "replacing a prefix needs a route with exactly one path")
                .note(second.origin, "this path is one too many")
        }
    };
    found.push(finding.mend("write `full`, or a route for each prefix"));
}

fn fixed_host(host: Option<&crate::units::HostPattern>, origin: Origin, found: &mut Diagnostics) {
    if let Some(host) = host.filter(|host| host.suffix().is_some()) {
        let message = format!("`{host}` is a pattern, but a host is needed here");
        found.push(Diagnostic::error(origin, message));
    }
}

fn redirect(route: &Route, redirect: &Located<Box<Redirect>>, found: &mut Diagnostics) {
    let Redirect { scheme, host, port, path, .. } = &*redirect.value;
    if scheme.is_none() && host.is_none() && port.is_none() && path.is_none() {
        let message = "this redirect leads back to the same URL";
        let finding = Diagnostic::error(redirect.origin, message);
        found.push(finding.mend("set at least one of `scheme`, `host`, `port`, `path`"));
    }
    fixed_host(host.as_ref(), redirect.origin, found);
    prefix_rewrite(route, path.as_ref(), found);
}

fn respond(respond: &Located<Box<Respond>>, found: &mut Diagnostics) {
    let status = respond.status.get();
    if let Some(body) = &respond.body {
        if matches!(status, 204 | 205 | 304) && !body.is_empty() {
            let message = format!("an answer with status {status} cannot have a body");
            found.push(Diagnostic::error(body.origin, message).mend("remove `body`"));
        }
        if body.len() > LARGEST_BODY {
            let message = "a body in a document has at most 1MiB";
            found.push(Diagnostic::error(body.origin, message));
        }
    }
    for (name, _) in respond.headers.iter() {
        edits::refuse_reserved(name, edits::Whose::Answer, found);
        if name.as_str().eq_ignore_ascii_case("content-type") {
            let finding = Diagnostic::error(name.origin, "the type of the body has a key of its own");
            found.push(finding.mend("write `content_type: …` beside `body`"));
        }
    }
    edits::refuse_repeated(respond.headers.iter().map(|(name, _)| name), found);
}
