//! Watching exchanges as they end: the JSON lines of those that a subscriber asked for.
//!
//! While nobody watches, a worker pays one relaxed load an exchange. A subscriber that does not keep up
//! loses lines, is told how many, and costs nobody else anything.

mod filter;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

pub use filter::{Filter, FilterError};

use crate::access::Entry;

/// How many may watch at once.
const SUBSCRIBERS_MAX: usize = 16;
/// How many bytes of lines may wait for one of them.
const BYTES_MAX: usize = 1024 * 1024;

/// Those who watch a process's exchanges. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Hub>);

#[derive(Debug, Default)]
struct Hub {
    /// How many watch; the low byte of `version`, which changes with them.
    version: AtomicU64,
    subscribers: Mutex<Vec<Arc<Subscriber>>>,
}

#[derive(Debug)]
struct Subscriber {
    filter: Filter,
    queue: Mutex<Queue>,
    dropped: AtomicU64,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Who waits for a line.
    waker: Option<Waker>,
    /// Nothing more will come.
    closed: bool,
}

/// There are as many subscribers as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySubscribers;

impl fmt::Display for TooManySubscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SUBSCRIBERS_MAX} watch already; end one of them first")
    }
}

impl std::error::Error for TooManySubscribers {}

impl Tail {
    /// Begins to watch the exchanges that the filter lets through and that begin from now on.
    pub fn subscribe(&self, filter: Filter) -> Result<Subscription, TooManySubscribers> {
        let mut subscribers = self.0.subscribers();
        if subscribers.len() >= SUBSCRIBERS_MAX {
            return Err(TooManySubscribers);
        }
        let subscriber = Arc::new(Subscriber {
            filter,
            queue: Mutex::default(),
            dropped: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        });
        subscribers.push(subscriber.clone());
        self.0.changed(subscribers.len());
        Ok(Subscription { hub: self.0.clone(), subscriber })
    }

    /// Ends all subscriptions, after the lines that wait: the process is ending.
    pub fn close(&self) {
        let ended = std::mem::take(&mut *self.0.subscribers());
        self.0.changed(0);
        for subscriber in ended {
            let mut queue = subscriber.queue();
            queue.closed = true;
            queue.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// A worker's view of the subscribers.
    pub(crate) fn reader(&self) -> TailReader {
        TailReader { tail: self.clone(), version: 0, subscribers: Vec::new() }
    }
}

impl Hub {
    fn subscribers(&self) -> MutexGuard<'_, Vec<Arc<Subscriber>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the workers look again. Called with the subscribers locked, or after all are gone.
    fn changed(&self, count: usize) {
        let next = |version: u64| ((version >> 8) + 1) << 8 | count as u64;
        // It never fails, since the function always gives a value.
        let _ =
            self.version.fetch_update(Ordering::Release, Ordering::Relaxed, |version| Some(next(version)));
    }
}

impl Subscriber {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, line: &[u8]) {
        let waiting = self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if waiting + line.len() > BYTES_MAX {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut queue = self.queue();
        queue.lines.push_back(line.to_vec());
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// A worker's view of the subscribers, looked at again only when they have changed.
#[derive(Debug)]
pub(crate) struct TailReader {
    tail: Tail,
    version: u64,
    subscribers: Vec<Arc<Subscriber>>,
}

impl TailReader {
    /// Whether anybody watches.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.tail.0.version.load(Ordering::Relaxed) & 0xff != 0
    }

    /// Gives an exchange's line to those who want it; `line` is called if there is one.
    pub(crate) fn tell<'l>(&mut self, entry: &Entry<'_>, line: impl FnOnce() -> &'l mut Vec<u8>) {
        let version = self.tail.0.version.load(Ordering::Relaxed);
        if version != self.version {
            self.subscribers.clone_from(&self.tail.0.subscribers());
            self.version = version;
        }
        let mut wanting = self.subscribers.iter().filter(|subscriber| subscriber.filter.wants(entry));
        if let Some(first) = wanting.next() {
            let line = line();
            first.offer(line);
            wanting.for_each(|subscriber| subscriber.offer(line));
        }
    }
}

/// Watches exchanges until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
}

impl Subscription {
    /// The next line, with its line feed. Where lines were lost the next one says so:
    /// `{"tail.dropped":3}`. `None` once the process ends.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next line, as [`Subscription::next`]; for those who make a stream of it.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let dropped = self.subscriber.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            return Poll::Ready(Some(format!("{{\"tail.dropped\":{dropped}}}\n").into_bytes()));
        }
        let mut queue = self.subscriber.queue();
        if let Some(line) = queue.lines.pop_front() {
            self.subscriber.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            return Poll::Ready(Some(line));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.hub.subscribers();
        subscribers.retain(|subscriber| !Arc::ptr_eq(subscriber, &self.subscriber));
        self.hub.changed(subscribers.len());
        drop(subscribers);
        // Workers may hold the subscriber until their next exchange, but not its lines.
        self.subscriber.waiting.store(BYTES_MAX, Ordering::Relaxed);
        self.subscriber.queue().lines = VecDeque::new();
    }
}

#[cfg(test)]
mod tests;
