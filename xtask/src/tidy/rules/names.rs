//! Names that say nothing: `util`, `common`, `manager`, `helper`.

use super::Places;
use crate::tidy::{Code, Kind, Project};

const EMPTY: &[&str] = &["util", "utils", "common", "manager", "helper", "helpers"];

/// Files, folders, modules and types with such a word in their name.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for path in &project.files {
        let names = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
        if let Some(word) = names.filter_map(empty_word).next() {
            found.push((path.clone(), 0, format!("`{word}` in a file name says nothing")));
        }
    }
    for source in &project.sources {
        for (line, name) in declared(&Code::of(&source.text)) {
            if let Some(word) = empty_word(name) {
                found.push((source.path.clone(), line, format!("`{word}` in `{name}` says nothing")));
            }
        }
    }
    Ok(found)
}

/// The modules and types that are declared here.
fn declared<'t>(code: &Code<'t>) -> Vec<(usize, &'t str)> {
    const BEFORE: &[&str] = &["mod", "struct", "enum", "trait", "type", "union"];
    let pairs = code.tokens.iter().zip(code.tokens.iter().skip(1));
    let declared =
        pairs.filter(|(before, name)| BEFORE.iter().any(|word| before.is(word)) && name.kind == Kind::Word);
    declared.map(|(_, name)| (name.line, name.text)).collect()
}

/// The first word of the name that says nothing.
fn empty_word(name: &str) -> Option<&'static str> {
    let words = words_of(name);
    EMPTY.iter().copied().find(|empty| words.iter().any(|word| word == empty))
}

/// The words of `snake_case`, `kebab-case` and `CamelCase`, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && !before.is_uppercase();
        before = c;
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{declared, empty_word};
    use crate::tidy::Code;

    #[test]
    fn words_are_found_in_all_cases() {
        for name in ["util", "string_utils", "PoolManager", "test-helpers", "ManagerOfPools"] {
            assert!(empty_word(name).is_some(), "{name}");
        }
        for name in ["utility", "commonwealth", "uncommon", "Pool"] {
            assert_eq!(empty_word(name), None, "{name}");
        }
    }

    #[test]
    fn modules_and_types_are_declared() {
        let code = Code::of("pub mod a { struct B; enum C {} } use d::util; fn e(f: G) {} type H = I;");
        let names: Vec<_> = declared(&code).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "B", "C", "H"]);
    }
}
