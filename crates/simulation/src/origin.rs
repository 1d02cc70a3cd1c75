//! A modelled endpoint.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::events::Job;
use crate::scenario::{ChangeTo, Down, EndpointModel};

/// An endpoint, as it is at the moment.
#[derive(Debug)]
pub(crate) struct Origin {
    model: EndpointModel,
    slow: f64,
    pub(crate) down: Option<Down>,
    busy: u32,
    /// Who waits at the endpoint, also those that nobody waits for any more.
    waiting: VecDeque<Job>,
    /// Idle connections of each worker.
    idle: Vec<u32>,
    /// Rises when it goes down: what it was at then is lost.
    pub(crate) life: u32,
}

/// What becomes of a request that comes to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is being served.
    Begins(Work),
    /// It waits there.
    Waits,
    /// There is no room for it there either.
    TurnedAway,
}

/// One request's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) took_us: u64,
    pub(crate) status: u16,
}

impl Origin {
    pub(crate) fn new(model: EndpointModel, workers: u32) -> Self {
        let idle = vec![0; workers as usize];
        Self { model, slow: 1.0, down: None, busy: 0, waiting: VecDeque::new(), idle, life: 0 }
    }

    /// An idle connection, if the worker has one.
    pub(crate) fn lease(&mut self, worker: u32) -> bool {
        let idle = &mut self.idle[worker as usize];
        let had_one = *idle > 0;
        *idle -= u32::from(had_one);
        had_one
    }

    /// A connection is idle again; kept where the worker has fewer than `most`.
    pub(crate) fn release(&mut self, worker: u32, most: usize) {
        let idle = &mut self.idle[worker as usize];
        if (*idle as usize) < most {
            *idle += 1;
        }
    }

    /// When a new connection is there or refused, from now, and which; `None` where nothing ever comes back.
    pub(crate) fn connect(&self, chance: &mut Chance) -> Option<(u64, bool)> {
        let connects = match self.down {
            Some(Down::Silent) => return None,
            Some(Down::Refusing) => false,
            None => !chance.happens(self.model.connect_failures),
        };
        Some((self.model.connect_us, connects))
    }

    /// A request has come.
    pub(crate) fn receive(&mut self, job: Job, chance: &mut Chance) -> Received {
        if self.has_room() {
            return Received::Begins(self.work(chance));
        }
        if self.model.backlog.is_some_and(|most| self.waiting.len() >= most as usize) {
            return Received::TurnedAway;
        }
        self.waiting.push_back(job);
        Received::Waits
    }

    /// A request is done.
    pub(crate) fn done(&mut self) {
        self.busy -= 1;
    }

    /// The next of those that wait whom somebody still waits for, if there is room.
    pub(crate) fn next(
        &mut self,
        chance: &mut Chance,
        is_wanted: impl Fn(Job) -> bool,
    ) -> Option<(Job, Work)> {
        while self.has_room() {
            let job = self.waiting.pop_front()?;
            if is_wanted(job) {
                return Some((job, self.work(chance)));
            }
        }
        None
    }

    fn has_room(&self) -> bool {
        self.model.capacity.is_none_or(|capacity| self.busy < capacity)
    }

    fn work(&mut self, chance: &mut Chance) -> Work {
        self.busy += 1;
        let fails = chance.happens(self.model.failures);
        let latency = self.model.failure_latency.filter(|_| fails).unwrap_or(self.model.latency);
        let took_us = (latency.draw(chance) * self.slow).clamp(1.0, 1e15) as u64;
        Work { took_us, status: if fails { self.model.status } else { 200 } }
    }

    /// Whether a probe passes now, and how long it takes; `None` where nothing comes back.
    pub(crate) fn probe(&self, chance: &mut Chance) -> Option<(u64, bool)> {
        let (connect_us, connects) = self.connect(chance)?;
        if !connects {
            return Some((connect_us, false));
        }
        // It does not wait behind requests: most endpoints answer their health check elsewhere.
        let works = !chance.happens(self.model.failures);
        Some((connect_us + (self.model.latency.draw(chance) * self.slow).clamp(1.0, 1e15) as u64, works))
    }

    /// Whether its requests are lost by this change: their connections end, or nothing comes back any more.
    pub(crate) fn change(&mut self, to: &ChangeTo) -> bool {
        let ChangeTo { slow, capacity, failures, connect_failures, down } = *to;
        self.slow = slow.unwrap_or(self.slow);
        self.model.capacity = capacity.or(self.model.capacity);
        self.model.failures = failures.unwrap_or(self.model.failures);
        self.model.connect_failures = connect_failures.unwrap_or(self.model.connect_failures);
        let Some(down) = down else { return false };
        self.down = down;
        if down.is_none() {
            return false;
        }
        self.life += 1;
        self.busy = 0;
        self.waiting.clear();
        self.idle.fill(0);
        true
    }
}
