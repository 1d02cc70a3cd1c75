//! `tollgate diff --traffic`: what would become of recorded requests.

use serde_json::{Value, json};
use tollgate_testkit::{Launch, Tollgate};

use super::{assert_done, assert_refused, verb_with};
use crate::verbs::json_of;
use crate::{PRELUDE, PROGRAM, get};

const ROUTES: &str = "upstreams: { a: [\"127.0.0.1:9\"], b: [\"127.0.0.1:9\"] }
routes:
  - { name: moved, path: /moved, respond: { status: 200, body: here } }
  - { name: closed, path: /closed, respond: 204 }
  - { name: renamed, path: /renamed, respond: 204 }
  - { name: same, path: /same, respond: 204 }
";
const OTHER: &str = "upstreams: { a: [\"127.0.0.1:9\"], b: [\"127.0.0.1:9\"] }
routes:
  - { name: moved, path: /moved, to: a }
  - { name: closed, path: /closed, method: POST, respond: 204 }
  - { name: renamed-to, path: /renamed, respond: 204 }
  - { name: opened, path: /opened, to: b }
  - { name: same, path: /same, respond: 204 }
";

fn document(sample: &str, routes: &str) -> String {
    format!("{PRELUDE}recorder: {{ sample: {sample} }}\n{routes}")
}

fn run(sample: &str) -> Tollgate {
    Launch::new(PROGRAM, &document(sample, ROUTES)).start()
}

/// So many requests for each path, on one connection, so that all but the last are recorded when this returns.
fn send(tollgate: &Tollgate, requests: &[(&str, usize)]) {
    let mut client = tollgate.connect();
    for (path, count) in requests {
        for _ in 0..*count {
            assert!(client.request(get(path)).status < 500);
        }
    }
}

fn compare(tollgate: &Tollgate, sample: &str) -> Value {
    json_of(&verb_with(tollgate, &["diff", "--traffic", "--json"], &document(sample, OTHER), &[]))["traffic"]
        .take()
}

/// Compares as soon as so many are recorded: an exchange is recorded right after its response was sent.
fn compare_all(tollgate: &Tollgate, sample: &str, recorded: u64) -> Value {
    let began = std::time::Instant::now();
    loop {
        let told = compare(tollgate, sample);
        if told["recorded"] == recorded {
            return told;
        }
        assert!(began.elapsed() < tollgate_testkit::PATIENCE, "{told}");
    }
}

#[test]
fn requests_that_would_fare_otherwise_are_told_by_share_with_examples_and_why() {
    let tollgate = run("100%");
    send(&tollgate, &[("/moved?token=x", 4), ("/closed", 3), ("/opened", 2), ("/renamed", 1), ("/same", 10)]);
    let told = compare_all(&tollgate, "100%", 20);
    assert_eq!((&told["represented"], &told["left_out"]), (&json!(20.0), &json!(0)));
    let expected = [
        (
            "elsewhere",
            "route moved, respond with 20",
            "route moved, upstream a",
            4,
            "route moved leads to upstream a now",
        ),
        (
            "refused",
            "route closed, respond with 20",
            "refused with 404 no_route",
            3,
            "route closed does not match its method",
        ),
        (
            "let_through",
            "refused with 404 no_route",
            "route opened, upstream b",
            2,
            "route opened matches it",
        ),
        (
            "other_route",
            "route renamed, respond with 20",
            "route renamed-to, respond with 20",
            1,
            "there is no route renamed any more",
        ),
    ];
    let groups = told["groups"].as_array().unwrap();
    assert_eq!(groups.len(), expected.len(), "{told:#}");
    for (group, (difference, before, after, recorded, why)) in groups.iter().zip(expected) {
        assert_eq!(
            (&group["difference"], &group["recorded"]),
            (&json!(difference), &json!(recorded)),
            "{group:#}"
        );
        let share = recorded as f64 / 20.0;
        for told in [&group["share"], &told["shares"][difference]] {
            assert!((told.as_f64().unwrap() - share).abs() < 1e-9, "{group:#}");
        }
        assert!(group["before"].as_str().unwrap().starts_with(before), "{group:#}");
        assert!(group["after"].as_str().unwrap().starts_with(after), "{group:#}");
        let examples = group["examples"].as_array().unwrap();
        assert_eq!(examples.len(), recorded.min(3), "{group:#}");
        assert!(
            examples.iter().all(|example| example["why"] == why && example["method"] == "GET"),
            "{group:#}"
        );
    }
    assert_eq!(groups[0]["examples"][0]["target"], "a.example/moved", "the query may hold secrets");
    assert!((told["changed_share"].as_f64().unwrap() - 0.45).abs() < 1e-9);

    let gate = |condition: &str| {
        verb_with(&tollgate, &["diff", "--traffic", "--fail-on", condition], &document("100%", OTHER), &[])
    };
    assert_done(&gate("changed>45%"), "45.00 % of them would fare otherwise");
    assert_refused(&gate("changed>44%"), 1, "changed is 45.00 %, allowed is 44 %");
    assert_refused(&gate("refused>0%"), 1, "refused is 15.00 %");
    assert_done(&gate("other_reason>0%"), "would go elsewhere");
    assert_eq!(gate("changed").code, Some(2));
}

