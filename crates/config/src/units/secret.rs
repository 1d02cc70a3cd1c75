//! Values that nobody may read from a log, a finding or a debug print.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use super::FieldValue;
use crate::diagnostic::Diagnostic;
use crate::section::section;
use crate::setting::{Decoder, Setting, ValueError};
use crate::shape::Shape;
use crate::tree::{Node, Value};

/// Bytes that a secret file may hold.
const LARGEST: u64 = 64 << 10;

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
            Some(file) => json!({ "file": file }),
            None => "(secret)".into(),
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
