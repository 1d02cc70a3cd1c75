//! Where the text comes from, and how a place in it is named.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};

/// A place in a source: file, line and column (both from 1, the column in characters) and how many
/// characters it covers on that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Which source, as [`Sources::name`] knows it.
    pub file: u32,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// Characters covered. What goes beyond the end of the line is not underlined.
    pub length: u32,
}

impl Origin {
    /// The origin of what no text said: defaults, and documents that were built in code.
    pub const NOWHERE: Self = Self { file: u32::MAX, line: 0, column: 0, length: 0 };

    /// The start of a source, for findings about the whole of it.
    pub fn start_of(file: u32) -> Self {
        Self { file, line: 1, column: 1, length: 0 }
    }

    /// Whether this is a place in a text.
    pub fn is_known(self) -> bool {
        self != Self::NOWHERE
    }
}

/// A value and the place that set it. Equality and hashing look at the value alone, so that moving
/// a line is not a change.
#[derive(Clone, Copy)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// A value that no text set.
    pub fn nowhere(value: T) -> Self {
        Self { value, origin: Origin::NOWHERE }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: std::hash::Hash> std::hash::Hash for Located<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Located<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The texts a document was made of, kept to show lines of them beside findings.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    secrets: Vec<Origin>,
}

struct SourceFile {
    name: String,
    text: String,
    /// Byte offset of each line's start, so that showing a line never scans the text.
    lines: Vec<usize>,
}

// The text may hold secrets.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} lines)", self.name, self.lines.len())
    }
}

impl Sources {
    /// Adds a text under the name that findings show; returns its number for [`Origin::file`].
    pub fn add(&mut self, name: String, text: String) -> u32 {
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        self.files.push(SourceFile { name, text, lines });
        number
    }

    /// The name of a source; `<none>` for [`Origin::NOWHERE`].
    pub fn name(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("<none>", |source| &source.name)
    }

    /// A place as file, line and column; `None` for nowhere.
    pub fn place(&self, origin: Origin) -> Option<String> {
        let Origin { file, line, column, .. } = origin;
        origin.is_known().then(|| format!("{}:{line}:{column}", self.name(file)))
    }

    /// The names of all sources in the order they were read: what a watcher has to watch.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|source| source.name.as_str())
    }

    /// The whole text of a source. May hold secrets.
    pub fn text(&self, file: u32) -> Option<&str> {
        self.files.get(file as usize).map(|source| source.text.as_str())
    }

    /// One line (from 1) without its end, with inline secrets masked.
    pub fn line(&self, file: u32, line: u32) -> Option<String> {
        let source = self.files.get(file as usize)?;
        let index = (line as usize).checked_sub(1)?;
        let start = *source.lines.get(index)?;
        let end = source.lines.get(index + 1).map_or(source.text.len(), |next| next - 1);
        let mut shown = source.text[start..end].trim_end_matches('\r').to_owned();
        for secret in self.secrets.iter().filter(|secret| secret.file == file && secret.line == line) {
            shown = mask(&shown, *secret);
        }
        Some(shown)
    }

    /// The same texts with the marks of others.
    pub(crate) fn with_marks_of(mut self, others: Self) -> Self {
        self.secrets.extend(others.secrets);
        self
    }

    /// Marks a place as holding a secret: [`Sources::line`] masks it from now on.
    pub fn mark_secret(&mut self, origin: Origin) {
        self.secrets.push(origin);
    }
}

/// The line with the characters of `secret` replaced one by one, so that later columns stay true.
fn mask(line: &str, secret: Origin) -> String {
    let from = (secret.column as usize).saturating_sub(1);
    let to = from.saturating_add(secret.length as usize);
    line.chars().enumerate().map(|(at, c)| if (from..to).contains(&at) { '*' } else { c }).collect()
}

/// How documents, includes and secret files are read. The binary passes [`DiskFiles`], tests an
/// in-memory one.
pub trait Files {
    /// The content of a file that the document names, such as a secret, refused with an error of kind
    /// `FileTooLarge` beyond `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The content of a file that is part of the document: its main file or an include.
    fn read_part(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.read(path, limit)
    }
    /// The names (not paths) of the entries of a folder that includes may match, in any order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        use io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            // A name that is not UTF-8 cannot be written in a document's pattern either.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }
}

/// Files held in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryFiles {
    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.files.insert(normalised(&path.into()), content.into());
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(&normalised(path)).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.clone()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = normalised(folder);
        let inside = self.files.keys().filter(|path| path.parent() == Some(&folder));
        let names: Vec<String> =
            inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }
}

/// The path without `.` and with `..` taken back, so that a file has one name.
pub(crate) fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some_and(|name| name != "..") => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Origin, Sources, normalised};
    use std::path::{Path, PathBuf};

    #[test]
    fn lines_come_without_their_ends_and_with_secrets_masked() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".into(), "one: 1\r\nkey: é-hunter2 # x\nlast".into());
        sources.mark_secret(Origin { file, line: 2, column: 6, length: 9 });
        assert_eq!(sources.line(file, 1).as_deref(), Some("one: 1"));
        assert_eq!(sources.line(file, 2).as_deref(), Some("key: ********* # x"));
        assert_eq!(sources.line(file, 3).as_deref(), Some("last"));
        assert_eq!(sources.line(file, 4), None);
        assert_eq!(sources.line(7, 1), None);
        assert!(!format!("{sources:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_has_one_name() {
        assert_eq!(normalised(Path::new("./a/../b/./c.yaml")), PathBuf::from("b/c.yaml"));
        assert_eq!(normalised(Path::new("../../a")), PathBuf::from("../../a"));
    }
}
