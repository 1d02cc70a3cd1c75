//! A value that others publish: fetched in the background, kept fresh, and kept for a while when they cannot be
//! reached.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tollgate_runtime::{Clock, Random};

use crate::client::HttpClient;
use crate::error::Error;

/// After a failure it is tried again in a second, after another one in two, and so on up to this.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How fresh a value is kept.
#[derive(Clone, Debug)]
pub struct Freshness {
    /// How long a value is fresh whose publisher does not say (`Cache-Control: max-age`).
    pub default: Duration,
    /// The shortest and the longest time that the publisher may ask for.
    pub bounds: (Duration, Duration),
    /// How long a value is used beyond its freshness while it cannot be fetched again.
    pub keep: Duration,
    /// How long somebody waits for a value that is fetched out of turn.
    pub wait: Duration,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(10 * 60),
            bounds: (Duration::from_secs(60), Duration::from_secs(24 * 3600)),
            keep: Duration::from_secs(24 * 3600),
            wait: Duration::from_secs(2),
        }
    }
}

impl Freshness {
    fn of(&self, max_age: Option<Duration>) -> Duration {
        let (least, most) = self.bounds;
        max_age.unwrap_or(self.default).min(most).max(least)
    }
}

/// A value that was fetched.
#[derive(Debug)]
pub struct Published<T> {
    /// What was made of it.
    pub value: T,
    /// As it was received.
    pub raw: Bytes,
    /// Which of the values this is, from 1. Values that are received again unchanged keep their number.
    pub generation: u64,
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    pub(crate) raw: Bytes,
    pub(crate) max_age: Option<Duration>,
}

/// Why a fetch brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// There was no answer.
    Call(Error),
    /// The answer was not 200.
    Status(u16),
    /// The answer cannot be used.
    Content(Box<str>),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::Content(why) => write!(f, "the answer cannot be used: {why}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// What happens to a source, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is another value.
    Changed {
        /// Its number.
        generation: u64,
    },
    /// The value was fetched again, and is the same.
    Unchanged,
    /// It could not be fetched.
    Failed {
        /// Why.
        error: FetchError,
        /// In how many attempts in a row.
        failures: u32,
        /// Whether there is an earlier value that is still used.
        has_value: bool,
    },
    /// The last value was given up: its publisher was out of reach for too long.
    Expired,
}

/// Who is told of events, on the runtime in the background.
pub type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

/// What came of asking for a fresh value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// A fetch has ended since; look whether the generation is another.
    Done,
    /// The last fetch is too recent for another.
    TooSoon,
    /// A fetch is under way, and takes too long to wait for.
    Late,
}

type Fetching<T> = Pin<Box<dyn Future<Output = Result<Fetched<T>, FetchError>> + Send>>;
type Fetch<T> = Box<dyn Fn() -> Fetching<T> + Send + Sync>;

/// Where a value is got from. Copies share it; with the last of them the fetching ends.
pub struct Source<T> {
    shared: Arc<Shared<T>>,
    _fetching: Arc<AbortOnDrop>,
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), _fetching: self._fetching.clone() }
    }
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared<T> {
    freshness: Freshness,
    clock: Clock,
    /// Grows with each change of `current`.
    changes: AtomicU64,
    current: Mutex<Option<Arc<Published<T>>>>,
    /// When the last fetch began, and whether one is wanted or under way.
    progress: Mutex<Progress>,
    wanted: Notify,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Progress {
    /// In milliseconds of the clock.
    began: Option<u64>,
    is_wanted: bool,
}

impl<T: Send + Sync + 'static> Source<T> {
    /// Begins to fetch, on the client's runtime.
    pub(crate) fn start(
        client: &HttpClient,
        freshness: Freshness,
        fetch: Fetch<T>,
        on_event: OnEvent,
    ) -> Self {
        let shared = Arc::new(Shared {
            freshness,
            clock: Clock::new(),
            changes: AtomicU64::new(0),
            current: Mutex::new(None),
            // The first fetch begins by itself; who asks before it has ended waits for it.
            progress: Mutex::new(Progress { began: None, is_wanted: true }),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
        });
        let task = client.runtime().spawn(keep_fresh(shared.clone(), fetch, on_event));
        Self { shared, _fetching: Arc::new(AbortOnDrop(task.abort_handle())) }
    }
}

