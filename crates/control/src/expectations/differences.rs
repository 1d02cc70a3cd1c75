//! What comes out otherwise than a test expects.

use std::collections::HashMap;

use tollgate_config::{Destination, Located, Origin, TestExpectation, TextMatch};
use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::{Action, Destination as Compiled};
use tollgate_routing::WholeValue;

use super::Difference;
use crate::explain::Explanation;

/// How many compiled expressions are kept; a large one takes a megabyte.
const PATTERNS_MAX: usize = 64;

/// Expressions that were compiled for earlier tests.
#[derive(Debug, Default)]
pub(super) struct Patterns<'d> {
    compiled: HashMap<&'d str, Option<WholeValue>>,
}

impl<'d> Patterns<'d> {
    /// Whether a value matches; one that does not compile matches nothing.
    fn matches(&mut self, pattern: &'d str, value: &str) -> bool {
        if self.compiled.len() >= PATTERNS_MAX && !self.compiled.contains_key(pattern) {
            self.compiled.clear();
        }
        let compiled = self.compiled.entry(pattern).or_insert_with(|| WholeValue::new(pattern).ok());
        compiled.as_ref().is_some_and(|compiled| compiled.matches(value.as_bytes()))
    }
}

/// Holds a decision against what is expected of it.
pub(super) fn find<'d>(
    expect: &'d Located<TestExpectation>,
    told: &Explanation,
    snapshot: &Snapshot,
    patterns: &mut Patterns<'d>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |what: &str, expected: String, got: String, origin: Origin| {
        found.push(Difference { what: what.to_owned(), expected, got, origin });
    };
    if let Some(route) = &expect.route
        && told.route.as_deref() != Some(route.as_str())
    {
        let got = told.route.clone().unwrap_or_else(|| "none".to_owned());
        differs("route", route.as_str().to_owned(), got, route.origin);
    }
    if let Some(status) = expect.status
        && !told.answer().is_some_and(|(got, _)| status.contains(got))
    {
        differs("status", status.to_string(), outcome(told), expect.origin);
    }
    let reason = told.answer().map_or(Reason::Forwarded, |(_, reason)| reason);
    if let Some(expected) = expect.reason.as_ref().filter(|expected| expected.value != reason.code()) {
        differs("reason", expected.value.clone(), reason.code().to_owned(), expected.origin);
    }
    if let Some(upstream) = expect.upstream.as_ref().filter(|expected| !leads_to(expected, told, snapshot)) {
        let got = match (&told.sends, &told.upstream) {
            (Some(_), Some(upstream)) => upstream.clone(),
            _ => outcome(told),
        };
        differs("upstream", upstream_name(upstream), got, upstream.origin);
    }
    let head = told.sends.as_ref().or_else(|| told.answers.as_ref().map(|answered| &answered.head));
    for (name, wanted) in expect.headers.iter() {
        let value = head.and_then(|head| head.value(name.as_str()));
        if !fits(wanted, value.as_ref().map(|(value, _)| value.as_str()), patterns) {
            let got = match value {
                None => "no such field".to_owned(),
                Some((_, true)) => "another value, which may be a secret".to_owned(),
                Some((value, false)) => format!("`{value}`"),
            };
            differs(&format!("header {name}", name = name.value), written(wanted), got, wanted.origin);
        }
    }
    found
}

/// What becomes of the request, in words.
fn outcome(told: &Explanation) -> String {
    match (told.answer(), &told.upstream) {
        (Some((status, reason)), _) => format!("{status} {}", reason.code()),
        (None, Some(upstream)) => format!("no answer: it is sent on to {upstream}"),
        (None, None) => "nothing".to_owned(),
    }
}

/// Whether the request is sent on to this upstream. Of a route that splits, to whichever chance chooses.
fn leads_to(expected: &Destination, told: &Explanation, snapshot: &Snapshot) -> bool {
    if told.sends.is_none() {
        return false;
    }
    let expected = upstream_name(expected);
    if told.upstream.as_ref() == Some(&expected) {
        return true;
    }
    let mut routes = snapshot.routes.iter();
    let Some(Action::Forward(Compiled::Split(shares))) =
        routes.find(|route| told.route.as_ref() == Some(&route.name)).map(|route| &route.action)
    else {
        return false;
    };
    let mut before = 0;
    shares.iter().any(|(sum, target)| {
        let weight = sum - std::mem::replace(&mut before, *sum);
        let upstream = snapshot.upstreams.get(target.upstream as usize);
        weight > 0 && upstream.is_some_and(|upstream| **upstream.name() == *expected)
    })
}

/// The name that a destination's upstream has; that of an address is the address.
fn upstream_name(destination: &Destination) -> String {
    match destination {
        Destination::Upstream(name) => name.as_str().to_owned(),
        Destination::Inline(address) => address.to_string(),
    }
}

fn fits<'d>(wanted: &'d TextMatch, value: Option<&str>, patterns: &mut Patterns<'d>) -> bool {
    let Some(value) = value else { return false };
    match wanted {
        TextMatch::Exact(text) => text == value,
        TextMatch::Regex(pattern) => patterns.matches(pattern.as_str(), value),
        TextMatch::Present(_) => true,
    }
}

fn written(wanted: &TextMatch) -> String {
    match wanted {
        TextMatch::Exact(text) => format!("`{text}`"),
        TextMatch::Regex(pattern) => format!("what matches `{pattern}`"),
        TextMatch::Present(_) => "any value".to_owned(),
    }
}
