//! What worker threads share of an upstream's admission.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use super::adaptive::Gradient;
use super::queue::{Left, Queue, Token};
use super::refused::{Refused, Waited, Why};
use super::settings::{AdmissionSettings, QueueSettings, Ticket};
use super::slots::{Slots, Taken, UNLIMITED};
use super::status::{AdmissionStatus, Waits};
use super::{Entry, Permit, Waiting};

/// What one who waits is told.
#[derive(Debug)]
pub(super) enum Cell {
    /// Nothing yet; who to wake then.
    Waiting(Option<Waker>),
    /// It has a place at the upstream. `calls` tells that it must still find one at an endpoint, and goes before all who come later.
    Handed { taken: Taken, called: bool, waited: Waited },
    /// It gets none.
    Refused(Refused),
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) queue: Queue<Cell>,
    has_queue: bool,
    /// How many were called to pick an endpoint and have not done so yet.
    called: u32,
    waits: Waits,
}

impl Hall {
    fn empty() -> Self {
        Self {
            queue: Queue::new(QueueSettings::default()),
            has_queue: false,
            called: 0,
            waits: Waits::default(),
        }
    }
}

/// Those to wake once the lock is released.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    fn push(&mut self, waker: Waker) {
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }

    pub(super) fn wake(self) {
        self.first.into_iter().chain(self.more).for_each(Waker::wake);
    }
}

/// The caps and the queue of one upstream.
///
/// No wake-up is lost: who joins the queue first makes `waiting` known and then looks for a free place once more; who gives a place
/// back first frees it and then looks whether anybody waits. Of two such accesses one comes second, and sees the other.
#[derive(Debug)]
pub(crate) struct Desk {
    slots: Slots,
    /// How many wait or were called. While there is any, nobody passes by.
    waiting: AtomicU32,
    caps_endpoints: AtomicBool,
    hall: Mutex<Hall>,
    /// The document's cap of the upstream; an adaptive one stays below.
    fixed: AtomicU32,
    is_adaptive: AtomicBool,
    gradient: Mutex<Option<Gradient>>,
    refused: [AtomicU64; Why::ALL.len()],
    /// Guards are dropped where no time is at hand. Asked only where somebody waits.
    now_us: fn() -> u64,
    /// Another time than that, once there is one.
    other_clock: OnceLock<fn() -> u64>,
}

impl Desk {
    pub(super) fn new(now_us: fn() -> u64) -> Self {
        Self {
            slots: Slots::new(UNLIMITED),
            waiting: AtomicU32::new(0),
            caps_endpoints: AtomicBool::new(false),
            hall: Mutex::new(Hall::empty()),
            fixed: AtomicU32::new(UNLIMITED),
            is_adaptive: AtomicBool::new(false),
            gradient: Mutex::new(None),
            refused: Default::default(),
            now_us,
            other_clock: OnceLock::new(),
        }
    }

    /// Takes the time from elsewhere, and forgets what was learnt by the time before. Only the first call counts, and only
    /// before anybody was admitted.
    pub(super) fn use_clock(&self, now_us: fn() -> u64) {
        if self.other_clock.set(now_us).is_ok() {
            *self.gradient.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *self.hall() = Hall::empty();
        }
    }

    pub(super) fn apply(&self, settings: &AdmissionSettings, caps_endpoints: bool) {
        let now_us = self.now_us();
        self.caps_endpoints.store(caps_endpoints, Ordering::Relaxed);
        self.fixed.store(settings.upstream.unwrap_or(UNLIMITED), Ordering::Relaxed);
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if gradient.as_ref().map(Gradient::settings) != settings.adaptive {
            *gradient = settings.adaptive.map(|adaptive| Gradient::new(adaptive, now_us, now_us));
        }
        self.is_adaptive.store(gradient.is_some(), Ordering::Relaxed);
        let cap = self.cap_of(gradient.as_ref());
        drop(gradient);
        let mut hall = self.hall();
        hall.has_queue = settings.queue.is_some();
        hall.queue.set(settings.queue.unwrap_or_default());
        self.slots.set_cap(cap);
        self.call_those_with_room(hall, now_us);
    }

    fn cap_of(&self, gradient: Option<&Gradient>) -> u32 {
        self.fixed.load(Ordering::Relaxed).min(gradient.map_or(UNLIMITED, Gradient::cap))
    }

    pub(super) fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_us(&self) -> u64 {
        self.other_clock.get().unwrap_or(&self.now_us)()
    }

