//! Values that nobody may read from a log, a finding or a debug print.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use super::FieldValue;
use crate::diagnostic::Diagnostic;
use crate::section::section;
use crate::setting::{Decoder, Setting, ValueError};
use crate::shape::Shape;
use crate::tree::{Node, Value};

/// Bytes that a secret file may hold.
const LARGEST: u64 = 64 << 10;

/// The key under which a secret is encoded: no document can write it. Its value is a [`seal`].
pub(crate) const SEALED: &str = "";

/// A text in place of a secret that is the same for the same secret within this process, and tells nothing
/// else: the key of the hash is random and stays here.
pub(super) fn seal(content: &str) -> Json {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    format!("{:016x}", KEY.get_or_init(RandomState::new).hash_one(content)).into()
}

/// A secret header value: a text, or `{ file: … }` to read it from a file when the document is
/// loaded. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    content: FieldValue,
    file: Option<Box<str>>,
}

impl Secret {
    /// The secret itself. Must not be logged.
    pub fn reveal(&self) -> &str {
        self.content.as_str()
    }

    /// The file it was read from, as the document names it.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

section! {
    /// A secret that is kept in a file, so that it is not part of the document.
    pub struct SecretFile {
        /// The file, relative to the document that names it. A line end after the secret is left out.
        file: String = required;
    }
}

impl Setting for Secret {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if !node.is_nothing() => {
                if !scalar.filled {
                    decoder.sources.mark_secret(node.origin);
                }
                from_content(&scalar.text, None, node, decoder)
            }
            Value::Mapping(_) => {
                let SecretFile { file } = SecretFile::decode(node, decoder)?;
                let content = read(&file, node, decoder)?;
                from_content(content.trim_end_matches(['\r', '\n']), Some(file.into()), node, decoder)
            }
            _ => {
                decoder.expected(node, "a secret: text, or `{ file: … }`");
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::text("secret"), SecretFile::shape()])
    }
    fn encode(&self) -> Json {
        match &self.file {
            Some(file) => json!({ "file": file, SEALED: seal(self.content.as_str()) }),
            None => json!({ SEALED: seal(self.content.as_str()) }),
        }
    }
}

/// A header value that may be a secret: a text, which is shown, or `{ file: … }`, whose content never is.
#[derive(Clone, PartialEq, Eq)]
pub struct EditValue {
    content: FieldValue,
    file: Option<Box<str>>,
}

impl EditValue {
    /// The value itself. Must not be logged, since it may come from a file.
    pub fn reveal(&self) -> &str {
        self.content.as_str()
    }
}

impl fmt::Debug for EditValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(_) => f.write_str("(secret)"),
            None => self.content.fmt(f),
        }
    }
}

impl Setting for EditValue {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => {
                let Secret { content, file } = Secret::decode(node, decoder)?;
                Some(Self { content, file })
            }
            _ => FieldValue::decode(node, decoder).map(|content| Self { content, file: None }),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![FieldValue::shape(), SecretFile::shape()])
    }
    fn encode(&self) -> Json {
        match &self.file {
            Some(file) => json!({ "file": file, SEALED: seal(self.content.as_str()) }),
            None => self.content.encode(),
        }
    }
}

fn from_content(
    text: &str,
    file: Option<Box<str>>,
    node: &Node,
    decoder: &mut Decoder<'_>,
) -> Option<Secret> {
    // The messages of this type never repeat the content.
    match FieldValue::from_str(text) {
        Ok(content) => Some(Secret { content, file }),
        Err(ValueError { message, mend }) => {
            decoder.report(Diagnostic::error(node.origin, message).mend_if(mend));
            None
        }
    }
}

fn read(file: &str, node: &Node, decoder: &mut Decoder<'_>) -> Option<String> {
    let folder = Path::new(decoder.sources.name(node.origin.file)).parent().unwrap_or(Path::new(""));
    let path = folder.join(file);
    let content = decoder.files.read(&path, LARGEST);
    let problem = match content.map(String::from_utf8) {
        Ok(Ok(content)) => return Some(content),
        Ok(Err(_)) => "it is not UTF-8".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("cannot read the secret file `{}`: {problem}", path.display());
    decoder.report(Diagnostic::error(node.origin, message));
    None
}

#[cfg(test)]
mod tests {
    use crate::{MemoryFiles, parse_str};

    const DOCUMENT: &str = "version: 1\nlisten: \":8080\"\nroutes:\n  - path: /\n    to: http://127.0.0.1:3000\n    headers:\n      request:\n        set: { X-Team: blue, Authorization: { file: token } }\n";

    #[test]
    fn a_header_for_the_origin_may_come_from_a_file_and_is_never_shown() {
        let mut files = MemoryFiles::default();
        files.insert("token", "Bearer s3cret\n");
        let loaded = parse_str("t.yaml", DOCUMENT, &files, &|_| None);
        let document = loaded.document.expect("nothing is wrong with it");
        let edits = document.routes[0].headers.as_ref().unwrap();
        let values: Vec<_> = edits.request.set.iter().map(|(_, value)| value.reveal()).collect();
        assert_eq!(values, ["blue", "Bearer s3cret"]);
        let shown = format!("{document:?}{}", document.to_yaml());
        assert!(shown.contains("blue") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_file_that_holds_a_line_end_inside_is_refused() {
        let mut files = MemoryFiles::default();
        files.insert("token", "a\r\nX-Evil: 1");
        let loaded = parse_str("t.yaml", DOCUMENT, &files, &|_| None);
        assert!(loaded.document.is_none() && loaded.diagnostics.errors() == 1);
    }
}
