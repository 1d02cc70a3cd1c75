//! Documents: any text gives a document or errors with places, and what is written back is the same document.

use tollgate_config::{Loaded, MemoryFiles, parse_str, render};

/// Loads a text as a document. Without a file system and an environment: nothing leaves the process.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let loaded = load(text);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    assert_eq!(loaded.document.is_some(), !loaded.diagnostics.has_errors(), "{findings}");
    let Some(document) = &loaded.document else {
        assert!(!findings.is_empty(), "refused without a word");
        return;
    };
    let written = document.to_yaml();
    let again = load(&written);
    let findings = render(&again.diagnostics, &again.sources, false);
    let Some(again) = &again.document else { panic!("{findings}\n{written}") };
    assert_eq!(again.to_yaml(), written);
}

fn load(text: &str) -> Loaded {
    parse_str("fuzz.yaml", text, &MemoryFiles::default(), &|_| None)
}
