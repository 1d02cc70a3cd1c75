//! The document that is in effect: includes merged, variables put in, defaults filled in, and for each value where
//! it is from.

use serde_json::{Value as Json, json};

use crate::item::{Builder, Content, Item, path};
use crate::load;
use crate::model::Document;
use crate::setting::Setting;
use crate::source::Sources;
use crate::write::Writer;

/// A document with all its values, those that nobody wrote included. Made by [`effective`]. Secrets are masked in
/// all that it gives out.
pub struct Effective<'s> {
    root: Item,
    sources: &'s Sources,
}

/// The effective form of a document that was loaded from these texts. Parses the texts once more, since a loaded
/// document does not keep the place of every value; costs about as much as loading it did.
pub fn effective<'s>(document: &Document, sources: &'s Sources) -> Effective<'s> {
    let written = load::written(sources);
    // What was included is part of it now.
    let encoded = document.encode_without(&["include"]);
    let mut root = Builder::default().item(&encoded, &Document::shape(), Some(&written), true);
    if let Content::Mapping(entries) = &mut root.content {
        entries.retain(|(key, _)| key != "include");
    }
    Effective { root, sources }
}

/// Where a value is from.
enum Source<'s> {
    /// Nobody wrote it.
    Default,
    /// A file and a line.
    File(&'s str, u32),
    /// Variables that are named in a file and a line.
    Environment(Vec<String>, &'s str, u32),
}

impl<'s> Effective<'s> {
    /// As YAML. With `origins`, each value has its place beside it: `# conf.d/a.yaml:12`, `# default`,
    /// `# env REGION at tollgate.yaml:7`. With `changed`, only what differs from the defaults.
    pub fn to_yaml(&self, origins: bool, changed: bool) -> String {
        let comment = |item: &Item| self.source(item).filter(|_| origins).map(|source| source.words());
        let mut writer = Writer { out: String::new(), only_set: changed, comment: &comment };
        writer.block(&self.root, 0);
        writer.out
    }

    /// As a list of `{ path, value, origin }`, an entry for each single value and each empty list or mapping. The
    /// origin's `kind` is `file` (with `file` and `line`), `environment` (with `variables` as well) or `default`.
    pub fn to_json(&self, changed: bool) -> Json {
        let mut out = Vec::new();
        self.collect(String::new(), &self.root, changed, &mut out);
        Json::Array(out)
    }

    fn collect(&self, at: String, item: &Item, changed: bool, out: &mut Vec<Json>) {
        let before = out.len();
        match &item.content {
            Content::Mapping(entries) => {
                for (key, item) in Item::shown(entries, changed) {
                    self.collect(path(&at, key), item, changed, out);
                }
            }
            Content::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.collect(format!("{at}[{number}]"), item, changed, out);
                }
            }
            Content::Scalar(_) | Content::Secret(_) => {}
        }
        if out.len() == before {
            let origin = self.source(item).map(|source| source.to_json());
            out.push(json!({ "path": at, "value": item.masked(), "origin": origin }));
        }
    }

    /// Where a value is from; `None` if it was set, but not in these texts.
    fn source(&self, item: &Item) -> Option<Source<'s>> {
        let origin = item.origin;
        if !origin.is_known() {
            return (!item.set).then_some(Source::Default);
        }
        let file = self.sources.name(origin.file);
        if !item.filled {
            return Some(Source::File(file, origin.line));
        }
        let line = self.sources.line(origin.file, origin.line).unwrap_or_default();
        let text = line.chars().skip((origin.column as usize).saturating_sub(1)).take(origin.length as usize);
        Some(Source::Environment(variables(&text.collect::<String>()), file, origin.line))
    }
}

impl Source<'_> {
    fn words(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(file, line) => format!("{file}:{line}"),
            Self::Environment(names, file, line) => format!("env {} at {file}:{line}", names.join(", ")),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Default => json!({ "kind": "default" }),
            Self::File(file, line) => json!({ "kind": "file", "file": file, "line": line }),
            Self::Environment(names, file, line) => {
                json!({ "kind": "environment", "variables": names, "file": file, "line": line })
            }
        }
    }
}

/// The variables that a text refers to, each once.
fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        rest = &rest[at + 2..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        if !escaped && !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn variables_are_named_once() {
        assert_eq!(variables("${A}:$${B}-${C:-x}${A:?say it}"), ["A", "C"]);
        assert_eq!(variables("${"), [""; 0]);
    }
}
