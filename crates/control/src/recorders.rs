//! The flight recorders of all workers as one: what is there, and what somebody asks for.

use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{Document, Switch};
use tollgate_decision::{Class, Reason, Recorder, RecorderSettings};
use tollgate_proxy::recorder::Entry;

/// The flight recorders of all workers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Recorders {
    of_workers: Arc<[Arc<Recorder<Entry>>]>,
}

/// A recorded exchange, and what it was kept as.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Why it was kept.
    pub class: Class,
    /// What was kept.
    pub entry: Arc<Entry>,
}

/// Which exchanges to look for: all that meet every condition that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Those that ended for this reason.
    pub reason: Option<Reason>,
    /// Those of the route of this name.
    pub route: Option<String>,
    /// Those of the upstream of this name.
    pub upstream: Option<String>,
    /// Those that took at least this long.
    pub slow: Option<Duration>,
    /// Those answered with a status from the first to the second; 0 is an exchange without an answer.
    pub status: Option<(u16, u16)>,
    /// Those that began at this wall-clock time (since 1970, UTC) or later.
    pub since: Option<Duration>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let same = |wanted: &Option<String>, name: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| name == Some(wanted))
        };
        self.reason.is_none_or(|reason| entry.reason() == reason)
            && same(&self.route, entry.names.route.as_deref())
            && same(&self.upstream, entry.names.upstream.as_deref())
            && self.slow.is_none_or(|slow| u128::from(entry.timings.total_us) >= slow.as_micros())
            && self.status.is_none_or(|(first, last)| (first..=last).contains(&entry.status))
            && self.since.is_none_or(|since| entry.began >= since)
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderCounts {
    /// Exchanges.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Exchanges that were worth keeping and were lost, since the process started.
    pub dropped: u64,
}

impl Recorders {
    /// A recorder for each of so many workers.
    pub fn new(settings: RecorderSettings, workers: usize) -> Self {
        Self { of_workers: (0..workers).map(|_| Recorder::new(settings, workers)).collect() }
    }

    /// The recorder of one worker.
    pub fn of_worker(&self, worker: usize) -> Option<&Arc<Recorder<Entry>>> {
        self.of_workers.get(worker)
    }

    /// Changes what is kept from now on.
    pub fn configure(&self, settings: RecorderSettings) {
        for recorder in self.of_workers.iter() {
            recorder.configure(settings, self.of_workers.len());
        }
    }

    /// The exchanges with this request id, newest first: one, unless a trusted proxy in front gave an id twice.
    pub fn find(&self, request_id: &str) -> Vec<Recorded> {
        self.matching(|entry| &*entry.request_id == request_id.as_bytes())
    }

    /// The last exchanges that the filter takes, newest first.
    pub fn last(&self, count: usize, filter: &Filter) -> Vec<Recorded> {
        let mut found = self.matching(|entry| filter.takes(entry));
        found.truncate(count);
        found
    }

    /// When the oldest exchange that is kept began, by the wall clock.
    pub fn oldest(&self) -> Option<Duration> {
        let all = self.of_workers.iter().flat_map(|recorder| recorder.all());
        all.map(|(_, entry)| entry.began).min()
    }

    /// How much is kept.
    pub fn counts(&self) -> RecorderCounts {
        self.of_workers.iter().fold(RecorderCounts::default(), |sum, recorder| RecorderCounts {
            entries: sum.entries + recorder.entries(),
            bytes: sum.bytes + recorder.bytes(),
            dropped: sum.dropped + recorder.dropped(),
        })
    }

    /// By when they ended: that is when somebody heard of it.
    fn matching(&self, takes: impl Fn(&Entry) -> bool) -> Vec<Recorded> {
        let all = self.of_workers.iter().flat_map(|recorder| recorder.all());
        let taken = all.filter(|(_, entry)| takes(entry));
        let mut found: Vec<_> = taken.map(|(class, entry)| Recorded { class, entry }).collect();
        let ended = |entry: &Entry| entry.began + Duration::from_micros(entry.timings.total_us);
        found.sort_by_key(|recorded| std::cmp::Reverse(ended(&recorded.entry)));
        found
    }
}

/// What a document says about the recorder.
pub fn settings(document: &Document) -> RecorderSettings {
    match &document.recorder {
        Switch::Off => RecorderSettings { bytes: 0, slow_us: u64::MAX, sample: 0.0 },
        Switch::On(recorder) => RecorderSettings {
            bytes: usize::try_from(recorder.memory.bytes()).unwrap_or(usize::MAX),
            slow_us: u64::try_from(recorder.slow.get().as_micros()).unwrap_or(u64::MAX),
            sample: recorder.sample.fraction(),
        },
    }
}
