//! The document's words for balancers and the balancers that there are belong together.

use tollgate_config::{Document, MemoryFiles, parse_str, render, schema};
use tollgate_upstream::{BALANCERS, balancers::balancer};

fn with_balance(word: &str) -> Document {
    let text = format!(
        "version: 1\nlisten: ':0'\nupstreams: {{ a: {{ endpoints: ['b:1'], balance: {word} }} }}\n\
         routes: [{{ path: /, to: a }}]\n"
    );
    let loaded = parse_str("test.yaml", &text, &MemoryFiles::default(), &|_| None);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    loaded.document.unwrap_or_else(|| panic!("{word}: {findings}"))
}

/// The word of the document that stands for the one that was written.
fn usual(word: &str) -> &'static str {
    with_balance(word).upstreams.get("a").unwrap().balance.word()
}

#[test]
fn each_balancer_has_its_word() {
    for row in BALANCERS {
        assert_eq!(usual(row.name), row.name);
    }
}

#[test]
fn each_word_has_its_balancer() {
    let schema = schema();
    let shapes = schema["$defs"]["Upstream"]["properties"]["balance"]["anyOf"].as_array().unwrap();
    let words = shapes.iter().find_map(|shape| shape["enum"].as_array()).unwrap();
    assert!(words.len() >= BALANCERS.len(), "{words:?}");
    for word in words {
        let word = word.as_str().unwrap();
        assert!(balancer(usual(word)).is_some(), "{word}");
    }
}
