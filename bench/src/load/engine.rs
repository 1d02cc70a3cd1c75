//! The loop: a fixed number of connections, each with one exchange at a time.

use super::connection::{Connection, Step};
use super::pace::Pace;
use super::request::Requests;
use super::timeline::Recording;
use super::{Errors, Fault, Handshakes, Latency, Outcome, Settings};
use crate::histogram::Histogram;
use crate::sys::epoll::{Epoll, Ready};
use anyhow::Result;
use std::time::{Duration, Instant};

/// Bodies are dropped in the kernel in pieces of at most this.
const SCRATCH: usize = 1 << 20;
/// From this many faults on, going on tells nothing more.
const TOO_MANY: u64 = 1000;
/// How often connections are looked through for late answers.
const SWEEP: Duration = Duration::from_millis(500);

/// The load generator's state.
pub(crate) struct Engine<'a> {
    settings: &'a Settings,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    requests: Requests,
    scratch: Vec<u8>,
    /// Exchanges completed inside the window.
    latencies: Histogram,
    errors: Errors,
    /// TLS handshakes inside the window.
    handshakes: Handshakes,
    /// How many connections rest, or were given up, in the hold mode.
    settled: usize,
    holding: bool,
    swept: Instant,
    /// When requests fall due, where they do not wait for the answers before them.
    pace: Option<Pace>,
    /// No further request is sent for now.
    paused: bool,
    /// Connections without an exchange, while paused or paced.
    resting: Vec<usize>,
    recording: Option<Recording>,
}

impl<'a> Engine<'a> {
    /// An engine without connections yet.
    pub(crate) fn new(settings: &'a Settings) -> Result<Self> {
        Ok(Self {
            settings,
            epoll: Epoll::new()?,
            connections: Vec::new(),
            requests: Requests::new(settings),
            scratch: vec![0; SCRATCH],
            latencies: Histogram::new(),
            errors: Errors::default(),
            handshakes: Handshakes::default(),
            settled: 0,
            holding: false,
            swept: Instant::now(),
            pace: settings.over_time.rate.map(|rate| Pace::new(rate, Instant::now())),
            paused: false,
            resting: Vec::new(),
            recording: None,
        })
    }

    /// Opens all connections of the settings.
    pub(crate) fn open_all(&mut self) -> Result<()> {
        (0..self.settings.connections).try_for_each(|_| self.open_another())
    }

    /// Opens `count` connections, at most as many at once as the settings say, has one exchange on each and
    /// leaves it open. Ends when all rest or have failed, or at `deadline`.
    pub(crate) fn hold(&mut self, count: usize, deadline: Instant) -> Result<usize> {
        self.holding = true;
        while self.settled < count && self.errors.total() < TOO_MANY && Instant::now() < deadline {
            let busy = self.connections.len() - self.settled;
            let room = self.settings.connections.saturating_sub(busy).min(count - self.connections.len());
            (0..room).try_for_each(|_| self.open_another())?;
            self.turn(SWEEP)?;
        }
        Ok(self.connections.iter().flatten().filter(|connection| connection.since().is_none()).count())
    }

