//! Who may come, and what callers may do.

use std::collections::HashMap;

use super::on;
use crate::check::gate::Known;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Access, AccessRule, Anonymous, Auth, Otherwise, Policies};
use crate::source::{Located, Origin};

pub(super) fn auth(auth: &Auth, origin: Origin, known: &Known<'_>, found: &mut Diagnostics) {
    let names = auth.methods.names();
    if names.is_empty() {
        let finding = Diagnostic::error(origin, "no method is named, so nobody could show who they are");
        found.push(finding.mend("name one of `auth` of the document, or write `none`"));
    }
    let mut seen: HashMap<&str, Origin> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.as_str(), name.origin) {
            let message = format!("`{}` is named twice", name.value);
            found.push(Diagnostic::error(name.origin, message).note(first, "first here"));
        } else {
            known.methods.need(name, found);
        }
    }
    if let Some(anonymous) = &auth.anonymous
        && let Anonymous::Consumer(name) = &anonymous.value
    {
        known.callers.consumer(name.as_str(), anonymous.origin, found);
    }
}

pub(super) fn access(access: &Access, origin: Origin, known: &Known<'_>, found: &mut Diagnostics) {
    let rules = || access.allow.iter().chain(access.deny.iter());
    for rule in rules() {
        self::rule(rule, known, found);
    }
    match (access.allow.is_empty(), access.otherwise()) {
        (true, Otherwise::Deny) => {
            let message = "nobody can ever pass: there is no `allow` rule, and all others are denied";
            let place = access.otherwise.as_ref().map_or(origin, |otherwise| otherwise.origin);
            found.push(Diagnostic::warning(place, message).mend("add an `allow` rule"));
        }
        (true, Otherwise::Allow) if access.deny.is_empty() => {
            let finding = Diagnostic::error(origin, "there are no rules, so everyone passes");
            found.push(finding.mend("add `allow` or `deny`, or remove `access`"));
        }
        (false, Otherwise::Allow) => {
            let message = "all that no rule denies pass anyway, so the `allow` rules change nothing";
            let place = access.otherwise.as_ref().map_or(origin, |otherwise| otherwise.origin);
            found.push(Diagnostic::warning(place, message).mend("remove `otherwise: allow`, or `allow`"));
        }
        _ => {}
    }
}

fn rule(rule: &Located<AccessRule>, known: &Known<'_>, found: &mut Diagnostics) {
    let empty = match &rule.value {
        AccessRule::Group(groups) => {
            groups.iter().for_each(|group| known.callers.group(group, found));
            groups.is_empty()
        }
        AccessRule::Consumer(names) => {
            names.iter().for_each(|name| known.callers.consumer(name.as_str(), name.origin, found));
            names.is_empty()
        }
        AccessRule::Scope(scopes) => scopes.is_empty(),
        AccessRule::Claim(claims) => {
            claims.broken.is_empty()
                && (claims.is_empty() || claims.iter().any(|(_, values)| values.is_empty()))
        }
        AccessRule::If(_) => false,
    };
    if empty {
        found.push(Diagnostic::error(rule.origin, "this rule is about nobody"));
    }
}

/// Warns of rules about callers where nobody is known.
pub(super) fn known_by(policies: &Policies, authenticated: bool, found: &mut Diagnostics) {
    let Some((access, _)) = on(&policies.access).filter(|_| !authenticated) else { return };
    let about = |rule: &&Located<AccessRule>| !matches!(rule.value, AccessRule::If(_));
    if let Some(rule) = access.allow.iter().chain(access.deny.iter()).find(about) {
        let message = "this rule is about who is calling, and without `auth` the route knows nobody";
        found.push(Diagnostic::warning(rule.origin, message).mend("add `auth` to the route"));
    }
}
