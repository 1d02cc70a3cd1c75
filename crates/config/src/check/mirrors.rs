//! Mirrors of routes.

use super::references::References;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Action, Compare, ComparedBody, ComparedHeaders, Route};
use crate::source::{Located, Origin};

/// How many mirrors a route may have.
const MIRRORS_MAX: usize = 8;

/// Checks the mirrors of a route.
pub(super) fn check<'d>(route: &'d Route, references: &mut References<'d>, found: &mut Diagnostics) {
    let mirrors = &route.forwarding.mirrors;
    let Some(first) = mirrors.first() else { return };
    if matches!(route.action, Action::Redirect(_) | Action::Respond(_)) {
        let message = "`mirror` copies what is sent to an upstream, but this route sends to none";
        found.push(Diagnostic::error(first.origin, message).mend("remove `mirror`"));
    }
    if let Some(beyond) = mirrors.get(MIRRORS_MAX) {
        let message = format!("a route has at most {MIRRORS_MAX} mirrors");
        found.push(Diagnostic::error(beyond.origin, message));
    }
    for mirror in mirrors.iter() {
        references.destination(&mirror.to, found);
        if mirror.share.basis_points() == 0 {
            let message = "the share of this mirror is 0%, so it gets nothing";
            found.push(Diagnostic::warning(mirror.origin, message));
        }
        if let Some(compare) = &mirror.compare {
            self::compare(compare, mirror.origin, found);
        }
    }
}

fn compare(compare: &Compare, origin: Origin, found: &mut Diagnostics) {
    let nothing =
        !compare.status && compare.headers == ComparedHeaders::None && compare.body == ComparedBody::None;
    if nothing {
        let finding = Diagnostic::error(origin, "this `compare` compares nothing");
        found.push(finding.mend("leave out `compare`, or one of `status`, `headers` and `body`"));
    }
    let paths = compare.ignore.iter().flat_map(|ignore| ignore.json.iter());
    if let (Some(Located { origin, .. }), true) = (paths.last(), compare.body != ComparedBody::Json) {
        let message = "places in JSON are told apart only where bodies are compared as JSON";
        found.push(Diagnostic::error(*origin, message).mend("write `body: json`, or remove them"));
    }
}