impl<T> Source<T> {
    /// Changes whenever [`Self::current`] would return something else. Whoever keeps a copy of that compares this,
    /// which costs next to nothing.
    pub fn generation(&self) -> u64 {
        self.shared.changes.load(Ordering::Acquire)
    }

    /// The current value; none before the first was fetched, or when the last one is too old.
    pub fn current(&self) -> Option<Arc<Published<T>>> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A copy of the current value that is looked up again only when it has changed: one for each worker.
    pub fn reader(&self) -> Reader<T> {
        // Older than any, so that the first look finds what there is.
        Reader { source: self.clone(), seen: u64::MAX, value: None }
    }

    /// Asks for a fresh value and waits for it, for a bounded time: when somebody shows something that the current
    /// one does not know. All who ask at once wait for the same fetch, and none begins sooner than `min_interval`
    /// after the one before. Needs a runtime with time.
    pub async fn refresh_if_older_than(&self, min_interval: Duration) -> Refresh {
        let Some(mut ended) = self.shared.want(min_interval) else { return Refresh::TooSoon };
        match tokio::time::timeout(self.shared.freshness.wait, ended.changed()).await {
            Ok(_) => Refresh::Done,
            Err(_) => Refresh::Late,
        }
    }

    /// Waits until the first fetch has ended, well or not, for a bounded time.
    pub async fn ready(&self) -> Refresh {
        let mut ended = self.shared.ended.subscribe();
        let first = ended.wait_for(|ended| *ended > 0);
        match tokio::time::timeout(self.shared.freshness.wait, first).await {
            Ok(_) => Refresh::Done,
            Err(_) => Refresh::Late,
        }
    }
}

/// A worker's copy of a source's value.
#[derive(Debug)]
pub struct Reader<T> {
    source: Source<T>,
    seen: u64,
    value: Option<Arc<Published<T>>>,
}

impl<T> Reader<T> {
    /// The current value.
    pub fn get(&mut self) -> Option<&Arc<Published<T>>> {
        let generation = self.source.generation();
        if generation != self.seen {
            // What is found may be newer than the number; then it is looked up once more next time.
            (self.seen, self.value) = (generation, self.source.current());
        }
        self.value.as_ref()
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source<T> {
        &self.source
    }
}

impl<T> Shared<T> {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a fetch is wanted, unless the last one is too recent. One that is under way will do. What is
    /// returned tells when it has ended.
    fn want(&self, min_interval: Duration) -> Option<watch::Receiver<u64>> {
        let mut progress = self.progress();
        // Under the lock, so that no end comes between.
        let ended = self.ended.subscribe();
        if progress.is_wanted {
            return Some(ended);
        }
        let now = self.clock.now_ms();
        let is_recent = |began| now.saturating_sub(began) < ms(min_interval);
        if progress.began.is_some_and(is_recent) {
            return None;
        }
        progress.is_wanted = true;
        self.wanted.notify_one();
        Some(ended)
    }

    fn publish(&self, fetched: Fetched<T>) -> Event {
        let Fetched { value, raw, .. } = fetched;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.raw == raw) {
            return Event::Unchanged;
        }
        let generation = self.changes.load(Ordering::Relaxed) + 1;
        *current = Some(Arc::new(Published { value, raw, generation }));
        self.changes.store(generation, Ordering::Release);
        Event::Changed { generation }
    }

