//! What is to happen, in the order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A request at a moment of its life: of no meaning once that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) request: u32,
    pub(crate) serial: u32,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A caller of this group sends a request.
    Arrives { caller: u32 },
    /// Its connection is there.
    Connected(Job),
    /// Its connection was refused.
    Refused(Job),
    /// The endpoint is done with it. An endpoint that went down meanwhile has another `life`.
    Served { endpoint: u32, life: u32, job: Job, status: u16 },
    /// It is answered without being served.
    Turned { job: Job, status: u16 },
    /// A time limit of its attempt.
    Limit(Job),
    /// It has waited in the queue for as long as it may.
    WaitOver(Job),
    /// Its back-off is over.
    Again(Job),
    /// The change of this number.
    Changes(u32),
    /// A probe of an endpoint begins.
    Probes { endpoint: u32 },
    /// And ends.
    Probed { endpoint: u32, passed: bool },
    /// An interval of the rules that compare endpoints is over.
    Compares,
    /// What stands is noted.
    Samples,
}

#[derive(Debug)]
struct Event {
    at_us: u64,
    /// What was planned first happens first.
    number: u64,
    what: What,
}

impl Event {
    fn order(&self) -> (u64, u64) {
        (self.at_us, self.number)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// All that is to happen.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Event>>,
    planned: u64,
}

impl Events {
    pub(crate) fn plan(&mut self, at_us: u64, what: What) {
        self.planned += 1;
        self.heap.push(Reverse(Event { at_us, number: self.planned, what }));
    }

    /// The next one, and when.
    pub(crate) fn next(&mut self) -> Option<(u64, What)> {
        self.heap.pop().map(|Reverse(event)| (event.at_us, event.what))
    }
}
