//! Reading a document with all that it includes, and taking it through all steps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::check::{Partial, check};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Document;
use crate::setting::{Decoder, Many, Setting};
use crate::source::{Files, Located, Origin, Sources, normalised};
use crate::tree::{self, Key, Node, Value};

/// Bytes of one file, and of all files together.
const MAX_FILE: u64 = 32 << 20;
pub(crate) const MAX_TOTAL: u64 = 64 << 20;
/// Files of one document.
pub(crate) const MAX_FILES: usize = 10_000;
/// Includes within includes.
const MAX_NESTING: usize = 8;

/// What became of a document.
#[derive(Debug)]
pub struct Loaded {
    /// The document, if nothing in it is wrong.
    pub document: Option<Document>,
    /// What was found, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The texts that the findings point into; their names are the files to watch.
    pub sources: Sources,
}

/// Loads the document at a path with all that it includes. `environment` gives the content of a variable.
pub fn load(path: &Path, files: &dyn Files, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut loader = Loader::new(files, environment);
    match loader.read(path) {
        Ok(text) => loader.add(path, text, Origin::NOWHERE, 0),
        Err(problem) => {
            let message = format!("cannot read `{}`: {problem}", path.display());
            loader.diagnostics.push(Diagnostic::error(Origin::NOWHERE, message));
            loader.incomplete = true;
        }
    }
    loader.finish()
}

/// Loads a document from a text. `name` is what findings call it; includes are relative to it.
pub fn parse_str(
    name: &str,
    text: &str,
    files: &dyn Files,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut loader = Loader::new(files, environment);
    loader.add(Path::new(name), text.to_owned(), Origin::NOWHERE, 0);
    loader.finish()
}

impl Loaded {
    /// What loading gives when there is nothing to load.
    pub(crate) fn refused(message: String) -> Self {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::error(Origin::NOWHERE, message));
        Self { document: None, diagnostics, sources: Sources::default() }
    }
}

