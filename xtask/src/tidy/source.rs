//! Rust files as the rules see them: code without comments, and which of it is tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::tokens::{Kind, Token, tokens};

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether the whole file is tests.
    pub(crate) is_test: bool,
}

/// The code of a file: no comments, and each token marked whether it is of a test.
#[derive(Debug)]
pub(crate) struct Code<'t> {
    pub(crate) tokens: Vec<Token<'t>>,
    tests: Vec<bool>,
}

impl<'t> Code<'t> {
    /// Takes a text apart and finds the items that are only there for tests.
    pub(crate) fn of(text: &'t str) -> Self {
        let tokens: Vec<_> = tokens(text).into_iter().filter(|token| token.kind != Kind::Comment).collect();
        let mut tests = vec![false; tokens.len()];
        let mut at = 0;
        while at < tokens.len() {
            let end = test_attribute(&tokens, at).map(|behind| end_of_item(&tokens, behind));
            if let Some(end) = end {
                tests[at..end].fill(true);
            }
            at = end.unwrap_or(at + 1);
        }
        Self { tokens, tests }
    }

    /// Whether the token at this place is of a test.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.tests[at]
    }

    /// Whether these words and marks stand here, one after the other.
    pub(crate) fn stands(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(i, text)| self.tokens.get(at + i).is_some_and(|token| token.is(text)))
    }

    /// The places outside tests where these words and marks stand.
    pub(crate) fn places<'a>(&'a self, texts: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
        (0..self.tokens.len()).filter(move |at| !self.is_test(*at) && self.stands(*at, texts))
    }

    /// The place of the bracket that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        closing(&self.tokens, open)
    }

    /// How many lines of `range` hold code; lines of tests count only if `with_tests`.
    pub(crate) fn lines(&self, range: std::ops::Range<usize>, with_tests: bool) -> usize {
        let tokens = range.filter(|at| with_tests || !self.is_test(*at)).map(|at| &self.tokens[at]);
        tokens.flat_map(|token| token.line..=token.last_line()).collect::<BTreeSet<_>>().len()
    }

    /// The files of the modules that are declared here for tests only.
    fn test_modules(&self, file: &Path, all: bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for at in 0..self.tokens.len() {
            let is_declaration = self.stands(at, &["mod"]) && self.stands(at + 2, &[";"]);
            if is_declaration && (all || self.is_test(at)) {
                let named = self.tokens[at + 1].text;
                found.extend(module_files(file, named, self.path_attribute(at)));
            }
        }
        found
    }

    /// The text of `#[path = "…"]` right before the place.
    fn path_attribute(&self, at: usize) -> Option<&'t str> {
        let start = at.checked_sub(6)?;
        let named = self.stands(start, &["#", "[", "path", "="]) && self.stands(at - 1, &["]"]);
        named.then(|| self.tokens[start + 4].text.trim_matches('"'))
    }
}

/// Where the file of a module may be.
fn module_files(file: &Path, name: &str, path: Option<&str>) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    if let Some(path) = path {
        return vec![folder.join(path)];
    }
    let stem = file.file_stem().unwrap_or_default();
    let is_root = ["lib", "main", "mod"].iter().any(|root| stem == *root);
    let below = if is_root { folder.to_path_buf() } else { folder.join(stem) };
    vec![below.join(format!("{name}.rs")), below.join(name).join("mod.rs")]
}

/// Marks the files that only tests see: those below a `tests` folder of a package, and the modules that are
/// declared `#[cfg(test)]` with all below them.
pub(crate) fn mark_tests(sources: &mut [Source]) {
    let mut waiting: Vec<PathBuf> = Vec::new();
    for source in sources.iter_mut() {
        let package_tests = ["/tests/", "/benches/"].iter().any(|folder| source.path.contains(folder));
        source.is_test = package_tests && !source.path.contains("/src/");
        waiting.extend(Code::of(&source.text).test_modules(Path::new(&source.path), false));
    }
    while let Some(path) = waiting.pop() {
        let found = sources.iter_mut().find(|source| Path::new(&source.path) == path && !source.is_test);
        if let Some(source) = found {
            source.is_test = true;
            waiting.extend(Code::of(&source.text).test_modules(&path, true));
        }
    }
}

