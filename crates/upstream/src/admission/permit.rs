//! The right to be at an upstream.

use std::sync::Arc;

use super::Desk;
use super::refused::Waited;
use super::settings::Ticket;
use super::slots::Taken;

/// An exchange's place at the upstream, kept for all its attempts. Dropping it, on whatever path, gives the place back, and to
/// the next in the queue at once.
#[derive(Debug)]
#[must_use = "the place is taken only as long as this is kept"]
pub struct Permit {
    desk: Arc<Desk>,
    pub(super) ticket: Ticket,
    /// `None` once it was given back.
    taken: Option<Taken>,
    /// It was called to pick an endpoint, and goes before all who come later until it has.
    called: bool,
    pub(super) was_seated: bool,
    pub(super) looks: u32,
    pub(super) came_us: u64,
    pub(super) waited: Waited,
}

impl Permit {
    pub(super) fn new(desk: Arc<Desk>, ticket: Ticket, taken: Taken, came_us: u64) -> Self {
        Self {
            desk,
            ticket,
            taken: Some(taken),
            called: false,
            was_seated: false,
            looks: 0,
            came_us,
            waited: Waited::default(),
        }
    }

    pub(super) fn handed(mut self, called: bool, waited: Waited, looks: u32, was_seated: bool) -> Self {
        (self.called, self.waited, self.looks, self.was_seated) = (called, waited, looks, was_seated);
        self
    }

    /// How it waited; all zero if it did not.
    pub fn waited(&self) -> Waited {
        self.waited
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// It has a place at an endpoint.
    pub(crate) fn seated(&mut self, has_room: impl FnOnce() -> bool) {
        self.was_seated = true;
        self.looks = 0;
        if std::mem::take(&mut self.called) {
            self.desk.seated(has_room);
        }
    }

    /// What dropping it would give back, which it then does not.
    pub(super) fn dissolve(&mut self) -> (Taken, bool) {
        let called = std::mem::take(&mut self.called);
        (self.taken.take().unwrap_or(Taken::Uncounted), called)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.desk.give_back(taken, self.called);
        }
    }
}