struct Loader<'a> {
    files: &'a dyn Files,
    environment: &'a dyn Fn(&str) -> Option<String>,
    sources: Sources,
    diagnostics: Diagnostics,
    /// The trees of all files, the document's own first, in the order they are merged.
    trees: Vec<Node>,
    /// Where each file was included, so that none is taken twice.
    seen: HashMap<PathBuf, Origin>,
    total: u64,
    /// A file is missing or broken: what refers to it cannot be judged.
    incomplete: bool,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            files,
            environment,
            sources: Sources::default(),
            diagnostics: Diagnostics::default(),
            trees: Vec::new(),
            seen: HashMap::new(),
            total: 0,
            incomplete: false,
        }
    }

    fn read(&mut self, path: &Path) -> Result<String, String> {
        let left = MAX_TOTAL.saturating_sub(self.total).min(MAX_FILE);
        let bytes = self.files.read_part(path, left).map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => format!("it is larger than {left} bytes"),
            _ => error.to_string(),
        })?;
        self.total += bytes.len() as u64;
        String::from_utf8(bytes)
            .map_err(|error| format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
    }

    /// Parses a text and, after it, what it includes.
    fn add(&mut self, path: &Path, text: String, included: Origin, nesting: usize) {
        self.seen.insert(normalised(path), included);
        let file = self.sources.add(path.display().to_string(), text);
        let text = self.sources.text(file).unwrap_or_default();
        let Some(node) = tree::parse(file, text, self.environment, &mut self.diagnostics) else {
            self.incomplete = true;
            return;
        };
        let include = node.get("include").map(|(_, value)| value.clone());
        if !matches!(node.value, Value::Mapping(_)) {
            let message = format!("a document is a mapping, but this is {}", node.kind());
            let mend = "begin with `version: 1`";
            self.diagnostics.push(Diagnostic::error(node.origin, message).mend(mend));
            self.incomplete = true;
            return;
        }
        self.trees.push(node);
        let Some(include) = include else { return };
        // The document's own key is decoded and reported with the rest of it.
        let mut unreported = Diagnostics::default();
        let diagnostics = if nesting == 0 { &mut unreported } else { &mut self.diagnostics };
        let mut decoder = Decoder { diagnostics, sources: &mut self.sources, files: self.files };
        let patterns = Many::<Located<String>>::decode(&include, &mut decoder);
        for pattern in patterns.iter().flat_map(|patterns| patterns.iter()) {
            self.include(path, pattern, nesting + 1);
        }
    }

    fn include(&mut self, from: &Path, pattern: &Located<String>, nesting: usize) {
        if nesting > MAX_NESTING {
            self.refuse(pattern.origin, format!("includes are nested more than {MAX_NESTING} deep"));
            return;
        }
        let paths = match matching(self.files, from.parent().unwrap_or(Path::new("")), &pattern.value) {
            Ok(paths) => paths,
            Err(problem) => return self.refuse(pattern.origin, problem),
        };
        for path in paths {
            if let Some(first) = self.seen.get(&normalised(&path)) {
                let message = format!("`{}` is included a second time", path.display());
                let finding = match first.is_known() {
                    true => Diagnostic::error(pattern.origin, message).note(*first, "first included here"),
                    false => {
                        Diagnostic::error(pattern.origin, format!("`{}` includes itself", path.display()))
                    }
                };
                self.diagnostics.push(finding);
                continue;
            }
            if self.seen.len() >= MAX_FILES {
                self.refuse(pattern.origin, format!("a document has at most {MAX_FILES} files"));
                return;
            }
            match self.read(&path) {
                Ok(text) => self.add(&path, text, pattern.origin, nesting),
                Err(problem) => {
                    self.refuse(pattern.origin, format!("cannot read `{}`: {problem}", path.display()));
                }
            }
        }
    }

    fn refuse(&mut self, origin: Origin, message: String) {
        self.diagnostics.push(Diagnostic::error(origin, message));
        self.incomplete = true;
    }

    fn finish(mut self) -> Loaded {
        let tree = merge(std::mem::take(&mut self.trees), &mut self.diagnostics);
        let mapping =
            |key: &str| matches!(tree.get(key), None | Some((_, Node { value: Value::Mapping(_), .. })));
        let named = ["consumers", "auth", "rate_limits", "concurrency_limits", "quotas", "redis"];
        let partial = Partial {
            routes: matches!(tree.get("routes"), Some((_, Node { value: Value::Sequence(list), .. })) if !list.is_empty()),
            listen: tree.get("listen").is_some(),
            references: !self.incomplete && mapping("upstreams"),
            gate: !self.incomplete && named.iter().all(|key| mapping(key)),
        };
        let Self { files, mut sources, mut diagnostics, incomplete, .. } = self;
        let mut document = None;
        if sources.names().next().is_some() && !(incomplete && tree.get("version").is_none()) {
            let mut decoder = Decoder { diagnostics: &mut diagnostics, sources: &mut sources, files };
            // Without a version the rest is still worth checking.
            let missing = tree.get("version").is_none();
            let tree = if missing { with_version(tree) } else { tree };
            if missing {
                let message = "the key `version` is missing here";
                decoder
                    .report(Diagnostic::error(Origin::start_of(0), message).mend("begin with `version: 1`"));
            }
            document = Document::decode(&tree, &mut decoder);
            drop(tree);
        }
        if let Some(document) = &document {
            check(document, partial, &mut diagnostics);
        }
        diagnostics.sort();
        let document = document.filter(|_| !diagnostics.has_errors());
        Loaded { document, diagnostics, sources }
    }
}

/// The merged tree of texts that were loaded before. Only its places are of use: what variables hold is not in it.
pub(crate) fn written(sources: &Sources) -> Node {
    let mut known = Diagnostics::default();
    let texts = (0..).zip(sources.names()).filter_map(|(file, _)| Some((file, sources.text(file)?)));
    let trees =
        texts.filter_map(|(file, text)| tree::parse(file, text, &|_| Some("x".to_owned()), &mut known));
    let trees: Vec<Node> = trees.filter(|tree| matches!(tree.value, Value::Mapping(_))).collect();
    merge(trees, &mut known)
}

/// The tree as if it began with `version: 1`.
fn with_version(mut tree: Node) -> Node {
    if let Value::Mapping(entries) = &mut tree.value {
        let scalar = tree::Scalar { text: "1".into(), plain: true, filled: false };
        let version = Node { origin: Origin::NOWHERE, value: Value::Scalar(scalar) };
        entries.push((Key { text: "version".into(), origin: Origin::NOWHERE }, version));
    }
    tree
}

