//! Files that a document names and that are read where they are used.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::Node;

/// The path of a file or folder, relative to the text that names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    written: Box<str>,
    path: PathBuf,
}

impl FilePath {
    /// The path from the process's own working folder, or an absolute one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As the document says it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// A path of the code's own choosing.
    pub(crate) fn of(path: &str) -> Self {
        Self { written: path.into(), path: path.into() }
    }
}

impl Setting for FilePath {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let written = decoder.scalar(node, "the path of a file")?.text.to_string();
        if written.is_empty() || written.contains('\0') {
            decoder.report(Diagnostic::error(node.origin, "this is not the path of a file"));
            return None;
        }
        let folder = Path::new(decoder.sources.name(node.origin.file)).parent().unwrap_or(Path::new(""));
        let path = folder.join(&written);
        Some(Self { written: written.into(), path })
    }
    fn shape() -> Shape {
        Shape::text("path")
    }
    fn encode(&self) -> Json {
        Json::String(self.written.to_string())
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
