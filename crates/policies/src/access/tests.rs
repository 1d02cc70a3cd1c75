use std::sync::Arc;

use tollgate_expression::Wanted;
use tollgate_policy::{Caller, Consumer};

use super::*;
use crate::sample::Sample;

fn rule(text: &str) -> Rule {
    Rule::If(Expression::compile(text, Wanted::Bool).unwrap())
}

fn group(name: &str) -> Rule {
    Rule::Group(vec![name.into()])
}

fn alice() -> Caller {
    let consumer = Consumer { name: "alice".into(), groups: ["gold".into()].into(), ..Consumer::default() };
    let claims = serde_json::json!({ "scope": "read", "plan": "pro", "n": 2, "roles": ["a", "b"] });
    Caller {
        consumer: Some(Arc::new(consumer)),
        claims: claims.as_object().cloned().map(Arc::new),
        ..Caller::default()
    }
}

/// What becomes of a request of a caller; `None` if it may.
fn refused(settings: Settings, caller: Caller) -> Option<Reason> {
    let mut gate = Gate::default();
    gate.caller = caller;
    match Access::new(settings).decide(&Sample::new("GET /admin?x=1", "").asked(), &mut gate, None) {
        Verdict::Continue(_) => None,
        Verdict::Refuse(refused) => Some(refused.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_denies_wins_and_what_allows_is_enough() {
    let settings = |allow, deny, otherwise_allow| Settings { allow, deny, otherwise_allow };
    for (allow, deny, otherwise, expected) in [
        (vec![group("gold")], vec![], false, None),
        (vec![group("silver")], vec![], false, Some(Reason::NotAllowed)),
        (vec![group("gold")], vec![rule("path.startsWith('/admin')")], false, Some(Reason::DeniedByRule)),
        (vec![], vec![group("silver")], true, None),
        (vec![], vec![], false, Some(Reason::NotAllowed)),
        (vec![group("silver"), rule("'read' in scopes")], vec![], false, None),
        (vec![Rule::Scope(vec!["write".into(), "read".into()])], vec![], false, None),
        (vec![Rule::Consumer(vec!["alice".into()])], vec![], false, None),
    ] {
        assert_eq!(refused(settings(allow.clone(), deny, otherwise), alice()), expected, "{allow:?}");
    }
}

#[test]
fn claims_are_compared_by_value_and_lists_by_entry() {
    for (path, value, holds) in [
        ("plan", Json::from("pro"), true),
        ("plan", Json::from("free"), false),
        ("n", Json::from(2), true),
        ("n", Json::from("2"), false),
        ("roles", Json::from("b"), true),
        ("none", Json::from("b"), false),
    ] {
        let allow = vec![Rule::Claim(vec![(path.into(), vec![value.clone()])])];
        let found = refused(Settings { allow, ..Settings::default() }, alice());
        assert_eq!(found.is_none(), holds, "{path} {value}");
    }
}

#[test]
fn a_rule_that_fails_never_lets_anybody_pass() {
    let failing = || rule("query.missing == 'x'");
    let settings = |allow, deny| Settings { allow, deny, otherwise_allow: false };
    assert_eq!(refused(settings(vec![failing()], vec![]), alice()), Some(Reason::RuleFailed));
    assert_eq!(refused(settings(vec![group("gold")], vec![failing()]), alice()), Some(Reason::RuleFailed));
    assert_eq!(refused(settings(vec![failing(), group("gold")], vec![]), alice()), None);
    let open = Settings { deny: vec![failing()], otherwise_allow: true, ..Settings::default() };
    assert_eq!(refused(open, Caller::default()), Some(Reason::RuleFailed));
}

#[test]
fn nobody_is_no_consumer_of_an_empty_name() {
    let allow = vec![Rule::Consumer(vec!["alice".into()]), group("gold")];
    assert_eq!(
        refused(Settings { allow, ..Settings::default() }, Caller::default()),
        Some(Reason::NotAllowed)
    );
}
