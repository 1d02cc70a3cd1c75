//! Files that a document names and that are read when it is compiled.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tollgate_config::{Diagnostic, FilePath, Located};

use super::Compiler;

/// Bytes of a file of certificates or a key, at most: the bundle of a system's authorities has about 250 KiB.
const LARGEST: u64 = 4 << 20;

/// A file that was read. Two of them are the same if their contents are.
#[derive(Clone)]
pub struct FileContent {
    seal: u64,
    bytes: Arc<[u8]>,
}

impl PartialEq for FileContent {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

// It may be a private key.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes, {:016x})", self.bytes.len(), self.seal)
    }
}

impl FileContent {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn read(path: &Path) -> io::Result<Self> {
        use io::Read;
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
        }
        // A number that tells contents apart and nothing else: its key is random and stays here.
        let seal = KEY.get_or_init(RandomState::new).hash_one(&bytes);
        Ok(Self { seal, bytes: bytes.into() })
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