    /// Admits an exchange, or lets it wait, or refuses it. `has_room` tells whether any endpoint has room, and is asked only
    /// where endpoints have caps and somebody waits.
    pub(crate) fn enter(
        self: &Arc<Self>,
        now_us: u64,
        ticket: impl FnOnce() -> Ticket,
        has_room: impl FnOnce() -> bool,
    ) -> Entry {
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(taken) = self.slots.try_take()
        {
            return Entry::Admitted(Permit::new(Arc::clone(self), taken, now_us));
        }
        let mut hall = self.hall();
        if hall.queue.is_empty()
            && hall.called == 0
            && let Some(taken) = self.slots.try_take()
        {
            return Entry::Admitted(Permit::new(Arc::clone(self), taken, now_us));
        }
        if !hall.has_queue {
            return Entry::Refused(self.refuse_without_queue());
        }
        // Asked for only now, since who goes straight on needs none.
        let ticket = ticket();
        let joined = hall.queue.push(&ticket, now_us, Cell::Waiting(None));
        let (token, pushed_out) = match joined {
            Ok(joined) => joined,
            Err(refused) => {
                self.count(refused.why);
                return Entry::Refused(refused);
            }
        };
        let mut wakes = Wakes::default();
        if let Some(left) = pushed_out {
            self.tell_refused(&mut hall, left, now_us, &mut wakes);
        }
        self.joined(hall, token, ticket, now_us, wakes, has_room)
    }

    /// An exchange that has a permit and found all endpoints full waits again: where it was called, as the next one.
    pub(crate) fn enter_again(
        self: &Arc<Self>,
        mut permit: Permit,
        now_us: u64,
        ticket: impl FnOnce() -> Ticket,
        has_room: impl FnOnce() -> bool,
    ) -> Entry {
        let mut hall = self.hall();
        if !hall.has_queue {
            drop(hall);
            return Entry::Refused(self.refuse_without_queue());
        }
        let (ticket, came_us) = (permit.ticket.unwrap_or_else(ticket), permit.came_us);
        let (taken, was_called) = permit.dissolve();
        self.slots.give_back(taken);
        let mut wakes = Wakes::default();
        let token = if was_called || permit.was_seated {
            hall.called -= u32::from(was_called);
            let came_us = if was_called { came_us } else { now_us };
            hall.queue.push_back_first(&ticket, permit.waited, came_us, now_us, Cell::Waiting(None))
        } else {
            match hall.queue.push(&ticket, now_us, Cell::Waiting(None)) {
                Ok((token, pushed_out)) => {
                    if let Some(left) = pushed_out {
                        self.tell_refused(&mut hall, left, now_us, &mut wakes);
                    }
                    token
                }
                Err(refused) => {
                    self.count(refused.why);
                    // What it gave back may be somebody's.
                    self.call_those_with_room(hall, now_us);
                    return Entry::Refused(refused);
                }
            }
        };
        // Who looked in vain a few times although there seemed to be room waits for a place to become free: its pick does not see
        // what the room is.
        let has_room = || permit.looks < LOOKS && has_room();
        let entry = self.joined(hall, token, ticket, now_us, wakes, has_room);
        match entry {
            Entry::Waiting(waiting) => Entry::Waiting(waiting.after(permit.looks + 1, permit.was_seated)),
            entry => entry,
        }
    }

    fn joined(
        self: &Arc<Self>,
        mut hall: MutexGuard<'_, Hall>,
        token: Token,
        ticket: Ticket,
        now_us: u64,
        mut wakes: Wakes,
        has_room: impl FnOnce() -> bool,
    ) -> Entry {
        self.publish(&hall);
        // A place may have become free before that was known.
        if !self.caps_endpoints.load(Ordering::Relaxed) {
            while self.hand(&mut hall, now_us, &mut wakes) {}
        } else if hall.called == 0 && has_room() {
            self.hand(&mut hall, now_us, &mut wakes);
        }
        self.publish(&hall);
        let until_us = hall.queue.until_us(token).unwrap_or(now_us);
        let came_us = hall.queue.arrived_us(token).unwrap_or(now_us);
        drop(hall);
        wakes.wake();
        Entry::Waiting(Waiting::new(Arc::clone(self), token, ticket, came_us, until_us))
    }

    fn refuse_without_queue(&self) -> Refused {
        self.count(Why::NoQueue);
        Refused { why: Why::NoQueue, retry_after_s: 1, waited: Waited::default() }
    }

    /// Gives a place at the upstream back, and hands it on if somebody waits.
    pub(super) fn give_back(&self, taken: Taken, called: bool) {
        self.slots.give_back(taken);
        if called {
            let mut hall = self.hall();
            hall.called -= 1;
            self.call_next(hall, self.now_us());
        } else if self.waiting.load(Ordering::SeqCst) != 0 {
            self.call_those_with_room(self.hall(), self.now_us());
        }
    }

