//! Watching a document's files.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{Bundle, DiskFiles};

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
    let Some(mut known) = instance.versions().last().map(|version| version.fingerprint.clone()) else {
        return;
    };
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut places = Vec::new();
    // What was read last, and what was seen last.
    let (mut read, mut seen) = (None, Signature::default());
    loop {
        interval.tick().await;
        let now = Signature::of(&places);
        if read.as_ref() == Some(&now) {
            continue;
        }
        // Whoever is still writing gets time until the next look.
        if seen != now {
            seen = now;
            continue;
        }
        let Some((fingerprint, next)) = texts(file.clone()).await else { continue };
        let after = Signature::of(&next);
        places = next;
        if after != now {
            continue;
        }
        read = Some(after);
        if fingerprint != known {
            known = fingerprint;
            // What becomes of it is told in the process's log.
            let _ = instance.reload().await;
        }
    }
}

/// The fingerprint of the texts now, and the files and folders to look at.
async fn texts(file: PathBuf) -> Option<(String, Vec<PathBuf>)> {
    let read = tokio::task::spawn_blocking(move || {
        let loaded = tollgate_config::load(&file, &DiskFiles, &|name| std::env::var(name).ok());
        let mut places: Vec<PathBuf> = vec![file.clone()];
        places.extend(loaded.sources.names().map(PathBuf::from));
        let parents: Vec<PathBuf> = places.iter().map(|place| parent(place)).collect();
        places.extend(parents);
        places.sort();
        places.dedup();
        Some((Bundle::of(&loaded.sources)?.fingerprint(), places))
    });
    read.await.ok()?
}

fn parent(place: &Path) -> PathBuf {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What tells that a file or a folder may have changed: what a look at each gives, behind symbolic links.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signature(BTreeMap<PathBuf, Option<Look>>);

/// Device, inode, size, and time of change in seconds and nanoseconds.
type Look = (u64, u64, u64, i64, i64);

impl Signature {
    fn of(places: &[PathBuf]) -> Self {
        let of = |place: &PathBuf| {
            let found = std::fs::metadata(place).ok();
            found.map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
        };
        Self(places.iter().map(|place| (place.clone(), of(place))).collect())
    }
}
