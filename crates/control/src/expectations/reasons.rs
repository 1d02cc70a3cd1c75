//! What decided about a request whose test fails.

use tollgate_config::TestExpectation;
use tollgate_decision::{Passing, Reason};

use crate::explain::Explanation;

/// What decided, a line each.
pub(super) fn tell(expect: &TestExpectation, told: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(code) = expect.reason.as_ref().filter(|code| Reason::from_code(code).is_none()) {
        let codes = Reason::ALL.iter().map(|reason| reason.code());
        let near = tollgate_config::nearest(code, codes);
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        lines.push(format!("there is no reason `{}`{near}", code.value));
    }
    lines.extend(route(expect, told));
    lines.extend(policies(told));
    if let (Some(route), Some(action), true) = (&told.route, &told.action, told.refusal.is_none()) {
        lines.push(format!("what the route `{route}` does: {action}"));
    }
    lines
}

/// Why the request has its route, and not the one that is expected.
fn route(expect: &TestExpectation, told: &Explanation) -> Vec<String> {
    let Some((host, path, query)) = &told.matched_as else {
        let detail = told.refusal.as_ref().map_or("", |(_, detail)| detail);
        return vec![format!("it is refused before a route is looked for: {detail}")];
    };
    let query = if query.is_empty() { String::new() } else { format!(", query {query}") };
    let asked = format!("host {host}, path {path}{query}");
    let mut lines = vec![match &told.route {
        Some(route) => format!("the route `{route}` takes {asked}"),
        None => format!("no route takes {asked}"),
    }];
    let expected = expect.route.as_ref().filter(|route| told.route.as_deref() != Some(route.as_str()));
    let missed = expected.and_then(|route| told.routes.iter().find(|(name, _)| name == route.as_str()));
    if let Some((name, outcome)) = missed {
        lines.push(format!("the route `{name}` does not ({outcome})"));
    }
    lines
}

/// What the policies decided that stopped it, or could not decide.
fn policies(told: &Explanation) -> Vec<String> {
    let decisive = |outcome| matches!(outcome, Passing::Stopped | Passing::Unknown);
    let each = told.policies.iter().filter(|policy| decisive(policy.verdict.outcome));
    let mut lines: Vec<String> = each.map(|policy| format!("the policy {policy}")).collect();
    if !told.policies.is_empty() {
        let consumer = told.consumer.as_deref().unwrap_or("nobody that is known");
        lines.push(format!("it comes from: {consumer}"));
    }
    lines
}
