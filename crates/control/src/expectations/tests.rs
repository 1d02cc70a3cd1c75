use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{OnFailedTests, Severity};
use tollgate_decision::Reason;
use tollgate_policy::{Asked, Chain, Entry, Gate, Mode, Policy, Resolution, Stage, Verdict};
use tollgate_proxy::Snapshot;
use tollgate_upstream::HealthEvents;

use super::{Tried, try_all};
use crate::compile::Predecessor;
use crate::prepare::{Prepared, Ready, Text, prepare};
use crate::resolve::NoResolver;

const DOCUMENT: &str = r#"
version: 1
listen: ":8080"
upstreams:
  shop: ["shop.internal:9001"]
  next: ["127.0.0.1:9003"]
  off: ["127.0.0.1:9004"]
routes:
  - { name: products, host: shop.example, path: /products, methods: [GET], split: { shop: 3, next: 1, off: 0 } }
  - { name: beta, host: shop.example, path: /products, methods: [GET], match: { headers: { X-Beta: "1" } }, to: next }
  - { name: old, path: /old, redirect: { path: { prefix: /new }, status: 301 } }
  - { name: gone, path: /gone, respond: { status: 410, headers: { X-Why: sold } }, headers: { response: { set: { X-Set: hush } } } }
  - name: inline
    path: /inline
    to: "http://127.0.0.1:3000"
    rewrite: { path: { prefix: /v2 }, host: inner }
    headers: { request: { set: { X-Set: hush }, remove: [X-Gone] } }
"#;

fn prepared(tests: &[&str], before: &str) -> Prepared {
    let tests: String = tests.iter().map(|test| format!("  - {test}\n")).collect();
    let text = Text::Inline("test.yaml".to_owned(), format!("{before}tests:\n{tests}"));
    let prepared = prepare(&text, &Predecessor::default(), &NoResolver, &HealthEvents::unheard());
    assert!(prepared.ready.is_some(), "{}", prepared.report(false));
    prepared
}

fn tried(tests: &[&str]) -> Tried {
    let Ready { document, snapshot, .. } = prepared(tests, DOCUMENT).ready.unwrap();
    try_all(&document, &snapshot, Duration::from_secs(1_000_000_000), 0)
}

#[test]
fn what_a_document_does_passes() {
    let tests = [
        r#"{ name: split, request: "http://shop.example/products/7", expect: { route: products, upstream: next } }"#,
        r#"{ name: header, request: { url: "http://shop.example/products", headers: { X-Beta: "1" } }, expect: { route: beta, upstream: next, reason: forwarded } }"#,
        r#"{ name: method, request: { method: POST, url: "http://shop.example/products" }, expect: { status: 404, reason: no_route } }"#,
        r#"{ name: redirect, request: "https://x.example/old/a?b=c", expect: { status: 3xx, reason: redirect, headers: { location: "https://x.example/new/a?b=c" } } }"#,
        r#"{ name: port, request: "http://x.example:81/old", expect: { headers: { Location: "http://x.example:81/new" } } }"#,
        r#"{ name: answer, request: "http://x.example/gone", expect: { status: 410, reason: fixed_response, headers: { X-Why: sold, X-Set: hush, Server: { regex: "toll.*" } } } }"#,
        r#"{ name: sent, request: { url: "https://x.example/inline/a", address: 2001:db8::7, headers: { X-Kept: k } }, expect: { upstream: "http://127.0.0.1:3000", headers: { Host: inner, X-Forwarded-For: "2001:db8::7", X-Forwarded-Proto: https, X-Set: hush, X-Kept: k, X-Request-ID: { present: true } } } }"#,
        r#"{ name: refused, request: "http://x.example/%00", expect: { status: 400, reason: bad_path } }"#,
    ];
    let tried = tried(&tests);
    assert_eq!((tried.run, tried.failures.as_slice()), (tests.len(), &[][..]));
    assert_eq!(tried.summary(), "8 tests passed");
}