    /// Gives the value up; tells whether there was one.
    fn expire(&self) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let had = current.take().is_some();
        if had {
            self.changes.fetch_add(1, Ordering::Release);
        }
        had
    }

    fn has_value(&self) -> bool {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn fetch_begins(&self) {
        *self.progress() = Progress { began: Some(self.clock.now_ms()), is_wanted: true };
    }

    fn fetch_ended(&self) {
        let mut progress = self.progress();
        progress.is_wanted = false;
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits until it is time or somebody asks; gives the value up in the meantime when its time has come.
    async fn wait(&self, next: u64, expires: &mut Option<u64>, on_event: &OnEvent) {
        loop {
            let until = expires.map_or(next, |expires| expires.min(next));
            let left = Duration::from_millis(until.saturating_sub(self.clock.now_ms()));
            match tokio::time::timeout(left, self.wanted.notified()).await {
                Ok(()) if self.progress().is_wanted => return,
                // Who called was served by a fetch that had begun already.
                Ok(()) => {}
                Err(_) if until == next => return,
                Err(_) => {
                    *expires = None;
                    if self.expire() {
                        on_event(&Event::Expired);
                    }
                }
            }
        }
    }
}

/// Fetches whenever it is time or wanted. Ends with the last copy of the source, which aborts it.
async fn keep_fresh<T>(shared: Arc<Shared<T>>, fetch: Fetch<T>, on_event: OnEvent) {
    let mut random = Random::from_machine();
    let (mut failures, mut expires) = (0u32, None);
    loop {
        shared.fetch_begins();
        let next = match fetch().await {
            Ok(fetched) => {
                failures = 0;
                let fresh = shared.freshness.of(fetched.max_age);
                expires = Some(shared.clock.now_ms() + ms(fresh) + ms(shared.freshness.keep));
                on_event(&shared.publish(fetched));
                fresh
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                on_event(&Event::Failed { error, failures, has_value: shared.has_value() });
                retry_in(failures)
            }
        };
        shared.fetch_ended();
        // Many of us, started together, should not ask together.
        let next = shared.clock.now_ms() + ms(next.mul_f64(1.0 - 0.1 * unit(&mut random)));
        shared.wait(next, &mut expires, &on_event).await;
    }
}

/// Milliseconds; ten thousand years at most, so that sums are no trouble.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 48)
}

fn retry_in(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(10)).min(RETRY_MAX)
}

/// A number from 0 to 1.
fn unit(random: &mut Random) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// How long an answer is fresh by its own word (RFC 9111 sections 4.2 and 5.2.2); zero where it must not be kept.
pub(crate) fn max_age(headers: &http::HeaderMap) -> Option<Duration> {
    let text = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut found = None;
    for directive in text(http::header::CACHE_CONTROL).flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            found = found.or_else(|| value.trim().trim_matches('"').parse().ok());
        }
    }
    let age = text(http::header::AGE).next().and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    found.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::header::{AGE, CACHE_CONTROL, HeaderValue};

    use super::{Freshness, RETRY_MAX, max_age, retry_in};

    #[test]
    fn answers_tell_how_long_they_are_fresh() {
        let of = |cache: &'static str, age: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
            headers.extend(age.map(|age| (AGE, HeaderValue::from_static(age))));
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of("max-age=60", None), Some(60));
        assert_eq!(of("public, Max-Age=\"60\" , must-revalidate", Some("20")), Some(40));
        assert_eq!(of("max-age=60", Some("100")), Some(0));
        assert_eq!(of("max-age=60, no-store", None), Some(0));
        assert_eq!(of("no-cache", None), Some(0));
        assert_eq!(
            [of("public", None), of("max-age=-1", None), of("max-age=", None), of("s-maxage=9", None)],
            [None; 4]
        );
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn freshness_is_bounded() {
        let (freshness, seconds) = (Freshness::default(), Duration::from_secs);
        assert_eq!(freshness.of(None), seconds(600));
        assert_eq!(freshness.of(Some(seconds(0))), seconds(60));
        assert_eq!(freshness.of(Some(seconds(3600))), seconds(3600));
        assert_eq!(freshness.of(Some(Duration::MAX)), seconds(24 * 3600));
    }

    #[test]
    fn failures_are_repeated_ever_more_slowly() {
        let waits: Vec<_> = (1..9).map(|failures| retry_in(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_in(u32::MAX), RETRY_MAX);
    }
}
