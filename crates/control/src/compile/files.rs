//! Files that a document names and that are read when it is compiled.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tollgate_config::{Diagnostic, FilePath, Located};

use super::Compiler;

/// Bytes of a file of certificates or a key, at most: the bundle of a system's authorities has about 250 KiB.
const LARGEST: u64 = 4 << 20;

/// A file that was read. Two of them are the same if their contents are.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent(Arc<[u8]>);

// It may be a private key.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl FileContent {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn read(path: &Path) -> io::Result<Self> {
        use io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
        }
        Ok(Self(bytes.into()))
    }
}

impl Compiler<'_> {
    /// Reads a file that the document names, and keeps the place that names it. `None` after a finding.
    pub(super) fn file(&mut self, path: &Located<FilePath>) -> Option<Located<FileContent>> {
        match FileContent::read(path.value.path()) {
            Ok(value) => Some(Located { value, origin: path.origin }),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.value.path().display());
                self.diagnostics.push(Diagnostic::error(path.origin, message));
                None
            }
        }
    }
}
