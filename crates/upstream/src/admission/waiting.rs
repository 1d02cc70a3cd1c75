//! One who waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::desk::Cell;
use super::queue::Token;
use super::refused::{Refused, Waited, Why};
use super::settings::Ticket;
use super::{Desk, Permit};

/// An exchange that waits for its turn. A future; whoever awaits it gives up at [`Waiting::until_ms`] with
/// [`Waiting::time_out`]. Dropping it leaves the queue, and hands on what it may have got meanwhile.
#[derive(Debug)]
#[must_use = "it waits only as long as this is kept"]
pub struct Waiting {
    desk: Arc<Desk>,
    token: Token,
    ticket: Ticket,
    came_us: u64,
    until_us: u64,
    looks: u32,
    was_seated: bool,
    done: bool,
}

impl Waiting {
    pub(super) fn new(desk: Arc<Desk>, token: Token, ticket: Ticket, came_us: u64, until_us: u64) -> Self {
        Self { desk, token, ticket, came_us, until_us, looks: 0, was_seated: false, done: false }
    }

    pub(super) fn after(mut self, looks: u32, was_seated: bool) -> Self {
        (self.looks, self.was_seated) = (looks, was_seated);
        self
    }

    /// How long it may wait, in milliseconds since the process started, rounded up.
    pub fn until_ms(&self) -> u64 {
        self.until_us.div_ceil(1000)
    }

    /// Its time is over: a refusal, unless its turn came at the last moment.
    pub fn time_out(mut self, now_us: u64) -> Result<Permit, Refused> {
        self.done = true;
        let told = self.desk.time_out(self.token, now_us);
        self.result(told)
    }

    fn result(&self, told: Option<Cell>) -> Result<Permit, Refused> {
        match told {
            Some(Cell::Handed { taken, called, waited }) => {
                let permit = Permit::new(Arc::clone(&self.desk), self.ticket, taken, self.came_us);
                Ok(permit.handed(called, waited, self.looks, self.was_seated))
            }
            Some(Cell::Refused(refused)) => Err(refused),
            // Asked again after it was told, or never: neither can be.
            Some(Cell::Waiting(_)) | None => {
                Err(Refused { why: Why::TimedOut, retry_after_s: 1, waited: Waited::default() })
            }
        }
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut hall = self.desk.hall();
        if let Some(Cell::Waiting(waker)) = hall.queue.value(self.token) {
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        let told = hall.queue.collect(self.token);
        drop(hall);
        self.done = true;
        Poll::Ready(self.result(told))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.done {
            let told = self.desk.give_up(self.token);
            // What it was handed goes on to the next.
            drop(told.map(|told| self.result(Some(told))));
        }
    }
}
