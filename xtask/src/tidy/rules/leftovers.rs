//! Nothing half-done stays: macros for later, prints for debugging, notes to oneself.

use super::Places;
use crate::tidy::{Code, Kind, Project, tokens};

const MACROS: &[&str] = &["todo", "dbg", "unimplemented"];
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Leftovers in any Rust file, tests too.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for source in &project.sources {
        let code = Code::of(&source.text);
        for (at, token) in code.tokens.iter().enumerate() {
            if MACROS.iter().any(|name| code.stands(at, &[name, "!"])) {
                found.push((source.path.clone(), token.line, format!("`{}!` is left over", token.text)));
            }
        }
        for comment in tokens(&source.text).iter().filter(|token| token.kind == Kind::Comment) {
            let words = || comment.text.split(|c: char| !c.is_alphanumeric());
            if let Some(note) = NOTES.iter().find(|note| words().any(|word| word == **note)) {
                found.push((
                    source.path.clone(),
                    comment.line,
                    format!("`{note}`: do it, or write an issue"),
                ));
            }
        }
    }
    Ok(found)
}
