//! The effective form of every right golden document, `golden/valid-NAME.effective`, and what holds for all of them.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tollgate_config::{DiskFiles, MemoryFiles, difference, effective, load, parse_str, render};

fn environment(name: &str) -> Option<String> {
    match name {
        "PROBE_TOKEN" => Some("s3cret".to_owned()),
        "PG_UPSTREAM" => Some("postgres".to_owned()),
        _ => None,
    }
}

fn documents() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/golden").unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.retain(|path| name(path).starts_with("valid-") && name(path).ends_with(".yaml"));
    paths.sort();
    assert!(paths.len() >= 3, "{paths:?}");
    paths
}

#[test]
fn effective_documents_are_as_expected() {
    let mut wrong = Vec::new();
    for path in documents() {
        let loaded = load(&path, &DiskFiles, &environment);
        let document = loaded.document.unwrap();
        let effective = effective(&document, &loaded.sources);
        let actual = effective.to_yaml(true, false);
        let shown = [&actual, &effective.to_yaml(false, true), &effective.to_json(false).to_string()]
            .map(String::clone);
        for secret in ["s3cret", "hunter2"] {
            assert!(!shown.iter().any(|text| text.contains(secret)), "{}:\n{actual}", path.display());
        }
        // Without defaults, it is the document's canonical text.
        assert_eq!(effective.to_yaml(false, true), document.to_yaml());
        let expected_path = path.with_extension("effective");
        if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&expected_path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if expected != actual {
            wrong.push(format!("{} differs:\n{actual}", expected_path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_value_has_an_origin_and_all_of_them_together_are_the_document() {
    for path in documents() {
        let loaded = load(&path, &DiskFiles, &environment);
        let document = loaded.document.unwrap();
        let effective = effective(&document, &loaded.sources);
        for entry in effective.to_json(false).as_array().unwrap() {
            assert!(entry["origin"]["kind"].is_string(), "{}: {entry}", path.display());
        }
        for entry in effective.to_json(true).as_array().unwrap() {
            let kind = entry["origin"]["kind"].as_str();
            assert!(matches!(kind, Some("file" | "environment")), "{}: {entry}", path.display());
        }
        let text = effective.to_yaml(true, false);
        if text.contains("***") {
            continue;
        }
        let again = parse_str(path.to_str().unwrap(), &text, &DiskFiles, &environment);
        let findings = render(&again.diagnostics, &again.sources, false);
        let again = again.document.unwrap_or_else(|| panic!("{findings}\n{text}"));
        assert_eq!(difference(&document, &again), [], "{text}");
    }
}

#[test]
fn origins_lead_to_the_line_that_set_the_value() {
    let mut files = MemoryFiles::default();
    files.insert(
        "t/main.yaml",
        "version: 1
include: conf.d/*.yaml
listen: \":80\"
limits:
  fields: 100
  head_size: ${SIZE:-16KiB}
upstreams:
  a: [a:1]
  b:
    endpoints:
      - { address: b:1, weight: 2 }
routes:
  - path: [/x]
    method:
      - GET
      - HEAD
    to: ${A}${B}
",
    );
    files.insert("t/conf.d/one.yaml", "routes:\n- path: { prefix: /y }\n  to:\n    b\n");
    let variables = |name: &str| match name {
        "A" => Some(String::new()),
        "B" => Some("a".to_owned()),
        _ => None,
    };
    let loaded = load(Path::new("t/main.yaml"), &files, &variables);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    let document = loaded.document.unwrap_or_else(|| panic!("{findings}"));
    let entries = effective(&document, &loaded.sources).to_json(false);
    let origin = |wanted: &str| {
        let entry = entries.as_array().unwrap().iter().find(|entry| entry["path"] == wanted);
        let origin = &entry.unwrap_or_else(|| panic!("no {wanted} in {entries:#}"))["origin"];
        match (&origin["kind"], &origin["variables"]) {
            (Json::String(kind), Json::Null) if kind == "default" => "default".to_owned(),
            (_, Json::Null) => format!("{}:{}", origin["file"].as_str().unwrap(), origin["line"]),
            (_, variables) => format!("{variables} {}", origin["line"]),
        }
    };
    for (path, expected) in [
        ("version", "t/main.yaml:1"),
        ("listen.address", "t/main.yaml:3"),
        ("listen.defer_accept", "default"),
        // Written, though it is the default.
        ("limits.fields", "t/main.yaml:5"),
        ("limits.head_size", "[\"SIZE\"] 6"),
        ("limits.target_size", "default"),
        ("upstreams.a.endpoints[0].address", "t/main.yaml:8"),
        ("upstreams.a.endpoints[0].weight", "default"),
        ("upstreams.b.endpoints[0].weight", "t/main.yaml:11"),
        ("upstreams.b.ejection.base", "default"),
        ("routes[0].path", "t/main.yaml:13"),
        ("routes[0].methods[1]", "t/main.yaml:16"),
        ("routes[0].to", "[\"A\",\"B\"] 17"),
        ("routes[1].path", "t/conf.d/one.yaml:2"),
        ("routes[1].to", "t/conf.d/one.yaml:4"),
    ] {
        assert_eq!(origin(path), expected, "{path}");
    }
    let one = &entries.as_array().unwrap()[0];
    assert_eq!(one["value"], 1);
}
