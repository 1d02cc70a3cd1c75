//! A document and its bundle are the same document, whatever happens to the disk meanwhile.

use std::path::Path;

use tollgate_config::{Bundle, BundleError, DiskFiles, Files, Loaded, MemoryFiles, load, render};

fn environment(name: &str) -> Option<String> {
    match name {
        "SET" => Some("s3cret value".to_owned()),
        "PROBE_TOKEN" => Some("s3cret".to_owned()),
        "PG_UPSTREAM" => Some("postgres".to_owned()),
        _ => None,
    }
}

fn shop() -> MemoryFiles {
    let mut files = MemoryFiles::default();
    files.insert(
        "/etc/t/main.yaml",
        "version: 1\ninclude: [parts/*.yaml, more/one.yaml]\nlisten: ':80'\nupstreams: { a: [a:1] }\n",
    );
    files.insert("/etc/t/parts/r-2.yaml", "routes: [{ name: two, path: /2, to: a }]\n");
    files.insert("/etc/t/parts/r-1.yaml", "routes: [{ name: one, path: /1, to: a }]\n");
    files.insert(
        "/etc/t/more/one.yaml",
        "include: ../up.yaml\nroutes:\n  - path: /3\n    to: a\n    headers: { request: { set: { X-Key: { file: key } } } }\n",
    );
    files.insert("/etc/t/up.yaml", "upstreams: { b: [b:1] }\nroutes: [{ path: /b, to: b }]\n");
    files.insert("/etc/t/more/key", "s3cret");
    files
}

fn from(files: &dyn Files) -> Loaded {
    load(Path::new("/etc/t/main.yaml"), files, &environment)
}

fn shown(loaded: &Loaded) -> String {
    render(&loaded.diagnostics, &loaded.sources, false)
}

#[test]
fn every_golden_document_is_the_same_from_its_bundle() {
    let mut seen = 0;
    for entry in std::fs::read_dir("tests/golden").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let first = load(&path, &DiskFiles, &environment);
        let bundle = Bundle::of(&first.sources).unwrap();
        let sent = serde_json::to_string(&bundle).unwrap();
        let received: Bundle = serde_json::from_str(&sent).unwrap();
        assert_eq!(received, bundle);
        let second = received.load(&environment);
        assert_eq!(first.document, second.document, "{}", path.display());
        // What is missing on the disk is missing here for another reason.
        let reason = |text: String| {
            text.replace("No such file or directory (os error 2)", "it is not among the files that were sent")
        };
        let expected = reason(shown(&first)).lines().map(str::to_owned).collect::<Vec<_>>();
        let actual = reason(shown(&second)).lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(expected, actual, "{}", path.display());
        assert!(!format!("{bundle:?}").contains("version"), "{bundle:?}");
    }
    assert!(seen > 10);
}

#[test]
fn a_bundle_does_not_see_what_the_disk_has_become() {
    let mut files = shop();
    let first = from(&files);
    let document = first.document.as_ref().unwrap_or_else(|| panic!("{}", shown(&first)));
    assert_eq!(document.routes.len(), 4);
    let bundle = Bundle::of(&first.sources).unwrap();
    assert_eq!((bundle.root.as_str(), bundle.files.len()), ("/etc/t/main.yaml", 5));
    assert!(!bundle.files.values().any(|text| text.contains("s3cret")), "a secret file is no part");
    // A pattern finds no file that was not there, and a part that is gone or broken is still read.
    files.insert("/etc/t/parts/r-3.yaml", "routes: [{ name: three, path: /9, to: a }]\n");
    files.insert("/etc/t/up.yaml", "nonsense: true\n");
    assert!(from(&files).document.is_none());
    let again = bundle.load_beside(&files, &environment);
    assert_eq!(again.document, first.document, "{}", shown(&again));
    assert_eq!(Bundle::of(&again.sources), Some(bundle));
}

#[test]
fn a_part_that_was_not_sent_is_not_taken_from_the_disk() {
    let files = shop();
    let mut bundle = Bundle::of(&from(&files).sources).unwrap();
    bundle.files.retain(|name, _| !name.contains("up.yaml"));
    let loaded = bundle.load_beside(&files, &environment);
    assert!(loaded.document.is_none());
    let text = shown(&loaded);
    assert!(
        text.contains("not among the files that were sent") && text.contains("more/one.yaml:1"),
        "{text}"
    );
}

#[test]
fn findings_point_into_the_files_that_were_sent() {
    let files = shop();
    let mut bundle = Bundle::of(&from(&files).sources).unwrap();
    let part = bundle.files.get_mut("/etc/t/parts/r-2.yaml").unwrap();
    *part = "upstreams:\n  a: [c:1]\nroutes: [{ name: two, path: /2, to: a, colour: red }]\n".to_owned();
    let text = shown(&bundle.load_beside(&files, &environment));
    for wanted in
        ["unknown key `colour`", "`a` of `upstreams` is set in two files", "/etc/t/parts/r-2.yaml:3"]
    {
        assert!(text.contains(wanted), "{wanted}:\n{text}");
    }
}

#[test]
fn bundles_move_between_working_directories() {
    let folder = std::env::current_dir().unwrap().join("tests/golden");
    let loaded = load(Path::new("tests/golden/valid-rich.yaml"), &DiskFiles, &environment);
    let bundle = Bundle::of(&loaded.sources).unwrap();
    let moved = bundle.clone().below(&std::env::current_dir().unwrap());
    assert_eq!(moved.root, folder.join("valid-rich.yaml").display().to_string());
    let again = moved.load(&environment);
    assert_eq!(again.document, loaded.document, "{}", shown(&again));
    assert_eq!(moved.fingerprint(), bundle.fingerprint());
    assert_eq!(moved.clone().below(Path::new("/elsewhere")), moved);
}

#[test]
fn fingerprints_follow_the_texts_and_their_names() {
    let bundle = Bundle::of(&from(&shop()).sources).unwrap();
    let fingerprint = bundle.fingerprint();
    // Written down, because kept bundles are compared across versions.
    assert_eq!(fingerprint, "8e65bc13e3d071a4");
    let mut other = bundle.clone();
    other.files.get_mut("/etc/t/more/../up.yaml").unwrap().push('#');
    assert_ne!(other.fingerprint(), fingerprint);
    let mut renamed = bundle.clone();
    let text = renamed.files.remove("/etc/t/more/../up.yaml").unwrap();
    renamed.files.insert("/etc/t/down.yaml".into(), text);
    assert_ne!(renamed.fingerprint(), fingerprint);
}

#[test]
fn what_is_too_much_is_refused_with_a_reason() {
    let mut bundle = Bundle { root: "a.yaml".into(), files: [].into() };
    assert_eq!(bundle.verify(), Err(BundleError::NoMainFile("a.yaml".into())));
    assert!(shown(&bundle.load(&environment)).contains("the main file `a.yaml` is not among the files"));
    bundle.files.insert("./a.yaml".into(), String::new());
    assert_eq!(bundle.verify(), Ok(()));
    bundle.files.extend((0..10_000).map(|number| (format!("{number}.yaml"), String::new())));
    assert_eq!(bundle.verify(), Err(BundleError::TooManyFiles(10_001)));
    bundle.files.clear();
    bundle.files.insert("a.yaml".into(), " ".repeat((64 << 20) + 1));
    assert_eq!(bundle.verify(), Err(BundleError::TooLarge((64 << 20) + 1)));
    assert!(shown(&bundle.load(&environment)).contains("67108864 bytes"));
}