/// The files that a pattern names, sorted. A name without wildcards stands for itself.
pub(crate) fn matching(files: &dyn Files, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let wild = |text: &str| text.contains(['*', '?']);
    if !wild(pattern) {
        return Ok(vec![folder.join(pattern)]);
    }
    let (inside, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if wild(inside) {
        return Err(format!("`{pattern}` has a wildcard in a folder's name, not only in the file's"));
    }
    let folder =
        if pattern.starts_with('/') && inside.is_empty() { PathBuf::from("/") } else { folder.join(inside) };
    let mut names = match files.list(&folder) {
        Ok(names) => names,
        // No folder yet is no file yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(format!("cannot list `{}`: {error}", folder.display())),
    };
    names.retain(|found| !found.starts_with('.') && matches_glob(name, found));
    names.sort();
    Ok(names.into_iter().map(|found| folder.join(found)).collect())
}

/// Whether a file name matches a pattern of `*` (any run of characters) and `?` (any one).
fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on after a `*` has taken one character more: linear, since only the last `*` counts.
    let mut again: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                again = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match again {
                Some((star, taken)) => {
                    again = Some((star, taken + 1));
                    p = star + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// One tree of all: sections merged by key, routes appended, all else only once.
fn merge(trees: Vec<Node>, diagnostics: &mut Diagnostics) -> Node {
    let mut trees = trees.into_iter();
    let Some(mut whole) = trees.next() else { return Node::EMPTY };
    let Value::Mapping(entries) = &mut whole.value else { return whole };
    let mut merger = Merger { known: HashMap::new(), diagnostics };
    for tree in trees {
        let Value::Mapping(included) = tree.value else { continue };
        for (key, node) in included.into_iter().filter(|(key, _)| &*key.text != "include") {
            match entries.iter_mut().find(|(known, _)| known.text == key.text) {
                None => entries.push((key, node)),
                Some((known, value)) => merger.add(known, value, key, node),
            }
        }
    }
    whole
}

struct Merger<'a> {
    /// For each section, the keys it has and where they were written.
    known: HashMap<Rc<str>, HashMap<Rc<str>, Origin>>,
    diagnostics: &'a mut Diagnostics,
}

impl Merger<'_> {
    fn add(&mut self, known: &Key, value: &mut Node, key: Key, node: Node) {
        match (&mut value.value, node.value) {
            (Value::Scalar(a), Value::Scalar(b)) if &*key.text == "version" && a.text == b.text => {}
            (Value::Sequence(list), Value::Sequence(more)) if matches!(&*key.text, "routes" | "tests") => {
                list.extend(more);
            }
            (Value::Mapping(entries), Value::Mapping(more)) => {
                self.section(&key.text, entries, more);
            }
            _ => {
                let message = format!("`{}` is set in two files", key.text);
                self.diagnostics.push(
                    Diagnostic::error(key.origin, message)
                        .note(known.origin, "first set here")
                        .mend("keep it in one of them"),
                );
            }
        }
    }

    fn section(&mut self, name: &str, entries: &mut Vec<(Key, Node)>, more: Vec<(Key, Node)>) {
        let known = self
            .known
            .entry(name.into())
            .or_insert_with(|| entries.iter().map(|(key, _)| (key.text.clone(), key.origin)).collect());
        for (key, node) in more {
            if let Some(first) = known.get(&key.text) {
                let message = format!("`{}` of `{name}` is set in two files", key.text);
                let finding = Diagnostic::error(key.origin, message).note(*first, "first set here");
                self.diagnostics.push(finding.mend("rename or remove one of the two"));
                continue;
            }
            known.insert(key.text.clone(), key.origin);
            entries.push((key, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn globs_match_names() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*.yaml", "a.yaml.bak", false),
            ("??-*.yaml", "10-shop.yaml", true),
            ("??-*.yaml", "1-shop.yaml", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("a**", "a", true),
            ("é?", "éü", true),
        ] {
            assert_eq!(matches_glob(pattern, name), expected, "{pattern} {name}");
        }
        // A naive matcher would not come back from this.
        assert!(!matches_glob(&"*a".repeat(60), &"a".repeat(59)));
    }
}
