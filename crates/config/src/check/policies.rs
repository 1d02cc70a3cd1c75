//! Policies of routes and of `defaults`.

mod callers;
mod shared;

use super::edits::{Whose, refuse_repeated, refuse_reserved};
use super::gate::{Known, Place};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Addresses, Cors, Csrf, Document, Fault, Policies, RequestLimits, SecurityHeaders};
use crate::setting::Switch;
use crate::source::{Located, Origin};

/// Checks the policies of all routes and of `defaults`.
pub(super) fn check(document: &Document, known: &Known<'_>, found: &mut Diagnostics) {
    if let Some(policies) = &document.defaults.policies {
        level(policies, known, found);
        // Routes that say nothing of their own have these.
        let place = Place {
            authenticated: document.routes.iter().any(|r| has_auth(document, r)),
            origin: Origin::NOWHERE,
        };
        shared::keys(document, policies, place, found);
    }
    for route in &document.routes {
        let Some(policies) = &route.policies else { continue };
        level(policies, known, found);
        let place = Place { authenticated: has_auth(document, route), origin: route.origin };
        callers::known_by(policies, place.authenticated, found);
        shared::keys(document, policies, place, found);
    }
}

fn has_auth(document: &Document, route: &crate::model::Route) -> bool {
    document.policies(route).auth.is_some()
}

/// Checks the policies that one level writes.
fn level(policies: &Policies, known: &Known<'_>, found: &mut Diagnostics) {
    if let Some((auth, origin)) = on(&policies.auth) {
        callers::auth(auth, origin, known, found);
    }
    if let Some((access, origin)) = on(&policies.access) {
        callers::access(access, origin, known, found);
    }
    if let (Some(access), Some(short)) = (&policies.access, &policies.allow_if) {
        let finding = Diagnostic::error(short.origin, "`allow_if` says the same as `access`");
        let finding = finding.note(access.origin, "`access` is here");
        found.push(finding.mend("write it there: `allow: { if: … }`"));
    }
    if let Some((list, origin)) = on(&policies.addresses) {
        addresses(list, origin, found);
    }
    if let Some((cors, origin)) = on(&policies.cors) {
        self::cors(cors, origin, found);
    }
    if let Some((csrf, _)) = on(&policies.csrf) {
        self::csrf(csrf, found);
    }
    if let Some((headers, _)) = on(&policies.security_headers) {
        security_headers(headers, found);
    }
    if let Some((limits, origin)) = on(&policies.request_limits) {
        request_limits(limits, origin, found);
    }
    if let Some((fault, origin)) = on(&policies.fault) {
        self::fault(fault, origin, found);
    }
    shared::limits(policies, known, found);
}

fn fault(fault: &Fault, origin: Origin, found: &mut Diagnostics) {
    if fault.delay.is_none() && fault.abort.is_none() {
        let finding = Diagnostic::error(origin, "this `fault` does nothing");
        found.push(finding.mend("write `delay: 200ms`, or `abort: 503`"));
    }
}

/// A policy that is set, and where.
fn on<T>(policy: &Option<Located<Switch<T>>>) -> Option<(&T, Origin)> {
    let policy = policy.as_ref()?;
    policy.on().map(|value| (value, policy.origin))
}

fn addresses(list: &Addresses, origin: Origin, found: &mut Diagnostics) {
    let nothing = list.allow.is_empty()
        && list.deny.is_empty()
        && list.allow_files.is_empty()
        && list.deny_files.is_empty();
    if nothing {
        let finding = Diagnostic::error(origin, "this list of addresses is empty");
        found.push(finding.mend("write `allow: [10.0.0.0/8]` or `deny: […]`"));
    }
    for range in list.deny.iter() {
        if let Some(allowed) = list.allow.iter().find(|allowed| allowed.value == range.value) {
            let message = format!("`{}` is allowed and denied; deny wins", range.value);
            found.push(Diagnostic::error(range.origin, message).note(allowed.origin, "allowed here"));
        }
    }
}

fn cors(cors: &Cors, origin: Origin, found: &mut Diagnostics) {
    if cors.origins.is_empty() {
        let finding =
            Diagnostic::error(origin, "no origin is listed, so CORS would let no page read anything");
        found.push(finding.mend("write `origins: [\"https://app.example\"]`"));
    }
    let Some(any) = cors.origins.iter().find(|origin| origin.is_any()) else { return };
    if cors.credentials.value {
        // Fetch Standard, section 3.3.5; and each page on the Web would act for the user.
        let message = "with `credentials`, every page on the Web could act for whoever reads it";
        let finding = Diagnostic::error(any.origin, message).note(cors.credentials.origin, "set here");
        found.push(finding.mend("list the origins, or remove `credentials`"));
    }
    if let Some(other) = cors.origins.iter().find(|origin| !origin.is_any()) {
        let message = format!("`*` is listed too, so `{}` changes nothing", other.value);
        found.push(Diagnostic::warning(other.origin, message).note(any.origin, "`*` is here"));
    }
}

fn csrf(csrf: &Csrf, found: &mut Diagnostics) {
    if let Some(any) = csrf.trusted_origins.iter().find(|origin| origin.is_any()) {
        let finding = Diagnostic::error(any.origin, "`*` trusts every site, so nothing is refused");
        found.push(finding.mend("list the origins, or write `csrf: none`"));
    }
}

fn security_headers(headers: &SecurityHeaders, found: &mut Diagnostics) {
    for name in headers.remove.iter() {
        refuse_reserved(name, Whose::Response, found);
    }
    refuse_repeated(headers.remove.iter(), found);
}

fn request_limits(limits: &RequestLimits, origin: Origin, found: &mut Diagnostics) {
    let nothing = limits.methods.is_empty()
        && limits.content_types.is_empty()
        && limits.body_size.is_none()
        && limits.fields.is_none();
    if nothing {
        let finding = Diagnostic::error(origin, "these limits let everything pass");
        found.push(finding.mend("set `methods`, `content_types`, `body_size` or `fields`"));
    }
}