    /// Keeps the load up until `deadline`, or until there are enough requests or too many faults.
    pub(crate) fn drive_until(&mut self, deadline: Instant) -> Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = self.settings.over_time.keep.as_ref().is_some_and(|keep| !keep.exists());
            if left.is_zero() || self.has_enough() || ended || self.errors.total() >= TOO_MANY {
                return Ok(());
            }
            self.drive_for(left.min(SWEEP))?;
        }
    }

    /// Whether there were enough requests, or nothing is left that was not shown yet.
    fn has_enough(&self) -> bool {
        self.settings.enough.is_some_and(|enough| self.latencies.total() >= enough)
            || self.requests.are_used_up()
    }

    fn drive_for(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        loop {
            let now = Instant::now();
            self.send_due(now)?;
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() || self.has_enough() {
                return Ok(());
            }
            // While all connections are busy an answer is what is waited for.
            let pause = self.pace.as_ref().filter(|_| !self.resting.is_empty()).map(|pace| pace.wait(now));
            self.turn(pause.map_or(left, |pause| left.min(pause)))?;
        }
    }

    /// Sends the requests that are due, as far as there are connections for them.
    fn send_due(&mut self, now: Instant) -> Result<()> {
        while !self.paused && !self.resting.is_empty() {
            let Some(due) = self.pace.as_mut().and_then(|pace| pace.take(now)) else { return Ok(()) };
            self.send_on_resting(due)?;
        }
        Ok(())
    }

    fn send_on_resting(&mut self, now: Instant) -> Result<()> {
        let Some(slot) = self.resting.pop() else { return Ok(()) };
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return Ok(()) };
        match connection.request(&mut self.requests, now) {
            Ok(()) => Ok(()),
            Err(fault) => self.failed(slot, &fault),
        }
    }

    /// Lets the exchanges under way end and sends no other.
    pub(crate) fn pause(&mut self, deadline: Instant) -> Result<()> {
        self.paused = true;
        while self.resting.len() < self.connections.len() && self.errors.total() == 0 {
            anyhow::ensure!(Instant::now() < deadline, "exchanges do not end");
            self.turn(SWEEP)?;
        }
        Ok(())
    }

    /// Goes on after a pause.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.paused = false;
        let now = Instant::now();
        (0..self.resting.len()).try_for_each(|_| self.send_on_resting(now))
    }

    /// Exchanges that came to a good end since the window began.
    pub(crate) fn completed_exchanges(&self) -> u64 {
        self.latencies.total()
    }

    /// Forgets what was measured so far, but not the faults.
    pub(crate) fn begin_window(&mut self) -> Instant {
        self.latencies = Histogram::new();
        self.handshakes = Handshakes::default();
        let now = Instant::now();
        self.recording = self.settings.over_time.timeline.then(|| Recording::begin(now));
        now
    }

    /// What the window brought.
    pub(crate) fn outcome(&mut self, seconds: f64) -> Outcome {
        Outcome {
            requests: self.latencies.total(),
            seconds,
            errors: self.errors.clone(),
            latency: Latency::of(&self.latencies),
            handshakes: self.handshakes,
            usage: None,
            held: None,
            timeline: self.recording.as_mut().map(|recording| recording.finished(Instant::now())),
        }
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        for index in 0..self.epoll.wait(Some(timeout))? {
            let ready = self.epoll.ready(index);
            self.handle(ready)?;
        }
        if self.swept.elapsed() >= SWEEP {
            self.sweep()?;
        }
        Ok(())
    }

    fn handle(&mut self, ready: Ready) -> Result<()> {
        let slot = ready.token as usize;
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return Ok(()) };
        match connection.advance(ready, &mut self.requests, &mut self.scratch) {
            Ok(Step::Waiting) => Ok(()),
            Ok(Step::Complete) => self.completed(slot),
            Ok(Step::Closed) => self.open(slot),
            Err(fault) => self.failed(slot, &fault),
        }
    }

    fn completed(&mut self, slot: usize) -> Result<()> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        match connection.handshake() {
            Ok(kind) => self.handshakes.count(kind),
            Err(fault) => return self.failed(slot, &fault),
        }
        let now = Instant::now();
        if let Some(since) = connection.since() {
            let latency = now.saturating_duration_since(since);
            self.latencies.record(latency);
            self.recording.iter_mut().for_each(|recording| recording.record(now, latency));
        }
        if self.holding {
            connection.rest();
            self.settled += 1;
            return Ok(());
        }
        if self.paused || self.pace.is_some() {
            connection.rest();
            self.resting.push(slot);
            return Ok(());
        }
        let next = if self.settings.connection_per_request {
            connection.await_close(now);
            connection.closed_already(&mut self.scratch)
        } else {
            connection.request(&mut self.requests, now).map(|()| false)
        };
        match next {
            Ok(false) => Ok(()),
            Ok(true) => self.open(slot),
            Err(fault) => self.failed(slot, &fault),
        }
    }

    /// Counts the fault and replaces the connection; while holding, the connection is given up.
    fn failed(&mut self, slot: usize, fault: &Fault) -> Result<()> {
        self.errors.count(fault);
        if !self.holding {
            return self.open(slot);
        }
        let idle = self.connections[slot].take().is_some_and(|connection| connection.since().is_none());
        self.settled += usize::from(!idle);
        Ok(())
    }

    fn open_another(&mut self) -> Result<()> {
        self.connections.push(None);
        self.open(self.connections.len() - 1)
    }

    /// Opens a new connection in `slot`; the one that was there is reset.
    fn open(&mut self, slot: usize) -> Result<()> {
        self.connections[slot] = None;
        self.resting.retain(|resting| *resting != slot);
        let Settings { target, tls, body, .. } = self.settings;
        match Connection::open(*target, tls.as_ref(), *body, Instant::now()) {
            Ok(connection) => {
                self.epoll.add(connection.socket(), slot as u64)?;
                self.connections[slot] = Some(connection);
            }
            Err(error) => {
                self.errors.count(&Fault::Connect(error.to_string()));
                self.settled += usize::from(self.holding);
            }
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        self.swept = Instant::now();
        for slot in 0..self.connections.len() {
            let since = self.connections[slot].as_ref().map(Connection::since);
            match since {
                // A connection that could not be opened at all is tried again.
                None if !self.holding => self.open(slot)?,
                Some(Some(since)) if since.elapsed() > self.settings.patience => {
                    self.failed(slot, &Fault::Late)?
                }
                _ => {}
            }
        }
        Ok(())
    }
}