#[test]
fn a_failure_tells_what_was_expected_what_came_and_what_decided() {
    for (test, difference, because) in [
        (
            r#"{ name: t, request: { method: POST, url: "http://shop.example/products?a=b" }, expect: { route: products } }"#,
            "route: expected products, got none",
            &[
                "no route takes host shop.example, path /products, query a=b",
                "the route `products` does not (method)",
            ][..],
        ),
        (
            r#"{ name: t, request: "http://shop.example/products", expect: { route: beta } }"#,
            "route: expected beta, got products",
            &["the route `products` takes", "the route `beta` does not (header x-beta)"],
        ),
        (
            r#"{ name: t, request: "http://shop.example/products", expect: { upstream: off } }"#,
            "upstream: expected off, got shop",
            &["split over shop 3, next 1, off 0"],
        ),
        (
            r#"{ name: t, request: "http://x.example/gone", expect: { upstream: next } }"#,
            "upstream: expected next, got 410 fixed_response",
            &["what the route `gone` does: respond with 410"],
        ),
        (
            r#"{ name: t, request: "http://x.example/inline", expect: { status: 2xx } }"#,
            "status: expected 200-299, got no answer: it is sent on to 127.0.0.1:3000",
            &["the route `inline` takes"],
        ),
        (
            r#"{ name: t, request: "http://x.example/gone", expect: { reason: fixed_respons } }"#,
            "reason: expected fixed_respons, got fixed_response",
            &["did you mean `fixed_response`?"],
        ),
        (
            r#"{ name: t, request: { url: "http://x.example/inline", headers: { X-Gone: g } }, expect: { headers: { X-Gone: { present: true } } } }"#,
            "header X-Gone: expected any value, got no such field",
            &[],
        ),
        (
            r#"{ name: t, request: "http://x.example/gone", expect: { headers: { X-Why: { regex: "so" } } } }"#,
            "header X-Why: expected what matches `so`, got `sold`",
            &[],
        ),
        (
            r#"{ name: t, request: "http://x.example/%00", expect: { route: gone } }"#,
            "route: expected gone, got none",
            &["it is refused before a route is looked for"],
        ),
    ] {
        let tried = tried(&[test]);
        let [failure] = &tried.failures[..] else { panic!("{test}: {tried:?}") };
        assert_eq!(failure.differences[0].to_string(), difference, "{test}");
        for part in because {
            let told = failure.because.join("\n");
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
    }
}

#[test]
fn what_may_be_a_secret_is_not_told() {
    let tried = tried(&[
        r#"{ name: a, request: "http://x.example/inline", expect: { headers: { X-Set: other } } }"#,
        r#"{ name: b, request: "http://x.example/gone", expect: { headers: { X-Set: other } } }"#,
        r#"{ name: c, request: { url: "http://x.example/inline", headers: { Cookie: hush } }, expect: { headers: { Cookie: other } } }"#,
    ]);
    assert_eq!(tried.failures.len(), 3);
    assert!(!format!("{tried:?}").contains("hush"), "{tried:?}");
}

#[test]
fn failed_tests_are_errors_or_warnings_as_the_document_says_or_whoever_asks() {
    let test = r#"{ name: t, request: "http://x.example/gone", expect: { status: 200 } }"#;
    let refuse = format!("on_failed_tests: refuse\n{DOCUMENT}");
    for (document, asked, severity) in [
        (DOCUMENT, None, Severity::Warning),
        (&refuse, None, Severity::Error),
        (DOCUMENT, Some(OnFailedTests::Refuse), Severity::Error),
        (&refuse, Some(OnFailedTests::Warn), Severity::Warning),
    ] {
        let (prepared, tried) = prepared(&[test], document).try_tests(asked);
        assert_eq!(tried.summary(), "the only test failed");
        assert_eq!(prepared.ready.is_some(), severity == Severity::Warning);
        let found: Vec<_> = prepared.diagnostics.iter().filter(|f| f.message.contains("`t`")).collect();
        assert_eq!((found.len(), found[0].severity), (1, severity));
        assert!(found[0].origin.is_known());
    }
}

/// Takes whoever is assumed, and refuses everybody else.
#[derive(Debug)]
struct Assumed;

impl Policy for Assumed {
    fn name(&self) -> &str {
        "assumed"
    }

    fn stage(&self) -> Stage {
        Stage::Identify
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        match asked.mode {
            Mode::Explain(Some(caller)) => {
                gate.caller = caller.clone();
                Verdict::CONTINUE
            }
            _ => Verdict::refuse(Reason::Unauthenticated),
        }
    }
}

/// Refuses everybody: as a limit does that is used up.
#[derive(Debug)]
struct UsedUp;

impl Policy for UsedUp {
    fn name(&self) -> &str {
        "used_up"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn decide(&self, _: &Asked<'_>, _: &mut Gate, _: Option<Resolution>) -> Verdict {
        Verdict::refuse(Reason::RateLimited)
    }
}

/// The snapshot with more policies on each route.
fn with_policies(snapshot: Arc<Snapshot>, policies: &[Arc<dyn Policy>]) -> Snapshot {
    let mut snapshot = Arc::try_unwrap(snapshot).unwrap();
    for route in &mut snapshot.routes {
        let mut settings = (*route.settings).clone();
        let own = settings.policies.iter().flat_map(|chain| chain.entries().iter().cloned());
        let more = policies.iter().map(|policy| Entry {
            policy: policy.clone(),
            shadow: false,
            series: Arc::default(),
        });
        settings.policies = Chain::new(own.chain(more).collect()).map(Arc::new);
        route.settings = Arc::new(settings);
    }
    snapshot
}

#[test]
fn callers_are_who_the_test_says_and_limits_are_not_asked() {
    let document = r#"
version: 1
listen: ":8080"
consumers: { alice: { groups: [staff] }, bob: {} }
routes:
  - name: orders
    path: /
    to: "http://127.0.0.1:3000"
    access: { allow: [{ group: staff }, { scope: "orders:read" }, { claim: { realm.plan: pro } }] }
"#;
    let tests = [
        "{ name: group, request: 'https://a.example/', caller: alice, expect: { reason: forwarded } }",
        "{ name: none, request: 'https://a.example/', caller: bob, expect: { status: 403, reason: not_allowed } }",
        "{ name: scope, request: 'https://a.example/', caller: { scopes: [a, 'orders:read'] }, expect: { reason: forwarded } }",
        "{ name: claim, request: 'https://a.example/', caller: { claims: { realm.plan: pro, n: [1, 2] } }, expect: { reason: forwarded } }",
        "{ name: stranger, request: 'https://a.example/', expect: { status: 401, reason: unauthenticated } }",
        "{ name: fails, request: 'https://a.example/', caller: bob, expect: { status: 200 } }",
    ];
    let Ready { document, snapshot, .. } = prepared(&tests, document).ready.unwrap();
    let snapshot = with_policies(snapshot, &[Arc::new(Assumed), Arc::new(UsedUp)]);
    let tried = try_all(&document, &snapshot, Duration::ZERO, 0);
    let [failure] = &tried.failures[..] else { panic!("{tried:?}") };
    assert_eq!(failure.name, "fails");
    let told = failure.because.join("\n");
    assert!(told.contains("the policy access: stopped the request, not_allowed"), "{told}");
    assert!(told.contains("it comes from: bob"), "{told}");
}
