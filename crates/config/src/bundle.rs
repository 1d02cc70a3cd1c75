//! The texts a document is made of, as one value that can be sent, kept and loaded again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::load::{Loaded, MAX_FILES, MAX_TOTAL, load};
use crate::source::{DiskFiles, Files, Sources, normalised};

/// The texts a document is made of: its main file and all that it includes. What becomes of them does not
/// depend on what lies on the disk meanwhile, but for the files of secrets, which are never part of it.
///
/// The texts may hold secrets, so they are for the admin API and for memory, not for logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The name of the main file, a path. Secret files are looked for beside the file that names them.
    pub root: String,
    /// The texts by name, the main file's among them.
    pub files: BTreeMap<String, String>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({}, {} files, {} bytes)", self.root, self.files.len(), self.size())
    }
}

/// Why a bundle is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// The main file is not among the files.
    NoMainFile(String),
    /// More files than a document may have.
    TooManyFiles(usize),
    /// More bytes than a document may have.
    TooLarge(u64),
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMainFile(name) => write!(f, "the main file `{name}` is not among the files"),
            Self::TooManyFiles(count) => {
                write!(f, "a document has at most {MAX_FILES} files, but these are {count}")
            }
            Self::TooLarge(size) => {
                write!(
                    f,
                    "the texts of a document have at most {MAX_TOTAL} bytes in all, but these have {size}"
                )
            }
        }
    }
}

impl std::error::Error for BundleError {}

impl Bundle {
    /// The texts that were read for a document, good or bad. `None` if not even its main file could be read.
    pub fn of(sources: &Sources) -> Option<Self> {
        let root = sources.names().next()?.to_owned();
        let text = |(number, name): (u32, &str)| Some((name.to_owned(), sources.text(number)?.to_owned()));
        Some(Self { root, files: (0..).zip(sources.names()).filter_map(text).collect() })
    }

    /// The bundle with all names below a folder, absolute ones excepted: what a process with another working
    /// directory needs to find the files of secrets.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        let name = |name: String| folder.join(name).display().to_string();
        let files = self.files.into_iter().map(|(file, text)| (name(file), text)).collect();
        Self { root: name(self.root), files }
    }

    /// Bytes of all texts.
    pub fn size(&self) -> u64 {
        self.files.values().map(|text| text.len() as u64).sum()
    }

    /// Whether it is within the bounds of a document and has its main file.
    pub fn verify(&self) -> Result<(), BundleError> {
        if self.files.len() > MAX_FILES {
            return Err(BundleError::TooManyFiles(self.files.len()));
        }
        if self.size() > MAX_TOTAL {
            return Err(BundleError::TooLarge(self.size()));
        }
        let root = normalised(Path::new(&self.root));
        match self.files.contains_key(&self.root)
            || self.files.keys().any(|name| normalised(Path::new(name)) == root)
        {
            true => Ok(()),
            false => Err(BundleError::NoMainFile(self.root.clone())),
        }
    }

    /// Loads the document. Secret files come from the disk, the content of variables from `environment`.
    pub fn load(&self, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
        self.load_beside(&DiskFiles, environment)
    }

    /// Loads the document, with secret files from elsewhere.
    pub fn load_beside(&self, secrets: &dyn Files, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
        match self.verify() {
            Ok(()) => load(Path::new(&self.root), &BundleFiles::of(self, secrets), environment),
            Err(error) => Loaded::refused(error.to_string()),
        }
    }

    /// Sixteen hexadecimal digits that tell bundles apart: the same for the same texts under the same names
    /// as seen from the main file, on every machine and in every version. Against chance, not against intent.
    pub fn fingerprint(&self) -> String {
        let folder = Path::new(&self.root).parent().unwrap_or(Path::new(""));
        let relative = |name: &str| {
            let path = Path::new(name);
            normalised(path.strip_prefix(folder).unwrap_or(path))
        };
        let mut files: Vec<(PathBuf, &String)> =
            self.files.iter().map(|(name, text)| (relative(name), text)).collect();
        files.sort();
        let mut hash = Fnv::new();
        hash.text(&relative(&self.root).to_string_lossy());
        for (name, text) in files {
            hash.text(&name.to_string_lossy());
            hash.text(text);
        }
        format!("{:016x}", hash.0)
    }
}

/// FNV-1a of 64 bits: stable, which the hashers of the standard library do not promise to be.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes a text and its length, so that texts cannot run into each other.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The files of a bundle in place of the disk: the document's parts come from it and from nowhere else, and
/// patterns match only what it holds. Secret files come from beneath.
pub struct BundleFiles<'a> {
    parts: HashMap<PathBuf, &'a str>,
    folders: HashMap<PathBuf, Vec<String>>,
    secrets: &'a dyn Files,
}

impl<'a> BundleFiles<'a> {
    /// The files of a bundle, and `secrets` for all that is not part of a document.
    pub fn of(bundle: &'a Bundle, secrets: &'a dyn Files) -> Self {
        let mut parts = HashMap::with_capacity(bundle.files.len());
        let mut folders: HashMap<PathBuf, Vec<String>> = HashMap::new();
        for (name, text) in &bundle.files {
            let path = normalised(Path::new(name));
            if let (Some(folder), Some(file)) = (path.parent(), path.file_name()) {
                folders.entry(folder.to_owned()).or_default().push(file.to_string_lossy().into_owned());
            }
            parts.insert(path, text.as_str());
        }
        Self { parts, folders, secrets }
    }
}

impl Files for BundleFiles<'_> {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.secrets.read(path, limit)
    }

    fn read_part(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it is not among the files that were sent");
        let text = self.parts.get(&normalised(path)).ok_or_else(missing)?;
        if text.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(text.as_bytes().to_vec())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.folders.get(&normalised(folder)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
