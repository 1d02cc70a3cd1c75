//! Carrying a copy to its mirror.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tollgate_decision::Reason;
use tollgate_message::Version;

use super::super::admit::Stopped;
use super::super::client::Client;
use super::super::forward::Failure;
use super::super::{attempt, forward, retry, tally};
use super::copy::Parts;
use super::pair::Pair;
use super::{Chosen, Mirroring};
use crate::exchange::{Exchange, Facts};
use crate::mirroring::{Flight, Mirror, MirrorSeries, Mirrored};
use crate::worker::Worker;

/// The exchange of a copy: the same route, another upstream, a request that has come already.
pub fn exchange(
    worker: &Worker,
    original: &Exchange,
    parts: &Parts,
    mirror: &Mirror,
    chosen: Chosen,
) -> Box<Exchange> {
    let mut copied = worker.new_exchange();
    copied.published.clone_from(&original.published);
    copied.record.route = original.record.route;
    copied.record.upstream = Some(mirror.upstream);
    copied.record.seed = Mirror::seed(chosen.place, original.record.seed);
    let Facts { method, call, deadline, .. } = original.facts;
    copied.facts = Facts {
        method,
        call,
        deadline,
        version: Version::Http2,
        copied: true,
        key_hash: chosen.key_hash,
        ..Facts::default()
    };
    copied.notes.keep([original.notes.parts()[0], b"", b"", b""]);
    let streams = copied.speaks_streams();
    parts.write(&mut copied.request, streams);
    let now_us = worker.clock.now_us();
    copied.times.started_us = now_us;
    copied.times.call_ms = original.times.call_ms;
    copied.times.total_deadline_ms = (now_us / 1000).saturating_add(mirror.timeout_ms);
    if let Some(compare) = &mirror.compare {
        copied.response.mirroring = Mirroring::keeping(compare.max_body);
    }
    copied
}

/// Carries a copy, and counts what becomes of it.
pub async fn carry(
    mut client: Client,
    mut exchange: Box<Exchange>,
    series: Arc<MirrorSeries>,
    flight: Flight,
    pair: Option<Rc<Pair>>,
) {
    let worker = client.worker().clone();
    let reason = match serve(&worker, &mut client, &mut exchange).await {
        Ok(()) => Reason::Forwarded,
        Err(reason) => {
            exchange.retries.place.leave();
            reason
        }
    };
    series.mirrored(Mirrored::of(reason));
    if let Some(pair) = pair {
        pair.mirror_ended(&mut exchange, reason);
    }
    worker.recycle(exchange);
    drop(flight);
}

/// An attempt, and one more where an idle connection had ended unseen. Otherwise a copy is not tried again: nobody
/// waits for it, and an upstream that fails has enough to do.
async fn serve(worker: &Rc<Worker>, client: &mut Client, exchange: &mut Exchange) -> Result<(), Reason> {
    let mut fresh = false;
    loop {
        attempt::begin(worker, exchange).map_err(without_waiting)?;
        let connected = match !fresh && attempt::lease(worker, exchange) {
            true => Ok(()),
            false => attempt::connect(worker, client, exchange).await,
        };
        let ended = match connected {
            Ok(()) => forward(worker, client, exchange).await,
            Err(reason) => Err(reason),
        };
        let Err(reason) = ended else {
            exchange.record.reason = Some(Reason::Forwarded);
            attempt::release(worker, exchange);
            return Ok(());
        };
        let stale = reason == Reason::UpstreamClosed
            && exchange.attempt.as_ref().is_some_and(|attempt| attempt.reused && !attempt.answered);
        if !stale || fresh {
            failed(worker, exchange, reason);
            return Err(reason);
        }
        tally::attempt_was_stale(exchange);
        exchange.attempt = None;
        exchange.response.partial = Vec::new();
        exchange.request.rewind();
        fresh = true;
    }
}

/// A copy whose turn would come only later is not sent.
fn without_waiting(stopped: Stopped) -> Reason {
    match stopped {
        Stopped::Refused(reason) => reason,
        Stopped::Waits(_) => Reason::UpstreamFull,
    }
}

/// A copy does not hold up a drain.
async fn forward(worker: &Rc<Worker>, client: &mut Client, exchange: &mut Exchange) -> Result<(), Reason> {
    poll_fn(|cx| match worker.is_draining() {
        true => Poll::Ready(Err(Failure::from(Reason::Draining))),
        false => forward::poll(cx, worker, client, exchange),
    })
    .await
    .map_err(|failure| failure.reason)
}

/// The mirror's upstream hears of its failures as it does of other exchanges'.
fn failed(worker: &Worker, exchange: &mut Exchange, reason: Reason) {
    tally::attempt_ended(worker, exchange, reason);
    retry::report(worker, exchange, reason);
    exchange.attempt = None;
}