#[test]
fn each_of_a_sample_stands_for_those_that_were_not_recorded() {
    let tollgate = run("0.1%");
    // Failures are recorded all, of the others one in a thousand: none of these, nearly surely.
    send(&tollgate, &[("/opened", 5)]);
    let told = compare_all(&tollgate, "0.1%", 5);
    assert_eq!(told["represented"], 5.0);
    // Those that are recorded now were sampled by the document of their time, whatever the share is later.
    assert!(tollgate.reload(&document("50%", ROUTES)).contains("document 2 is in force"));
    send(&tollgate, &[("/moved", 200), ("/opened", 1)]);
    let told = compare(&tollgate, "100%");
    assert!(tollgate.reload(&document("25%", ROUTES)).contains("document 3 is in force"));
    let later = compare(&tollgate, "100%");
    let moved = |told: &Value| {
        told["groups"].as_array().unwrap().iter().find(|g| g["difference"] == "elsewhere").cloned()
    };
    let group = moved(&told).unwrap();
    let (weight, recorded) = (2.0, group["recorded"].as_f64().unwrap());
    assert!((60.0..140.0).contains(&recorded), "{recorded} of 200 with a share of a half");
    let represented = told["represented"].as_f64().unwrap();
    assert!((group["share"].as_f64().unwrap() - recorded * weight / represented).abs() < 1e-9, "{group:#}");
    assert_eq!(moved(&later).unwrap()["recorded"].as_f64(), Some(recorded));
    assert!(
        (moved(&later).unwrap()["share"].as_f64().unwrap() * later["represented"].as_f64().unwrap()
            - recorded * weight)
            .abs()
            < 1e-6
    );
}

#[test]
fn a_gate_that_has_seen_nothing_does_not_open() {
    for recorder in ["recorder: none\n", ""] {
        let text = format!("{PRELUDE}{recorder}{ROUTES}");
        let tollgate = Launch::new(PROGRAM, &text).start();
        let diff = |after: &[&str]| verb_with(&tollgate, &["diff", "--traffic"], &text, after);
        assert_done(&diff(&[]), "no requests are recorded");
        assert_refused(&diff(&["--fail-on", "changed>50%"]), 1, "no requests are recorded");
    }
}

#[test]
fn more_kinds_of_change_than_are_listed_count_all_the_same() {
    let many = |answer: &str| -> String {
        let route = |n: usize| format!("  - {{ name: r{n}, path: /{n}, {answer} }}\n");
        "upstreams: { a: [\"127.0.0.1:9\"] }\nroutes:\n".to_owned() + &(0..60).map(route).collect::<String>()
    };
    let tollgate = Launch::new(PROGRAM, &document("100%", &many("respond: 204"))).start();
    let paths: Vec<String> = (0..60).map(|n| format!("/{n}")).collect();
    send(&tollgate, &paths.iter().map(|path| (path.as_str(), 1)).collect::<Vec<_>>());
    send(&tollgate, &[("/0", 1)]);
    let diff = |after: &[&str]| {
        verb_with(&tollgate, &["diff", "--traffic"], &document("100%", &many("to: a")), after)
    };
    let told = json_of(&diff(&["--json"]));
    assert_eq!(
        (told["traffic"]["groups"].as_array().unwrap().len(), &told["traffic"]["left_out"]),
        (50, &json!(10))
    );
    assert_refused(&diff(&["--fail-on", "elsewhere>99%"]), 1, "elsewhere is 100.00 %");
}
