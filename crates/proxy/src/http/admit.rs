//! A place at the upstream: its circuit breaker, its caps, its queue.

use tollgate_decision::{Queued, Reason};
use tollgate_upstream::{
    Class, Entry, Leave, Outcome, Permit, Refused, Ticket, Trial, Upstream, View, Waited, Waiting,
};

use super::client::Client;
use super::waits::{self, Leaving};
use crate::exchange::Exchange;
use crate::worker::Worker;

/// What an exchange holds of its upstream besides the attempt.
#[derive(Debug, Default)]
pub struct Place {
    /// Its place, where there is a cap. Kept for all its attempts.
    permit: Option<Permit>,
    /// When a refused client may come again, in seconds; 0 where nothing is known of that.
    pub retry_after_s: u32,
    /// Whose it is, for the order of the queue; 0 for nobody's.
    pub key: u64,
}

/// Why no attempt has begun.
#[derive(Debug)]
pub enum Stopped {
    /// The upstream has nothing to give, for this reason.
    Refused(Reason),
    /// The exchange waits for its turn.
    Waits(Waiting),
}

impl From<Reason> for Stopped {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl Place {
    /// The exchange is done with its upstream.
    #[inline]
    pub fn leave(&mut self) {
        self.permit = None;
    }

    /// Makes it ready for another exchange.
    #[inline]
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The exchange has begun an attempt at an endpoint.
    #[inline]
    pub fn seated(&mut self, upstream: &Upstream, view: &View) {
        if let Some(permit) = &mut self.permit {
            upstream.seated(permit, view);
        }
    }
}

/// Whether the upstream is not spared just now; perhaps the attempt is a trial of whether it is well again.
#[inline]
pub fn allowed(upstream: &Upstream, place: &mut Place, now_ms: u64) -> Result<Option<Trial>, Reason> {
    let Some(breaker) = upstream.breaker() else { return Ok(None) };
    match breaker.allow(now_ms) {
        Leave::Go => Ok(None),
        Leave::Trial(trial) => Ok(Some(trial)),
        Leave::Open { retry_after_ms } => {
            place.retry_after_s = retry_after_ms.div_ceil(1000).clamp(1, 60) as u32;
            Err(Reason::CircuitOpen)
        }
    }
}

/// Takes a place at the upstream, where it has caps and the exchange has none.
#[inline]
pub fn enter(upstream: &Upstream, view: &View, exchange: &mut Exchange, now_us: u64) -> Result<(), Stopped> {
    if upstream.admission().is_none() || exchange.retries.place.permit.is_some() {
        return Ok(());
    }
    match upstream.enter(view, now_us, || ticket(exchange)) {
        None => Ok(()),
        Some(entry) => entered(exchange, entry),
    }
}

/// All endpoints are full: waits for one of them.
pub fn wait_again(upstream: &Upstream, view: &View, exchange: &mut Exchange, now_us: u64) -> Stopped {
    let Some(permit) = exchange.retries.place.permit.take() else { return Reason::UpstreamFull.into() };
    let entry = upstream.wait_again(permit, view, now_us, || ticket(exchange));
    entered(exchange, entry).err().unwrap_or(Stopped::Refused(Reason::UpstreamFull))
}

fn ticket(exchange: &Exchange) -> Ticket {
    let class = exchange.route().map_or_else(Class::default, |route| route.settings.priority);
    // A place that is not there at once is of no use to a copy; nobody is pushed out of the queue for it either.
    let deadline_ms = if exchange.facts.copied { 0 } else { exchange.times.total_deadline_ms };
    Ticket { class, key: exchange.retries.place.key, deadline_ms }
}

fn entered(exchange: &mut Exchange, entry: Entry) -> Result<(), Stopped> {
    match entry {
        Entry::Admitted(permit) => {
            exchange.retries.place.permit = Some(permit);
            Ok(())
        }
        Entry::Waiting(waiting) => Err(Stopped::Waits(waiting)),
        Entry::Refused(refused) => Err(refuse(exchange, refused).into()),
    }
}

/// Waits for the exchange's turn, with an eye on the client where there is one to look at.
pub async fn wait(
    worker: &Worker,
    client: Option<&mut Client>,
    exchange: &mut Exchange,
    mut waiting: Waiting,
) -> Result<(), Reason> {
    let until_ms = waiting.until_ms().min(exchange.times.total_deadline_ms);
    let began_us = worker.clock.now_us();
    let turn = match client {
        Some(client) => {
            waits::wait(worker, client, exchange, (until_ms, Leaving::Closes), &mut waiting).await
        }
        None => Ok(waits::until(worker, until_ms, &mut waiting).await),
    };
    worker.clock.refresh();
    let now_us = worker.clock.now_us();
    exchange.times.queue_us += now_us.saturating_sub(began_us);
    let admitted = match turn? {
        Some(admitted) => admitted,
        None => waiting.time_out(now_us),
    };
    match admitted {
        Ok(permit) => {
            note(exchange, permit.waited());
            exchange.retries.place.permit = Some(permit);
            Ok(())
        }
        Err(refused) => Err(refuse(exchange, refused)),
    }
}

/// Tells what guards the upstream how the attempt under way went, as far as that is known with its response's head.
#[inline]
pub fn report(worker: &Worker, exchange: &mut Exchange, outcome: Outcome) {
    let (Some(published), Some(index)) = (&exchange.published, exchange.record.upstream_now()) else {
        return;
    };
    let Some(upstream) = published.snapshot.upstreams.get(index as usize) else { return };
    if upstream.breaker().is_none() && upstream.admission().is_none() {
        return;
    }
    let now_us = worker.clock.now_us();
    let latency_us = now_us.saturating_sub(exchange.times.attempt_us);
    if let (Some(admission), Outcome::Success) = (upstream.admission(), outcome) {
        admission.observe(latency_us, now_us);
    }
    let trial = exchange.attempt.as_mut().and_then(|attempt| attempt.trial.take());
    match (trial, upstream.breaker()) {
        (Some(trial), _) => trial.report(outcome, latency_us, now_us / 1000),
        (None, Some(breaker)) => breaker.report(outcome, latency_us, now_us / 1000),
        (None, None) => {}
    }
}

fn refuse(exchange: &mut Exchange, refused: Refused) -> Reason {
    note(exchange, refused.waited);
    exchange.retries.place.retry_after_s = refused.retry_after_s;
    exchange.record.detail = refused.why.detail();
    refused.why.reason()
}

fn note(exchange: &mut Exchange, waited: Waited) {
    let Waited { position, length, waited_us, .. } = waited;
    exchange.record.queued = Some(Queued { position, length, waited_us });
}
