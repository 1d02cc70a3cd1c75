//! Endpoints from a file that is looked at.
//!
//! Looking instead of asking the kernel to be told works on every file system and for each way in which a file can be
//! replaced: written in place, renamed over, or behind a folder's symbolic link.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::course::{Look, OnEmpty, Rules};
use crate::follow::{Looking, Source};
use crate::found::Found;

/// How often a file is looked at, in milliseconds. A look costs a `stat`.
const EVERY_MS: u64 = 500;

/// Bytes of a file, at most; an endpoint takes some 40.
const LARGEST: u64 = 4 << 20;

/// How a file is followed, of which at most `max` endpoints are used.
pub fn rules(max: usize) -> Rules {
    Rules {
        soonest_ms: EVERY_MS,
        latest_ms: EVERY_MS,
        retry_first_ms: EVERY_MS,
        retry_latest_ms: EVERY_MS,
        on_empty: OnEmpty::Keep,
        max,
    }
}

/// What tells that a file may have changed: device, inode, size, and time of change in seconds and nanoseconds. Not
/// that of the content, which programs may set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    /// Of what is at a path now, behind symbolic links; `None` where there is nothing.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self(found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
    }
}

/// What makes a list of a file's bytes, or says why it is none.
pub type Parse = Arc<dyn Fn(&[u8]) -> Result<Vec<Found>, String> + Send + Sync>;

/// Endpoints from a file.
pub struct FileSource {
    path: PathBuf,
    parse: Parse,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// What it looked like when it was read; `None` before.
    read: Option<Option<Stamp>>,
    /// What it looked like last.
    last: Option<Option<Stamp>>,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileSource {
    /// Nothing is read yet.
    pub fn new(path: &Path, parse: Parse) -> Self {
        Self { path: path.to_owned(), parse, seen: Mutex::default() }
    }

    /// Looks at the file, on this thread, and reads it if it has changed and has settled: whoever is still writing
    /// gets time until the next look. The first time it is read at once.
    pub fn look_now(&self) -> Look {
        let now = Stamp::of(&self.path);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let is_settled = seen.read.is_none() || seen.last == Some(now);
            seen.last = Some(now);
            if seen.read == Some(now) || !is_settled {
                return Look::Unchanged;
            }
            seen.read = Some(now);
        }
        match self.read() {
            Ok(found) => Look::List { found, fresh_ms: None, problem: None },
            Err(why) => Look::Failed(why),
        }
    }

    fn read(&self) -> Result<Vec<Found>, String> {
        let path = self.path.display();
        let failed = |error: std::io::Error| format!("cannot read `{path}`: {error}");
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("`{path}` has more than {LARGEST} bytes"));
        }
        (self.parse)(&bytes).map_err(|why| format!("`{path}` cannot be used: {why}"))
    }
}

/// A look at a file that does not answer, on a network mount, holds up nobody.
#[derive(Debug)]
pub struct WatchedFile(Arc<FileSource>);

impl WatchedFile {
    /// Looks at a file where that may take a while.
    pub fn new(source: Arc<FileSource>) -> Self {
        Self(source)
    }
}

impl Source for WatchedFile {
    fn look<'a>(&'a self, _: Option<&'a [Found]>) -> Looking<'a> {
        let source = self.0.clone();
        Box::pin(async move {
            let look = tokio::task::spawn_blocking(move || source.look_now());
            look.await.unwrap_or_else(|_| Look::Failed("the file could not be looked at".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::FileSource;
    use crate::course::Look;
    use crate::found::Found;

    /// A line for each address.
    fn parse(bytes: &[u8]) -> Result<Vec<Found>, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        text.lines()
            .map(|line| {
                let address = line.parse().map_err(|_| format!("`{line}` is no address"))?;
                Ok(Found { name: line.into(), address, weight: 1, priority: 0 })
            })
            .collect()
    }

    fn len(look: &Look) -> usize {
        match look {
            Look::List { found, .. } => found.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_read_when_it_has_changed_and_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        let source = FileSource::new(&path, Arc::new(parse));
        // Not there yet, which is told once.
        assert!(matches!(source.look_now(), Look::Failed(why) if why.contains("cannot read")));
        assert_eq!(source.look_now(), Look::Unchanged);
        fs::write(&path, "192.0.2.1:1\n").unwrap();
        assert_eq!(source.look_now(), Look::Unchanged, "whoever writes gets time");
        assert_eq!(len(&source.look_now()), 1);
        assert_eq!(source.look_now(), Look::Unchanged);
        // Renamed over.
        let next = folder.path().join("next");
        fs::write(&next, "192.0.2.1:1\n192.0.2.2:1\n").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(source.look_now(), Look::Unchanged);
        assert_eq!(len(&source.look_now()), 2);
        // Not a list.
        fs::write(&path, "what\n").unwrap();
        assert_eq!(source.look_now(), Look::Unchanged);
        assert!(matches!(source.look_now(), Look::Failed(why) if why.contains("`what` is no address")));
        assert_eq!(source.look_now(), Look::Unchanged);
        // Gone.
        fs::remove_file(&path).unwrap();
        assert_eq!(source.look_now(), Look::Unchanged);
        assert!(matches!(source.look_now(), Look::Failed(_)));
    }

    #[test]
    fn a_file_that_is_there_is_read_at_the_first_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        fs::write(&path, "192.0.2.1:1\n").unwrap();
        assert_eq!(len(&FileSource::new(&path, Arc::new(parse)).look_now()), 1);
    }
}
