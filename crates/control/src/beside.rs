//! Files beside the document: what is made from them is made again when they change, without another document.
//!
//! A compile step that makes something from files reads them through [`Reading`], and hands what it made on as a
//! [`FromFiles`] in [`Plans`](crate::compile::Plans). While the document is in force the files are looked at.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate_config::{DiskFiles, Files};

use crate::instance::Instance;
use crate::watch::Signature;

/// How often the files are looked at. A look costs a `stat` for each.
const EVERY: Duration = Duration::from_millis(500);

/// Something that is made from files, and that can be made from them again while it is used.
pub trait FromFiles: fmt::Debug + Send + Sync {
    /// What it is, in a word or two: `consumers`.
    fn kind(&self) -> &'static str;

    /// Makes it from what the files hold now and puts that into force. What of the files cannot be used stays as it
    /// was. May take long: it is called where that disturbs nobody.
    fn refresh(&self) -> Refreshed;
}

/// What came of reading files again.
#[derive(Debug)]
pub struct Refreshed {
    /// What was put into force, in a line for the operator; `None` where nothing is other than before.
    pub taken: Option<String>,
    /// What cannot be used, a line for each file.
    pub problems: Vec<String>,
    /// What the files looked like when they were read.
    pub seen: Seen,
}

/// What files looked like when they were read, and what they held.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    looks: Signature,
    contents: Vec<(PathBuf, u64)>,
}

impl Seen {
    /// Takes over what was seen of other files.
    pub fn extend(&mut self, other: &Self) {
        self.looks.extend(&other.looks);
        self.contents.extend(other.contents.iter().cloned());
    }

    /// Whether a look at the files finds them as they were.
    pub fn is_current(&self) -> bool {
        self.looks.again() == self.looks
    }
}

/// The disk, with notes of what is looked at: of each place before it is read, so that no change between the two is
/// missed. What is not there yet, and folders that a pattern finds nothing in, are noted as well.
#[derive(Debug, Default)]
pub struct Reading(RefCell<Seen>);

impl Reading {
    /// What was seen.
    pub fn seen(self) -> Seen {
        self.0.into_inner()
    }
}

impl Files for Reading {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().looks.look_at(path);
        let bytes = DiskFiles.read(path, limit)?;
        // The same in one process, which is all that is needed.
        let mut hash = DefaultHasher::new();
        hash.write(&bytes);
        self.0.borrow_mut().contents.push((path.to_owned(), hash.finish()));
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        self.0.borrow_mut().looks.look_at(place);
        DiskFiles.list(folder)
    }
}

/// What a document has that is made from files. Two are the same if the files held the same.
#[derive(Clone, Debug, Default)]
pub struct Watched(Vec<Arc<Watch>>);

#[derive(Debug)]
struct Watch {
    made: Arc<dyn FromFiles>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Seen,
    /// The last look that found something else; what has settled looks the same twice.
    last: Option<Signature>,
    problems: Vec<String>,
}

impl Watched {
    /// Adds what was made from files that looked like this.
    pub fn add(&mut self, made: Arc<dyn FromFiles>, seen: Seen) {
        let state = Mutex::new(State { seen, last: None, problems: Vec::new() });
        self.0.push(Arc::new(Watch { made, state }));
    }

    /// What of the files cannot be used now, a line for each.
    pub fn problems(&self) -> Vec<String> {
        self.0.iter().flat_map(|watch| watch.state().problems.clone()).collect()
    }

    /// How many files of each kind cannot be used now.
    pub fn stuck(&self) -> BTreeMap<&'static str, usize> {
        let mut stuck = BTreeMap::new();
        for watch in &self.0 {
            *stuck.entry(watch.made.kind()).or_default() += watch.state().problems.len();
        }
        stuck
    }

    /// Looks at all files, and reads those again that have changed and have settled. What there is to tell.
    pub fn look(&self) -> Vec<String> {
        self.0.iter().flat_map(|watch| watch.look()).collect()
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<Watch>, &Arc<Watch>)| {
            Arc::ptr_eq(one, other) || {
                let contents = one.state().seen.contents.clone();
                one.made.kind() == other.made.kind() && contents == other.state().seen.contents
            }
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if they have changed and have settled: whoever is still writing gets time until the next
    /// look.
    fn look(&self) -> Vec<String> {
        {
            let mut state = self.state();
            let now = state.seen.looks.again();
            if now == state.seen.looks {
                state.last = None;
                return Vec::new();
            }
            if state.last.as_ref() != Some(&now) {
                state.last = Some(now);
                return Vec::new();
            }
        }
        let Refreshed { taken, problems, seen } = self.made.refresh();
        let mut state = self.state();
        let fresh = problems.iter().filter(|problem| !state.problems.contains(problem)).cloned();
        let told = taken.into_iter().chain(fresh).collect();
        *state = State { seen, last: None, problems };
        told
    }
}

/// Looks at the files of the document in force, for ever.
pub async fn watch(instance: Arc<Instance>) {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let watched = instance.watched();
        let Ok(told) = tokio::task::spawn_blocking(move || watched.look()).await else { continue };
        told.iter().for_each(|line| instance.say(line));
    }
}
