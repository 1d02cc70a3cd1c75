//! Tests beside the settings.

use std::collections::{HashMap, HashSet};

use super::Callers;
use crate::check::{Partial, edits};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Destination, Document, Test};
use crate::source::{Located, Origin};
use crate::suggest::nearest;

pub(super) fn check(
    document: &Document,
    routes: &HashSet<&str>,
    callers: &Callers<'_>,
    partial: Partial,
    found: &mut Diagnostics,
) {
    // A route that was left out as wrong may be the one that is meant.
    let judge = partial.references && !found.has_errors();
    let mut names: HashMap<&str, Origin> = HashMap::new();
    for test in &document.gate.tests {
        if let Some(first) = names.insert(test.name.as_str(), test.name.origin) {
            let message = format!("two tests are called `{}`", test.name.value);
            found.push(Diagnostic::error(test.name.origin, message).note(first, "the first one"));
        }
        self::test(test, callers, found);
        if judge {
            references(document, routes, test, found);
        }
    }
}

fn test(test: &Located<Test>, callers: &Callers<'_>, found: &mut Diagnostics) {
    if test.expect.is_empty() {
        let finding = Diagnostic::error(test.expect.origin, "this test expects nothing, and never fails");
        found.push(finding.mend("write what must become of the request: `route`, `status`, `reason` …"));
    }
    if let Some(consumer) = test.caller.as_ref().and_then(|caller| caller.consumer.as_ref()) {
        callers.consumer(consumer.as_str(), consumer.origin, found);
    }
    edits::refuse_repeated(test.expect.headers.iter().map(|(name, _)| name), found);
}

fn references(document: &Document, routes: &HashSet<&str>, test: &Test, found: &mut Diagnostics) {
    if let Some(route) = test.expect.route.as_ref().filter(|route| !routes.contains(route.as_str())) {
        let near = nearest(route.as_str(), routes.iter().copied());
        let mend =
            near.map_or("give a route this `name`".to_owned(), |near| format!("did you mean `{near}`?"));
        let message = format!("there is no route `{}`", route.as_str());
        found.push(Diagnostic::error(route.origin, message).mend(mend));
    }
    if let Some(upstream) = &test.expect.upstream
        && let Destination::Upstream(name) = &upstream.value
        && !document.upstreams.iter().any(|(known, _)| known.value == *name)
    {
        let near = nearest(name.as_str(), document.upstreams.iter().map(|(name, _)| name.as_str()));
        let message = format!("there is no upstream `{name}`");
        let finding = Diagnostic::error(upstream.origin, message);
        found.push(finding.mend_if(near.map(|near| format!("did you mean `{near}`?"))));
    }
}
