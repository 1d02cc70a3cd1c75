//! Documents beside what loading them says: `golden/NAME.yaml` and `golden/NAME.expected`.
//!
//! The expected text is the findings, and for a document that is right its canonical form. After a wanted
//! change, `TOLLGATE_GOLDEN=write cargo test -p tollgate-config` writes all of them anew; review the diff.

use std::path::{Path, PathBuf};

use tollgate_config::{DiskFiles, Loaded, load, parse_str, reference, render, schema};

fn environment(name: &str) -> Option<String> {
    match name {
        "SET" => Some("s3cret value".to_owned()),
        "PROBE_TOKEN" => Some("s3cret".to_owned()),
        "PG_UPSTREAM" => Some("postgres".to_owned()),
        _ => None,
    }
}

fn documents() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/golden").unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths
}

fn is_valid(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with("valid-")
}

/// Compares with a file, or writes it.
fn compare(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!("{} differs:\n--- expected\n{expected}\n--- actual\n{actual}", path.display()))
}

fn shown(loaded: &Loaded) -> String {
    let mut text = render(&loaded.diagnostics, &loaded.sources, false);
    if let Some(document) = &loaded.document {
        text.push_str(&document.to_yaml());
    }
    text
}

#[test]
fn documents_load_as_expected() {
    let mut wrong = Vec::new();
    for path in documents() {
        let loaded = load(&path, &DiskFiles, &environment);
        assert_eq!(loaded.document.is_some(), !loaded.diagnostics.has_errors());
        let text = shown(&loaded);
        for secret in ["s3cret", "hunter2"] {
            assert!(!text.contains(secret), "{} shows a secret:\n{text}", path.display());
            assert!(!format!("{loaded:?}").contains(secret), "{}: {loaded:?}", path.display());
        }
        assert_eq!(is_valid(&path), !text.contains("error") && !text.contains("warning"), "{text}");
        wrong.extend(compare(&path.with_extension("expected"), &text).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_written_is_the_same_document() {
    for path in documents().into_iter().filter(|path| is_valid(path)) {
        let first = load(&path, &DiskFiles, &environment).document.unwrap();
        let text = first.to_yaml();
        let second = parse_str(path.to_str().unwrap(), &text, &DiskFiles, &environment);
        let findings = render(&second.diagnostics, &second.sources, false);
        let second = second.document.unwrap_or_else(|| panic!("{findings}\n{text}"));
        // Secrets that stand in the document are masked, so only the texts can be the same.
        assert_eq!(second.to_yaml(), text);
        if !text.contains("***") {
            let without_includes = tollgate_config::Document { include: second.include.clone(), ..first };
            assert_eq!(without_includes, second);
        }
    }
}

#[test]
fn the_schema_is_as_expected() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    compare(Path::new("tests/golden/schema.json"), &text).unwrap();
}

#[test]
fn the_reference_of_the_documentation_is_current() {
    compare(Path::new("../../docs/reference.md"), &reference()).unwrap();
}
