//! One request, from its arrival to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use tollgate_decision::Reason;
use tollgate_upstream::{ActiveRetry, InFlight, Permit, Trial, Waiting};

use crate::events::Job;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a response that is no failure.
    Answered,
    /// With a response of this status, which is one.
    Status(u16),
    /// With this reason instead of a response.
    Failed(Reason),
    /// It was still under way when the simulation was over.
    Unfinished,
}

/// One that is under way. Its place is used again when it has ended.
#[derive(Debug)]
pub(crate) struct Request {
    /// Rises when what was planned for it is of no meaning any more.
    pub(crate) serial: u32,
    pub(crate) live: bool,
    /// Its group, and its key within all groups.
    pub(crate) caller: u32,
    pub(crate) key: u64,
    pub(crate) worker: u32,
    pub(crate) repeatable: bool,
    pub(crate) seed: u64,
    pub(crate) arrived_us: u64,
    pub(crate) queued_us: u64,
    pub(crate) place: Place,
    pub(crate) tries: Tries,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) waker: Waker,
}

/// Its place at the upstream.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) permit: Option<Permit>,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) since_us: u64,
}

/// What it has tried.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    pub(crate) attempts: u32,
    pub(crate) tried: Vec<u32>,
    pub(crate) active: Option<ActiveRetry>,
    /// The turn in the budget was taken before the back-off.
    pub(crate) granted: bool,
    /// How often it asked the budget for this attempt.
    pub(crate) asked: u32,
    /// What the last attempt failed with.
    pub(crate) because: Option<Reason>,
}

/// One attempt at an endpoint.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) endpoint: u32,
    pub(crate) began_us: u64,
    /// When it was sent, once there was a connection.
    pub(crate) sent_us: Option<u64>,
    pub(crate) trial: Option<Trial>,
    /// Counts at the endpoint for as long as it is here.
    pub(crate) _in_flight: InFlight,
}

impl Request {
    fn new(number: u32, woken: &Woken) -> Self {
        let waker = Waker::from(Arc::new(Bell { request: number, woken: woken.clone() }));
        Self {
            serial: 0,
            live: false,
            caller: 0,
            key: 0,
            worker: 0,
            repeatable: false,
            seed: 0,
            arrived_us: 0,
            queued_us: 0,
            place: Place::default(),
            tries: Tries::default(),
            attempt: None,
            waker,
        }
    }
}

/// All requests that are under way.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    all: Vec<Request>,
    free: Vec<u32>,
    woken: Woken,
}

impl Requests {
    /// A fresh one.
    pub(crate) fn add(&mut self) -> (u32, &mut Request) {
        let number = self.free.pop().unwrap_or_else(|| {
            let number = self.all.len() as u32;
            self.all.push(Request::new(number, &self.woken));
            number
        });
        let request = &mut self.all[number as usize];
        request.live = true;
        (number, request)
    }

    pub(crate) fn get(&mut self, request: u32) -> &mut Request {
        &mut self.all[request as usize]
    }

    /// Its present moment.
    pub(crate) fn job(&self, request: u32) -> Job {
        Job { request, serial: self.all[request as usize].serial }
    }

    /// Whether that moment is not over.
    pub(crate) fn is_current(&self, job: Job) -> bool {
        self.all[job.request as usize].serial == job.serial
    }

    /// It has ended, and all that it held was given back.
    pub(crate) fn remove(&mut self, number: u32) {
        let request = &mut self.all[number as usize];
        request.serial = request.serial.wrapping_add(1);
        (request.live, request.queued_us) = (false, 0);
        request.tries.tried.clear();
        let tried = std::mem::take(&mut request.tries.tried);
        request.tries = Tries { tried, ..Tries::default() };
        self.free.push(number);
    }

    /// How many are under way.
    pub(crate) fn live(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Those that are under way.
    pub(crate) fn all_live(&self) -> Vec<u32> {
        self.at(|_| true)
    }

    /// Those that were sent to an endpoint and have no response.
    pub(crate) fn sent_to(&self, endpoint: u32) -> Vec<u32> {
        self.at(|request| {
            request.attempt.as_ref().is_some_and(|a| a.sent_us.is_some() && a.endpoint == endpoint)
        })
    }

    fn at(&self, wanted: impl Fn(&Request) -> bool) -> Vec<u32> {
        let found = (0u32..).zip(&self.all).filter(|(_, request)| request.live && wanted(request));
        found.map(|(number, _)| number).collect()
    }

    /// One that was woken.
    pub(crate) fn next_woken(&self) -> Option<u32> {
        self.woken.pop()
    }
}

/// Those that were woken, in their order.
#[derive(Clone, Debug, Default)]
struct Woken(Arc<Mutex<std::collections::VecDeque<u32>>>);

impl Woken {
    fn push(&self, request: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(request);
    }

    fn pop(&self) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Wakes one request.
#[derive(Debug)]
struct Bell {
    request: u32,
    woken: Woken,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.request);
    }
}
