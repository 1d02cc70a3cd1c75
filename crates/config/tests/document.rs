//! What loading makes of documents beyond their findings: how levels combine, the no-file mode, large
//! documents, and documents that somebody broke.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use tollgate_config::{
    Action, Destination, Document, Files, Loaded, MemoryFiles, RetryPlan, Route, forwarding, load, parse_str,
    render,
};

fn parse(text: &str) -> Loaded {
    let mut files = MemoryFiles::default();
    files.insert("secrets/probe.txt", "s3cret");
    let environment = |name: &str| match name {
        "PROBE_TOKEN" => Some("s3cret".to_owned()),
        "PG_UPSTREAM" => Some("postgres".to_owned()),
        _ => None,
    };
    parse_str("tollgate.yaml", text, &files, &environment)
}

fn document(text: &str) -> Document {
    let loaded = parse(text);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    loaded.document.unwrap_or_else(|| panic!("{findings}"))
}

#[test]
fn the_most_specific_level_wins_key_by_key() {
    let document = document(
        "
version: 1
listen: ':0'
defaults:
  retry: { attempts: 5, backoff: 50ms, budget: 10% }
  timeouts: { connect: 1s, idle: none, try: 4s }
upstreams:
  plain: [a:1]
  own:
    endpoints: [b:1]
    retry: { attempts: 3, budget_min: 9 }
    timeouts: { connect: 3s, try: none }
  without: { endpoints: [c:1], retry: none }
routes:
  - { name: inherits, path: /a, to: plain }
  - { name: overrides, path: /b, to: own, retry: { body: 1KiB }, timeouts: { total: 9s, idle: 7s } }
  - { name: off, path: /c, to: own, retry: none }
  - { name: off-above, path: /d, to: without }
  - { name: on-again, path: /e, to: without, retry: { attempts: 4 } }
",
    );
    let route = |name: &str| -> &Route {
        let named = |route: &&tollgate_config::Located<Route>| {
            route.name.as_ref().is_some_and(|found| found.as_str() == name)
        };
        document.routes.iter().find(named).unwrap()
    };
    let upstream = |name: &str| document.upstreams.get(name).map(|upstream| &upstream.value);
    let (ms, s) = (Duration::from_millis, Duration::from_secs);

    let inherited = RetryPlan {
        attempts: 5,
        body: 65536,
        backoff: ms(50),
        max_backoff: ms(250),
        on: Vec::new(),
        methods: Vec::new(),
        retry_after: s(5),
    };
    assert_eq!(document.retry_plan(route("inherits"), upstream("plain")).as_ref(), Some(&inherited));
    let overridden = RetryPlan { attempts: 3, body: 1024, ..inherited.clone() };
    assert_eq!(document.retry_plan(route("overrides"), upstream("own")), Some(overridden));
    assert_eq!(document.retry_plan(route("off"), upstream("own")), None);
    assert_eq!(document.retry_plan(route("off-above"), upstream("without")), None);
    // What `none` switched off does not come back: the built-in values do.
    let again = RetryPlan { attempts: 4, backoff: ms(25), ..inherited };
    assert_eq!(document.retry_plan(route("on-again"), upstream("without")), Some(again));

    let budget = document.retry_budget(upstream("own"));
    assert_eq!((budget.share.basis_points(), budget.min), (1000, 9));

    let timeouts = document.timeouts(route("overrides"), upstream("own"));
    assert_eq!(timeouts.connect, Some(s(3)));
    assert_eq!(timeouts.first_byte, Some(s(60)));
    assert_eq!(timeouts.idle, Some(s(7)));
    assert_eq!(timeouts.attempt, None);
    assert_eq!(timeouts.total, Some(s(9)));
    let timeouts = document.timeouts(route("inherits"), upstream("plain"));
    assert_eq!((timeouts.connect, timeouts.idle, timeouts.attempt), (Some(s(1)), None, Some(s(4))));
}

#[test]
fn without_settings_a_request_gets_three_attempts() {
    let document = document("{ version: 1, listen: ':0', routes: [{ path: /, to: 'http://a:1' }] }");
    let plan = document.retry_plan(&document.routes[0], None).unwrap();
    assert_eq!(plan.attempts, 3);
}

#[test]
fn the_no_file_mode_is_a_document() {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let one = document(&forwarding(&text(&[":8080"]), &text(&["127.0.0.1:3000"])));
    assert_eq!(one.listen.len(), 1);
    assert!(
        matches!(&one.routes[0].action, Action::To(to) if matches!(to.upstream.value, Destination::Inline(_)))
    );
    let two = document(&forwarding(&text(&[":8080", "[::1]:81"]), &text(&["http://a:1", "b:2"])));
    assert_eq!((two.listen.len(), two.upstreams.get("endpoints").unwrap().endpoints.len()), (2, 2));
    // What is typed on a command line cannot become structure, and its errors are findings like any other.
    for wrong in ["b", "b:1, c:2]", "\"", "${HOME}:1", "a\nb:1", "ftp://b"] {
        let loaded = parse(&forwarding(&text(&[":8080"]), &text(&[wrong])));
        assert!(loaded.document.is_none(), "{wrong}");
        let loaded = parse(&forwarding(&text(&[wrong]), &text(&["a:1"])));
        assert!(loaded.document.is_none(), "{wrong}");
    }
}