/// The place behind `#[test]` or `#[cfg(test)]`, if one begins here.
fn test_attribute(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let is = |i: usize, text: &str| tokens.get(at + i).is_some_and(|token| token.is(text));
    if !(is(0, "#") && is(1, "[")) {
        return None;
    }
    let end = closing(tokens, at + 1);
    let inside = &tokens[at + 2..end.max(at + 2)];
    let has = |text: &str| inside.iter().any(|token| token.is(text));
    let of_a_test = inside.first().is_some_and(|token| token.is("test"))
        || inside.last().is_some_and(|token| token.is("test") && !has("cfg"))
        || (inside.first().is_some_and(|token| token.is("cfg")) && has("test") && !has("not") && !has("any"));
    of_a_test.then_some(end + 1)
}

/// The place behind the item that begins here.
fn end_of_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while tokens.get(at).is_some_and(|token| token.is("#")) {
        at = closing(tokens, at + 1) + 1;
    }
    if tokens.get(at).is_some_and(|token| token.is("pub")) {
        at += 1;
        if tokens.get(at).is_some_and(|token| token.is("(")) {
            at = closing(tokens, at) + 1;
        }
    }
    const ITEMS: &[&str] = &[
        "fn",
        "impl",
        "mod",
        "struct",
        "enum",
        "trait",
        "async",
        "unsafe",
        "extern",
        "macro_rules",
        "union",
    ];
    const STATEMENTS: &[&str] = &["use", "const", "static", "type", "let"];
    let begins = |words: &[&str]| tokens.get(at).is_some_and(|token| words.iter().any(|word| token.is(word)));
    let (by_brace, by_comma) = match (begins(ITEMS), begins(STATEMENTS)) {
        (true, _) => (true, false),
        (_, true) => (false, false),
        _ => (true, true),
    };
    while let Some(token) = tokens.get(at) {
        match token.text {
            ";" => return at + 1,
            "," if by_comma => return at + 1,
            ")" | "]" | "}" if token.kind == Kind::Mark => return at,
            "{" if by_brace => return closing(tokens, at) + 1,
            "(" | "[" | "{" if token.kind == Kind::Mark => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// The place of the bracket that closes the one at `open`; the last place if none does.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Mark {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::{Code, Source, mark_tests};

    fn outside_tests(text: &str) -> String {
        let code = Code::of(text);
        let kept = (0..code.tokens.len()).filter(|at| !code.is_test(*at)).map(|at| code.tokens[at].text);
        kept.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn items_of_tests_are_found_whole() {
        assert_eq!(outside_tests("a; #[cfg(test)] mod tests { fn b() {} } c;"), "a ; c ;");
        assert_eq!(outside_tests("#[test] fn b() -> [u8; 2] { [1; 2] } c"), "c");
        assert_eq!(outside_tests("#[tokio::test] async fn b<A, B>(a: A) { x } c"), "c");
        assert_eq!(outside_tests("#[cfg(test)] #[path = \"x.rs\"] mod b; c"), "c");
        assert_eq!(outside_tests("#[cfg(test)] const B: X = X { a: 1 }; c"), "c");
        assert_eq!(outside_tests("struct S { #[cfg(test)] a: A, b: B }"), "struct S { b : B }");
        assert!(outside_tests("#[cfg(not(test))] fn b() {}").ends_with("fn b ( ) { }"));
    }

    #[test]
    fn code_lines_are_those_with_code() {
        let text = "fn a() {\n\n    // why\n    \"b\n    c\";\n}\n#[cfg(test)]\nmod tests;\n";
        let code = Code::of(text);
        assert_eq!(code.lines(0..code.tokens.len(), false), 4);
        assert_eq!(code.lines(0..code.tokens.len(), true), 6);
    }

    #[test]
    fn files_of_tests_are_found_with_all_below_them() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into(), is_test: false };
        let mut sources = [
            source("c/src/lib.rs", "mod a; #[cfg(test)] mod t;"),
            source("c/src/a.rs", "#[cfg(test)] #[path = \"a/suite.rs\"] mod suite; #[cfg(test)] mod b;"),
            source("c/src/a/suite.rs", ""),
            source("c/src/a/b.rs", ""),
            source("c/src/t.rs", "mod below;"),
            source("c/src/t/below.rs", ""),
            source("c/tests/end.rs", ""),
        ];
        mark_tests(&mut sources);
        let marked: Vec<_> = sources.iter().map(|source| source.is_test).collect();
        assert_eq!(marked, [false, false, true, true, true, true, true]);
    }
}
