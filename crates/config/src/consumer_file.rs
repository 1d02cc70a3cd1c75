//! Files of consumers beside the document: each a mapping as under `consumers`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::check::duplicates;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::load::matching;
use crate::model::Consumer;
use crate::setting::Decoder;
use crate::source::{Files, Origin, Sources};
use crate::table::Table;
use crate::tree::{Value, parse_entries};
use crate::units::{FilePath, Name};

/// Bytes that a file of consumers may have: some hundred thousand consumers.
pub const MAX_CONSUMER_FILE: u64 = 128 << 20;

/// What became of a file of consumers.
#[derive(Debug)]
pub struct LoadedConsumers {
    /// The consumers; those that are wrong are left out.
    pub consumers: Table<Name, Consumer>,
    /// What was found, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The text that the findings point into.
    pub sources: Sources,
}

/// The files that a pattern of `consumer_files` names, sorted; no folder is no file. An error if the pattern has a
/// wildcard in the name of a folder, or the folder cannot be listed.
pub fn consumer_paths(pattern: &FilePath, files: &dyn Files) -> Result<Vec<PathBuf>, String> {
    matching(files, Path::new(""), &pattern.path().display().to_string())
}

/// Decodes a file of consumers, each as soon as it was read: memory beyond the consumers is the text's and little more.
/// `name` is what findings call it, a path: files that it names are relative to it. That no two consumers of this file
/// have the same credential is checked, but not what other files have.
pub fn load_consumers(
    name: &str,
    text: String,
    files: &dyn Files,
    environment: &dyn Fn(&str) -> Option<String>,
) -> LoadedConsumers {
    let mut diagnostics = Diagnostics::default();
    // While the text is read, marks of secrets go to sources without it.
    let mut marks = Sources::default();
    let file = marks.add(name.to_owned(), String::new());
    let mut consumers: Table<Name, Consumer> = Table::none();
    let mut seen: HashMap<Rc<str>, Origin> = HashMap::new();
    let mut take = |key: crate::tree::Key, node: crate::tree::Node, diagnostics: &mut Diagnostics| {
        if let Some(first) = seen.get(&key.text) {
            let message = format!("the consumer `{}` is written twice", key.text);
            let finding = Diagnostic::error(key.origin, message).note(*first, "first written here");
            diagnostics.push(finding.mend("remove one of the two"));
            return;
        }
        seen.insert(key.text.clone(), key.origin);
        consumers.add(&key, &node, &mut Decoder { diagnostics, sources: &mut marks, files });
    };
    let root = parse_entries(file, &text, environment, &mut diagnostics, &mut take);
    if let Some(root) = root.filter(|root| !matches!(root.value, Value::Mapping(_)) && !root.is_nothing()) {
        let message = format!("a file of consumers is a mapping, but this is {}", root.kind());
        diagnostics.push(Diagnostic::error(root.origin, message).mend("write `NAME: { credentials: […] }`"));
    }
    drop(seen);
    consumers.shrink();
    duplicates(&consumers, &mut diagnostics);
    diagnostics.sort();
    let mut sources = Sources::default();
    sources.add(name.to_owned(), text);
    LoadedConsumers { consumers, diagnostics, sources: sources.with_marks_of(marks) }
}
