//! Who takes part with which weight: tiers, zones, subsets, slow start.

use std::collections::BTreeMap;

use tollgate_testkit::{Launch, Origin, Tollgate, refusing};

use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get, launch};

/// How often each origin answered, by what it says.
fn answers(tollgate: &Tollgate, path: &str, requests: usize) -> BTreeMap<String, usize> {
    let (mut client, mut counts) = (tollgate.connect(), BTreeMap::new());
    for _ in 0..requests {
        *counts.entry(client.request(get(path)).text()).or_default() += 1;
    }
    counts
}

fn counted(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The endpoints as the program tells of them, in the document's order.
fn told(tollgate: &Tollgate) -> Vec<serde_json::Value> {
    json_of(&verb(tollgate, &["endpoint", "list", "--json"]))["endpoints"].as_array().unwrap().clone()
}

#[test]
fn a_backup_serves_only_what_the_first_tier_cannot_carry() {
    let (first, backup) = (Origin::saying("first"), Origin::saying("backup"));
    let tollgate = launch(
        "upstreams: { shop: [\"{first}\", { address: \"{backup}\", backup: true }] }\n\
         routes: [{ path: /, to: shop }]\n",
        &[("first", &first.address()), ("backup", &backup.address())],
    );
    assert_eq!(answers(&tollgate, "/", 20), counted(&[("first", 20)]));
    let listed = verb(&tollgate, &["endpoint", "list"]).stdout;
    assert!(
        listed.contains("○ spare") && listed.contains("tier 1: a backup, and the tier before it"),
        "{listed}"
    );
    assert!(verb(&tollgate, &["status"]).stdout.contains("● serving"));
    let endpoint = first.address().to_string();
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "shop", &endpoint]).code, Some(0));
    assert_eq!(answers(&tollgate, "/", 20), counted(&[("backup", 20)]));
    assert_eq!(verb(&tollgate, &["endpoint", "undrain", "shop", &endpoint]).code, Some(0));
    assert_eq!(answers(&tollgate, "/", 20), counted(&[("first", 20)]));
}

#[test]
fn a_backup_saves_the_requests_when_the_first_tier_is_ejected() {
    let ((refusing, _kept), backup) = (refusing(), Origin::saying("backup"));
    let tollgate = launch(
        "upstreams:\n  shop:\n    endpoints: [\"{refusing}\", { address: \"{backup}\", priority: 3 }]\n    \
         ejection: { consecutive_failures: 1, base: 1h, max: 1h, max_percent: 100% }\n\
         routes: [{ path: /, to: shop }, { path: /once, to: shop, retry: none }]\n",
        &[("refusing", &refusing), ("backup", &backup.address())],
    );
    assert_eq!(tollgate.request(get("/once")).status, 502);
    assert_eq!(answers(&tollgate, "/", 10), counted(&[("backup", 10)]));
}

#[test]
fn requests_stay_in_the_own_zone() {
    let (near, far) = (Origin::saying("near"), Origin::saying("far"));
    let document = format!(
        "{PRELUDE}zone: ${{ZONE}}\nupstreams:\n  shop:\n    endpoints: [{{ address: \"{{near}}\", zone: a }}, \
         {{ address: \"{{far}}\", zone: b }}]\n    prefer_zone: true\nroutes: [{{ path: /, to: shop }}]\n"
    );
    let launch = Launch::new(PROGRAM, &document).with("near", near.address()).with("far", far.address());
    let tollgate = launch.environment("ZONE", "a").start();
    assert_eq!(answers(&tollgate, "/", 20), counted(&[("near", 20)]));
    let far_told = &told(&tollgate)[1];
    assert_eq!((&far_told["state"], &far_told["part"]["zone"]), (&"spare".into(), &"b".into()));
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "shop", &near.address().to_string()]).code, Some(0));
    assert_eq!(answers(&tollgate, "/", 20), counted(&[("far", 20)]));
}

#[test]
fn routes_choose_endpoints_by_their_labels() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let tollgate = launch(
        "recorder: { sample: 100% }\nupstreams:\n  shop:\n    - { address: \"{one}\", labels: { version: v1 } }\n    \
         - { address: \"{two}\", labels: { version: v2 } }\nroutes:\n  - { path: /, to: shop }\n  \
         - { path: /v2, to: { upstream: shop, labels: { version: v2 } } }\n  \
         - { path: /v3, to: { upstream: shop, labels: { version: v3 } } }\n  \
         - { path: /any, to: { upstream: shop, labels: { version: v3 }, if_none: any } }\n  \
         - path: /split\n    split:\n      a: { upstream: shop, weight: 1, labels: { version: v1 } }\n      \
         b: { upstream: shop, weight: 0, labels: { version: v2 } }\n",
        &[("one", &one.address()), ("two", &two.address())],
    );
    for path in ["/", "/any"] {
        assert_eq!(answers(&tollgate, path, 20), counted(&[("one", 10), ("two", 10)]), "{path}");
    }
    assert_eq!(answers(&tollgate, "/v2", 20), counted(&[("two", 20)]));
    assert_eq!(answers(&tollgate, "/split", 20), counted(&[("one", 20)]));
    let response = tollgate.request(get("/v3"));
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("no_endpoint")));
    assert!(!response.text().contains("labels"), "not for the client: {}", response.text());
    let why = verb(&tollgate, &["why", "--reason", "no_endpoint"]).stdout;
    for part in ["o endpoint has these labels", "it has other labels than the route asks for", "(version=v3)"]
    {
        assert!(why.contains(part), "{part} is not in\n{why}");
    }
}

#[test]
fn an_endpoint_that_a_reload_adds_warms_up_and_those_from_the_start_do_not() {
    let (old, new) = (Origin::saying("old"), Origin::saying("new"));
    let document = |more: &str| {
        format!(
            "{PRELUDE}upstreams:\n  shop:\n    endpoints: [\"{}\"{more}]\n    slow_start: 1h\n\
             routes: [{{ path: /, to: shop }}]\n",
            old.address()
        )
    };
    let tollgate = Launch::new(PROGRAM, &document("")).start();
    assert_eq!(told(&tollgate)[0]["part"]["warm_percent"], serde_json::Value::Null);
    let said = tollgate.reload(&document(&format!(", \"{}\"", new.address())));
    assert!(said.contains("is in force"), "{said}");
    // A tenth of its share: one of eleven.
    let counts = answers(&tollgate, "/", 220);
    assert!(counts["old"].abs_diff(200) <= 2 && counts["new"].abs_diff(20) <= 2, "{counts:?}");
    let endpoints = told(&tollgate);
    assert_eq!(endpoints[0]["part"]["warm_percent"], serde_json::Value::Null);
    assert_eq!(endpoints[1]["part"]["warm_percent"], 10);
    assert!(verb(&tollgate, &["endpoint", "list"]).stdout.contains("warming up, 10%"));
}
