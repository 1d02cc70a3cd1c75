//! One word a thing: the code says what GLOSSARY.md says.

use super::Places;
use crate::tidy::{Kind, Project, tokens};

/// Words that others use for what has another word here, and that word.
const WORDS: &[(&str, &str)] = &[
    ("frontend", "listener"),
    ("frontends", "listeners"),
    ("backend", "upstream or endpoint"),
    ("backends", "upstreams or endpoints"),
    ("downstream", "client side"),
    ("middleware", "policy"),
];

/// Names and comments of the product with such a word. Texts are left alone: they may be others' data.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for source in project.sources.iter().filter(|source| source.path.starts_with("crates/")) {
        for token in tokens(&source.text) {
            if !matches!(token.kind, Kind::Word | Kind::Comment) {
                continue;
            }
            let text = token.text.to_lowercase();
            for (number, line) in text.lines().enumerate() {
                let words = || line.split(|c: char| !c.is_alphanumeric());
                for (word, better) in WORDS.iter().filter(|(word, _)| words().any(|w| w == *word)) {
                    let message = format!("`{word}`: say {better} (GLOSSARY.md)");
                    found.push((source.path.clone(), token.line + number, message));
                }
            }
        }
    }
    Ok(found)
}
