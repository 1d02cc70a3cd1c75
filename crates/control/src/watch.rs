//! Watching a document's files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{Bundle, DiskFiles, Files};

use crate::instance::Instance;

/// How often is looked. A look costs a `stat` for each file and folder.
const EVERY: Duration = Duration::from_millis(500);

/// Reloads an instance whenever its document's files have changed and have settled.
///
/// Looks instead of asking the kernel to be told (inotify): that works on every file system, network mounts
/// and overlays included, cannot lose events, and needs no rule for each way in which a file can be replaced
/// (written in place, renamed over, or behind a folder's symbolic link as Kubernetes does it). What counts
/// is the content: a change of times alone is none.
pub async fn watch(instance: Arc<Instance>) {
    let Some(file) = instance.file().cloned() else { return };
    let Some(texts) = instance.versions().last().map(|version| version.fingerprint.clone()) else {
        return;
    };
    let mut known = Content { texts, secrets: None };
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut places = BTreeSet::new();
    // What was read last, and what was seen last.
    let (mut read, mut seen) = (None, Signature::default());
    loop {
        interval.tick().await;
        // A document on trial is not replaced; what changes meanwhile is seen when the trial is over.
        if instance.on_trial_until_ms().is_some() {
            continue;
        }
        let now = Signature::of(&places);
        if read.as_ref() == Some(&now) {
            continue;
        }
        // Whoever is still writing gets time until the next look.
        if seen != now {
            seen = now;
            continue;
        }
        let Some((content, next)) = content(file.clone()).await else { continue };
        let after = Signature::of(&next);
        places = next;
        if after != now {
            continue;
        }
        read = Some(after);
        if known.replace(content) {
            // What becomes of it is told in the process's log.
            let _ = instance.reload().await;
        }
    }
}

/// What a document's files hold.
struct Content {
    /// The fingerprint of its texts.
    texts: String,
    /// A hash of each secret file; `None` before they were read for the first time.
    secrets: Option<BTreeMap<PathBuf, u64>>,
}

impl Content {
    /// Takes over what the files hold now. Whether that is something else.
    fn replace(&mut self, now: Self) -> bool {
        let changed = self.texts != now.texts || self.secrets.is_some() && self.secrets != now.secrets;
        *self = now;
        changed
    }
}

/// What the files hold now, and the files and folders to look at. `None` where there is no main file.
async fn content(file: PathBuf) -> Option<(Content, BTreeSet<PathBuf>)> {
    let read = tokio::task::spawn_blocking(move || {
        let noting = Noting::default();
        let loaded = tollgate_config::load(&file, &noting, &|name| std::env::var(name).ok());
        let (mut places, secrets) = (noting.places.into_inner(), noting.secrets.into_inner());
        let parents: Vec<PathBuf> = places.iter().map(|place| parent(place)).collect();
        places.extend(parents);
        let texts = Bundle::of(&loaded.sources)?.fingerprint();
        Some((Content { texts, secrets: Some(secrets) }, places))
    });
    read.await.ok()?
}

/// The disk; notes what is looked at: also what is not there yet, and folders that a pattern finds nothing in.
#[derive(Default)]
struct Noting {
    places: RefCell<BTreeSet<PathBuf>>,
    secrets: RefCell<BTreeMap<PathBuf, u64>>,
}

impl Files for Noting {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.places.borrow_mut().insert(path.to_owned());
        let bytes = DiskFiles.read(path, limit)?;
        // The same in one process, which is all that is needed.
        let mut hash = DefaultHasher::new();
        hash.write(&bytes);
        self.secrets.borrow_mut().insert(path.to_owned(), hash.finish());
        Ok(bytes)
    }

    fn read_part(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.places.borrow_mut().insert(path.to_owned());
        DiskFiles.read_part(path, limit)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        self.places.borrow_mut().insert(place.to_owned());
        DiskFiles.list(folder)
    }
}

fn parent(place: &Path) -> PathBuf {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What tells that a file or a folder may have changed: what a look at each gives, behind symbolic links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature(BTreeMap<PathBuf, Option<Look>>);

/// Device, inode, size, and time of change in seconds and nanoseconds: not that of the content, which programs
/// may set back.
type Look = (u64, u64, u64, i64, i64);

impl Signature {
    pub(crate) fn of<'p>(places: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let mut signature = Self::default();
        places.into_iter().for_each(|place| signature.look_at(place));
        signature
    }

    /// The same places, looked at again.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.0.keys())
    }

    /// Looks at one place more. The first look at a place stays.
    pub(crate) fn look_at(&mut self, place: &Path) {
        if !self.0.contains_key(place) {
            let found = std::fs::metadata(place).ok();
            let look = found.map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
            self.0.insert(place.to_owned(), look);
        }
    }

    /// Takes over what others say of places that this one did not look at.
    pub(crate) fn extend(&mut self, others: &Self) {
        for (place, look) in &others.0 {
            self.0.entry(place.clone()).or_insert(*look);
        }
    }
}