#[test]
fn includes_are_relative_to_the_including_file() {
    let mut files = MemoryFiles::default();
    files.insert("/etc/t/main.yaml", "version: 1\ninclude: parts/all.yaml\nlisten: ':80'\n");
    files.insert("/etc/t/parts/all.yaml", "include: [./r-*.yaml, ../up.yaml]\n");
    files.insert("/etc/t/parts/r-2.yaml", "routes: [{ name: two, path: /2, to: a }]\n");
    files.insert("/etc/t/parts/r-1.yaml", "routes: [{ name: one, path: /1, to: a }]\n");
    files.insert("/etc/t/parts/.r-0.yaml", "not: read\n");
    files.insert("/etc/t/up.yaml", "upstreams: { a: [a:1] }\n");
    let loaded = load(Path::new("/etc/t/main.yaml"), &files, &|_| None);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    let document = loaded.document.unwrap_or_else(|| panic!("{findings}"));
    let names: Vec<&str> =
        document.routes.iter().filter_map(|r| r.name.as_ref()).map(|n| n.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(loaded.sources.name(document.routes[1].origin.file), "/etc/t/parts/./r-2.yaml");
    assert_eq!(loaded.sources.names().count(), 5);
}

#[test]
fn many_or_large_files_are_refused() {
    let mut files = MemoryFiles::default();
    files.insert("main.yaml", "version: 1\ninclude: 'd/*.yaml'\nlisten: ':80'\nroutes: [{ to: 'a:1' }]\n");
    for number in 0..10_050 {
        files.insert(format!("d/{number}.yaml"), "{}");
    }
    let loaded = load(Path::new("main.yaml"), &files, &|_| None);
    assert!(render(&loaded.diagnostics, &loaded.sources, false).contains("at most 10000 files"));

    let mut files = MemoryFiles::default();
    files.insert("main.yaml", " ".repeat(33 << 20));
    let loaded = load(Path::new("main.yaml"), &files, &|_| None);
    assert!(render(&loaded.diagnostics, &loaded.sources, false).contains("larger than"));
    assert!(files.read(Path::new("main.yaml"), 10).is_err());
}

#[test]
fn a_hundred_thousand_routes_load_whole() {
    let mut text = String::from("version: 1\nlisten: ':8080'\nupstreams:\n");
    for number in 0..1000 {
        text.push_str(&format!("  u{number}: [h{number}:80]\n"));
    }
    text.push_str("routes:\n");
    for number in 0..100_000 {
        let upstream = number % 1000;
        text.push_str(&format!(
            "  - {{ name: r{number}, host: h{upstream}.example, path: /p/{number}, to: u{upstream} }}\n"
        ));
    }
    let document = document(&text);
    assert_eq!(document.routes.len(), 100_000);
    assert_eq!(document.routes[99_999].origin.line, 101_004);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is cut out, doubled or put in: findings, never a panic, and each finding at a place that exists.
    #[test]
    ///
    /// The texts come from a fixed document, so that many edits leave most of it right.
    fn broken_documents_give_findings(
        edits in prop::collection::vec((any::<Index>(), 0usize..40, "[\\[\\]{}:,&*!|>'\"%@`#\\- \\n\\t$éa0/.]{0,4}"), 1..6)
    ) {
        let mut text = std::fs::read_to_string("tests/golden/valid-rich.yaml").unwrap();
        for (at, cut, put) in edits {
            let mut from = at.index(text.len());
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = (from + cut).min(text.len());
            while !text.is_char_boundary(to) {
                to -= 1;
            }
            text.replace_range(from..to.max(from), &put);
        }
        let loaded = parse(&text);
        let debug = format!("{loaded:?}");
        prop_assert!(!debug.contains("s3cret"), "a secret shows");
        prop_assert_eq!(loaded.document.is_some(), !loaded.diagnostics.has_errors());
        let lines = text.split('\n').count() as u32;
        for finding in loaded.diagnostics.iter() {
            prop_assert!(!finding.message.is_empty());
            // The parser may point behind the last line when the text ends too early.
            prop_assert!(finding.origin.line <= lines + 1, "{:?} of {} lines", finding, lines);
        }
        let shown = render(&loaded.diagnostics, &loaded.sources, true);
        prop_assert_eq!(shown.is_empty(), loaded.diagnostics.iter().next().is_none());
        if let Some(document) = &loaded.document {
            let again = parse(&document.to_yaml());
            prop_assert!(again.document.is_some(), "{}\n{}", document.to_yaml(), render(&again.diagnostics, &again.sources, false));
        }
    }
}