    /// A place at an endpoint was given back, or may be there now.
    pub(crate) fn freed(&self) {
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.call_next(self.hall(), self.now_us());
        }
    }

    /// One who was called has found its endpoint: the next may look, if there is room.
    pub(super) fn seated(&self, has_room: impl FnOnce() -> bool) {
        let mut hall = self.hall();
        hall.called -= 1;
        let next = !hall.queue.is_empty() && has_room();
        if next {
            self.call_next(hall, self.now_us());
        } else {
            self.publish(&hall);
        }
    }

    /// All that have a place get it; where they must find an endpoint themselves, one after the other.
    fn call_those_with_room(&self, mut hall: MutexGuard<'_, Hall>, now_us: u64) {
        let mut wakes = Wakes::default();
        let one = self.caps_endpoints.load(Ordering::Relaxed);
        while self.hand(&mut hall, now_us, &mut wakes) && !one {}
        self.publish(&hall);
        drop(hall);
        wakes.wake();
    }

    fn call_next(&self, mut hall: MutexGuard<'_, Hall>, now_us: u64) {
        let mut wakes = Wakes::default();
        self.hand(&mut hall, now_us, &mut wakes);
        self.publish(&hall);
        drop(hall);
        wakes.wake();
    }

    /// Hands a free place at the upstream to the next in the queue; whether there was a place and a next one.
    fn hand(&self, hall: &mut Hall, now_us: u64, wakes: &mut Wakes) -> bool {
        if hall.queue.is_empty() {
            return false;
        }
        let Some(taken) = self.slots.try_take() else { return false };
        while let Some(left) = hall.queue.pop(now_us) {
            if left.why.is_some() {
                self.tell_refused(hall, left, now_us, wakes);
                continue;
            }
            let called = self.caps_endpoints.load(Ordering::Relaxed);
            hall.called += u32::from(called);
            hall.waits.note(left.waited.waited_us);
            tell(hall, left.token, Cell::Handed { taken, called, waited: left.waited }, wakes);
            return true;
        }
        self.slots.give_back(taken);
        false
    }

    fn tell_refused(&self, hall: &mut Hall, left: Left, now_us: u64, wakes: &mut Wakes) {
        let Some(why) = left.why else { return };
        self.count(why);
        hall.waits.note(left.waited.waited_us);
        let refused = hall.queue.refusal(why, left.waited, now_us);
        tell(hall, left.token, Cell::Refused(refused), wakes);
    }

    /// The time of one who waits is over: what it was told before, or its refusal.
    pub(super) fn time_out(&self, token: Token, now_us: u64) -> Option<Cell> {
        let mut hall = self.hall();
        if let Some(left) = hall.queue.time_out(token, now_us) {
            self.tell_refused(&mut hall, left, now_us, &mut Wakes::default());
            self.publish(&hall);
        }
        hall.queue.collect(token)
    }

    /// One who waits gives up. Returns what it was told, if it was told something.
    pub(super) fn give_up(&self, token: Token) -> Option<Cell> {
        let mut hall = self.hall();
        hall.queue.remove(token, self.now_us());
        self.publish(&hall);
        hall.queue.collect(token)
    }

    fn publish(&self, hall: &Hall) {
        self.waiting.store(hall.queue.len() + hall.called, Ordering::SeqCst);
    }

    fn count(&self, why: Why) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, latency_us: u64, now_us: u64) {
        if !self.is_adaptive.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut locked) = self.gradient.try_lock() else { return };
        let Some(gradient) = &mut *locked else { return };
        gradient.observe(latency_us, self.slots.taken(), now_us);
        let (before, cap) = (self.slots.cap(), self.cap_of(locked.as_ref()));
        if cap != before {
            self.slots.set_cap(cap);
            drop(locked);
            if cap > before && self.waiting.load(Ordering::SeqCst) != 0 {
                self.call_those_with_room(self.hall(), now_us);
            }
        }
    }

    pub(super) fn status(&self) -> AdmissionStatus {
        let hall = self.hall();
        AdmissionStatus {
            cap: Some(self.slots.cap()).filter(|cap| *cap != UNLIMITED),
            taken: self.slots.taken(),
            is_adaptive: self.is_adaptive.load(Ordering::Relaxed),
            waiting: super::Class::ALL.map(|class| hall.queue.len_of(class)),
            refused: Why::ALL.map(|why| self.refused[why as usize].load(Ordering::Relaxed)),
            waits: hall.waits.buckets,
            waited_us: hall.waits.sum_us,
        }
    }
}

/// How often one that was called looks for room again at once before it waits for a place to become free.
const LOOKS: u32 = 3;

fn tell(hall: &mut Hall, token: Token, told: Cell, wakes: &mut Wakes) {
    let Some(cell) = hall.queue.value(token) else { return };
    if let Cell::Waiting(Some(waker)) = std::mem::replace(cell, told) {
        wakes.push(waker);
    }
}
