//! What no single value can show: references, contradictions, and what probably is not meant.

mod acme;
mod edits;
mod gate;
mod health;
mod http;
mod listeners;
mod listening;
mod mirrors;
mod overload;
mod policies;
mod references;
mod routes;
mod sticky;
mod streams;
mod tls;
mod tracing;
mod traits;
mod upstreams;

pub(crate) use self::gate::duplicates;
use self::references::References;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Document, Place, SharedRetry};
use crate::setting::Switch;
use crate::source::{Located, Origin};
use crate::units::Duration;

/// What is known of a document of which parts could not be decoded, so that one error does not
/// draw others after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partial {
    /// Routes were written, right or wrong.
    pub(crate) routes: bool,
    /// Listeners were written, right or wrong.
    pub(crate) listen: bool,
    /// All upstreams are known at least by name.
    pub(crate) references: bool,
    /// All methods of authentication, limits, stores and consumers are known at least by name.
    pub(crate) gate: bool,
}

/// Checks a decoded document as a whole.
pub(crate) fn check(document: &Document, partial: Partial, found: &mut Diagnostics) {
    if !partial.listen && partial.references {
        let finding = Diagnostic::error(Origin::start_of(0), "the document listens nowhere");
        found.push(finding.mend("add an address: `listen: \":8080\"`"));
    }
    let http = document.listen.is_empty()
        || document.listen.iter().any(|listener| matches!(listener.place, Place::Http(_)));
    if !partial.routes && partial.references && http {
        let finding = Diagnostic::error(Origin::start_of(0), "the document has no routes");
        found.push(finding.mend("add one: `routes: [{ path: /, to: \"http://127.0.0.1:3000\" }]`"));
    }
    // A route or listener that was left out as wrong may have been the one that uses an upstream.
    let broken_before = found.has_errors();
    let mut references = References::new(document, partial);
    listeners::check(document, &mut references, found);
    acme::check(document, found);
    limits(document, found);
    tracing::check(document, found);
    if let Some(retry) = &document.defaults.retry {
        shared_retry(retry, "`defaults`", found);
    }
    routes::check(document, &mut references, found);
    traits::check(document, found);
    let known = gate::Known::new(document, partial);
    gate::check(document, &known, partial, found);
    policies::check(document, &known, found);
    if let (false, Some(route)) = (http, document.routes.first()) {
        let message = "no listener takes HTTP, so nothing comes to the routes";
        found.push(Diagnostic::warning(route.origin, message).mend("add one: `listen: [\":8080\"]`"));
    }
    upstreams::check(document, &references.used().filter(|_| !broken_before), found);
}

fn limits(document: &Document, found: &mut Diagnostics) {
    let limits = &document.limits;
    if limits.target_size.bytes() > limits.head_size.bytes() {
        let message = format!(
            "`limits.target_size` ({}) is larger than `limits.head_size` ({}), which holds the target",
            limits.target_size.value, limits.head_size
        );
        let place = limits.target_size.origin;
        let place = if place.is_known() { place } else { Origin::start_of(0) };
        found.push(Diagnostic::error(place, message));
    }
}

fn shared_retry(retry: &Located<Switch<SharedRetry>>, whose: &str, found: &mut Diagnostics) {
    if let Switch::On(shared) = &retry.value {
        backoff(shared.backoff, shared.max_backoff, retry.origin, whose, found);
    }
}

/// The first wait cannot be longer than the longest.
fn backoff(
    first: Option<Duration>,
    longest: Option<Duration>,
    origin: Origin,
    whose: &str,
    found: &mut Diagnostics,
) {
    if let (Some(first), Some(longest)) = (first, longest)
        && first > longest
    {
        let message = format!("`backoff` ({first}) of {whose} is longer than its `max_backoff` ({longest})");
        found.push(Diagnostic::error(origin, message));
    }
}
