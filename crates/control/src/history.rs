//! The documents that this process ran, newest last, to go back to and to explain the past with.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::Bundle;
use tollgate_proxy::Snapshot;

/// How many documents are kept.
const VERSIONS: usize = 10;
/// Bytes of text that are kept for them; the newest two are kept whatever they have.
const TEXT: u64 = 64 << 20;
/// Routes in the snapshots that are kept for explaining exchanges that were decided on them, besides the one
/// in force.
const ROUTES: usize = 200_000;

/// Why a document was put into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The process was started with it.
    Start,
    /// It was in force in the process before this one, and not the one of the file.
    HandOver,
    /// Its file was read again.
    Reload,
    /// It was sent over the admin API.
    Apply,
    /// The document of this number was put into force again.
    Rollback(u64),
    /// The document of this number was put into force again because its successor did badly or was not
    /// confirmed.
    TakenBack(u64),
}

impl Occasion {
    /// Whether it reads the document's file.
    pub fn reads_file(&self) -> bool {
        matches!(self, Self::Start | Self::Reload)
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::HandOver => f.write_str("hand-over"),
            Self::Reload => f.write_str("reload"),
            Self::Apply => f.write_str("apply"),
            Self::Rollback(number) => write!(f, "rollback to {number}"),
            Self::TakenBack(number) => write!(f, "taken back to {number}"),
        }
    }
}

/// A document that was in force.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its snapshot's number.
    pub number: u64,
    /// When it was put into force, since the Unix epoch.
    pub at: Duration,
    /// The same in milliseconds since the process started.
    pub at_ms: u64,
    /// Why.
    pub occasion: Occasion,
    /// Tells texts apart.
    pub fingerprint: String,
    /// How many routes it has.
    pub routes: usize,
    /// The share of exchanges without any fault that its flight recorder keeps, 0 to 1.
    pub sample: f64,
    /// Its texts.
    pub bundle: Arc<Bundle>,
    /// Its snapshot, if that is still kept.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// The last documents, newest last.
#[derive(Debug, Default)]
pub struct History {
    versions: VecDeque<Version>,
}

impl History {
    /// Adds the document that is in force now, and gives back what is too much: freeing that takes a while.
    pub fn push(&mut self, version: Version) -> Vec<Version> {
        let mut evicted = Vec::new();
        self.versions.push_back(version);
        let text = |versions: &VecDeque<Version>| versions.iter().map(|v| v.bundle.size()).sum::<u64>();
        while self.versions.len() > VERSIONS || self.versions.len() > 2 && text(&self.versions) > TEXT {
            evicted.extend(self.versions.pop_front());
        }
        let mut routes = 0;
        for version in self.versions.iter_mut().rev().skip(1) {
            routes += version.routes;
            if routes > ROUTES {
                evicted.push(version.clone());
                version.snapshot = None;
            }
        }
        evicted
    }

    /// The snapshot of the document in force was made anew from the same document.
    pub fn renew(&mut self, snapshot: &Arc<Snapshot>) {
        if let Some(version) = self.versions.back_mut().filter(|v| v.number == snapshot.number) {
            version.snapshot = Some(snapshot.clone());
        }
    }

    /// The document in force.
    pub fn current(&self) -> Option<&Version> {
        self.versions.back()
    }

    /// The document of this number, or the one before the one in force.
    pub fn find(&self, number: Option<u64>) -> Option<&Version> {
        match number {
            Some(number) => self.versions.iter().find(|v| v.number == number),
            None => self.before(),
        }
    }

    /// The document before the one in force. One that was put into force by going back counts as the one
    /// that was gone back to, so that going back twice goes two back and not to the one just left.
    fn before(&self) -> Option<&Version> {
        let mut number = self.current()?.number;
        while let Some(version) = self.find(Some(number))
            && let Occasion::Rollback(earlier) | Occasion::TakenBack(earlier) = version.occasion
            && earlier < number
        {
            number = earlier;
        }
        self.versions.iter().rev().find(|version| version.number < number)
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.versions.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Bundle, Duration, History, Occasion, VERSIONS, Version};

    fn version(number: u64, size: usize) -> Version {
        let bundle = Bundle { root: "a".into(), files: [("a".to_owned(), "x".repeat(size))].into() };
        Version {
            number,
            at: Duration::ZERO,
            at_ms: 0,
            occasion: Occasion::Reload,
            fingerprint: String::new(),
            routes: 1,
            sample: 0.0,
            bundle: Arc::new(bundle),
            snapshot: None,
        }
    }

    #[test]
    fn the_last_ten_are_kept() {
        let mut history = History::default();
        let evicted: usize = (1..=15).map(|number| history.push(version(number, 1)).len()).sum();
        assert_eq!(evicted, 5);
        let numbers: Vec<u64> = history.iter().map(|v| v.number).collect();
        assert_eq!(numbers, (6..=15).collect::<Vec<_>>());
        assert_eq!(numbers.len(), VERSIONS);
        assert_eq!(history.find(None).map(|v| v.number), Some(14));
        assert_eq!(history.find(Some(7)).map(|v| v.number), Some(7));
        assert!(history.find(Some(5)).is_none());
    }

    #[test]
    fn going_back_again_goes_further_back_and_not_to_what_was_left() {
        let mut history = History::default();
        let mut push = |number, occasion| {
            history.push(Version { occasion, ..version(number, 1) });
            history.find(None).map(|v| v.number)
        };
        assert_eq!(push(1, Occasion::Start), None);
        assert_eq!(push(2, Occasion::Reload), Some(1));
        assert_eq!(push(3, Occasion::Apply), Some(2));
        assert_eq!(push(4, Occasion::Rollback(2)), Some(1));
        assert_eq!(push(5, Occasion::Rollback(1)), None);
        assert_eq!(push(6, Occasion::Apply), Some(5));
        assert_eq!(push(7, Occasion::TakenBack(5)), None);
        assert_eq!(push(8, Occasion::Rollback(3)), Some(2));
    }

    #[test]
    fn large_ones_push_older_ones_out_but_there_is_always_one_to_go_back_to() {
        let mut history = History::default();
        (1..=4).for_each(|number| drop(history.push(version(number, 40 << 20))));
        assert_eq!(history.iter().map(|v| v.number).collect::<Vec<_>>(), [3, 4]);
    }
}
