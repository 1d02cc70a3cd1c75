//! Holding a request as long as its upstream has no endpoint for it.

use std::rc::Rc;

use tokio::sync::futures::Notified;
use tollgate_decision::Reason;
use tollgate_upstream::View;

use super::client::Client;
use super::waits::{self, Leaving};
use crate::exchange::Exchange;
use crate::snapshot::Hold;
use crate::worker::Worker;

/// Until when the exchange is held, by its route and upstream, in the clock's milliseconds; `None` where it is not, since
/// nothing says so, its time is over, or as many are held as may be.
pub fn begin(worker: &Worker, exchange: &mut Exchange) -> Option<u64> {
    let hold = settings(exchange)?;
    let now = worker.clock.now_ms();
    if exchange.retries.held.is_none() {
        let bytes = exchange.request.bytes.len() as u64;
        let held = exchange.upstream()?.holds().try_hold(bytes, hold.limits);
        if held.is_none() {
            exchange.record.detail = Some("as many requests are held for its upstream as may be");
        }
        exchange.retries.held = Some((held?, now.saturating_add(hold.for_ms)));
    }
    let (_, until_ms) = exchange.retries.held.as_ref()?;
    let until_ms = (*until_ms).min(exchange.times.total_deadline_ms);
    (now < until_ms).then_some(until_ms)
}

fn settings(exchange: &Exchange) -> Option<Hold> {
    exchange.route()?.settings.rescue.as_ref()?.hold
}

/// Waits for one of two changes.
async fn either((here, there): (Notified<'_>, Option<Notified<'_>>)) {
    let Some(there) = there else { return here.await };
    tokio::select! {
        () = here => {}
        () = there => {}
    }
}

/// Waits until the upstream has an endpoint to give.
///
/// # Errors
///
/// The reason why it has none, once the exchange may not wait any more; or that the client has gone.
pub async fn for_endpoint(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    reason: Reason,
) -> Result<(), Reason> {
    if reason != Reason::NoEndpoint {
        return Err(reason);
    }
    let until_ms = begin(worker, exchange).ok_or(reason)?;
    let (Some(published), Some(index)) = (exchange.published.clone(), exchange.record.upstream_now()) else {
        return Err(reason);
    };
    let upstream = &published.snapshot.upstreams[index as usize];
    // Its turn in the retry budget goes to others, which have an endpoint to try.
    exchange.retries.active = None;
    let began_us = worker.clock.now_us();
    let found = loop {
        // Another document may have come, and what changes now changes there.
        let changes = (upstream.changes(), upstream.latest().map(|latest| latest.changes()));
        upstream.keep_up();
        let look_again_ms = {
            let view = &mut published.views.borrow_mut()[index as usize];
            View::refresh_shared(view, upstream, worker.clock.now_ms());
            if !view.members().is_empty() {
                break Ok(());
            }
            view.valid_until_ms()
        };
        let wait = (until_ms.min(look_again_ms), Leaving::Closes);
        match waits::wait(worker, client, exchange, wait, either(changes)).await {
            Ok(None) if worker.clock.now_ms() >= until_ms => {
                exchange.record.detail = Some("it was held, and nobody came back in time");
                break Err(reason);
            }
            Ok(_) => {}
            Err(gone) => break Err(gone),
        }
    };
    let waited_us = worker.clock.now_us().saturating_sub(began_us);
    exchange.record.held_us += waited_us;
    exchange.times.queue_us += waited_us;
    if found.is_ok() {
        // It will be asked again, and that is the question that counts.
        exchange.evidence.forget_latest();
        exchange.retries.try_anew();
    }
    found
}
