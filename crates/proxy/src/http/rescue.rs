//! What a route does for a request besides trying again: another upstream, a fixed response, another look at a response
//! that it would rather not pass on.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_decision::{Fallback as Went, Reason};
use tollgate_message::Fields;
use tollgate_upstream::View;

use super::client::Client;
use super::{hold, retry};
use crate::exchange::Exchange;
use crate::snapshot::{FallbackTo, FixedResponse, Rescue};
use crate::worker::Worker;

/// There was nobody to pick. Once this returns, there is, or the exchange goes elsewhere.
///
/// # Errors
///
/// The reason that the exchange ends with.
pub async fn unplaced(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    reason: Reason,
) -> Result<(), Reason> {
    match hold::for_endpoint(worker, client, exchange, reason).await {
        Ok(()) => Ok(()),
        Err(reason) => go_elsewhere(exchange, reason),
    }
}

/// The exchange would end for this reason: lets it go on at its route's other upstream, if there is one for that.
pub fn go_elsewhere(exchange: &mut Exchange, reason: Reason) -> Result<(), Reason> {
    let Some(rescue) = of_route(exchange) else { return Err(reason) };
    let Some(fallback) = &rescue.fallback else { return Err(reason) };
    let FallbackTo::Upstream(upstream) = fallback.to else { return Err(reason) };
    let meant = fallback.after.contains(reason) || reason == Reason::UnwantedStatus;
    if !meant || exchange.record.fallback.is_some() || exchange.retries.spent {
        return Err(reason);
    }
    let after = exchange.record.attempts;
    exchange.record.fallback = Some(Went { upstream, after, because: reason });
    exchange.record.detail = None;
    exchange.attempt = None;
    exchange.retries.begin_elsewhere();
    exchange.response.partial = Vec::new();
    exchange.request.rewind();
    Ok(())
}

/// The fixed response that the route gives instead of failing for this reason.
pub fn fixed_response(exchange: &Exchange, reason: Reason) -> Option<Arc<FixedResponse>> {
    let rescue = of_route(exchange).filter(|_| !exchange.facts.call)?;
    let fallback = rescue.fallback.as_ref()?;
    let FallbackTo::Respond(response) = &fallback.to else { return None };
    let meant = fallback.after.contains(reason) || reason == Reason::UnwantedStatus;
    meant.then(|| response.clone())
}

/// Whether a response is not to be passed on: it is tried again, or the exchange goes elsewhere. Takes the turn in the
/// retry budget, so that nothing but the client's leaving can come in between.
pub fn is_unwanted(worker: &Worker, exchange: &mut Exchange, status: u16, fields: &Fields<'_>) -> bool {
    let Some(rescue) = of_route(exchange) else { return false };
    if exchange.response.begun || !retry::is_repeatable(exchange) {
        return false;
    }
    let call = exchange.facts.call.then(|| call_status(fields)).flatten();
    let again = rescue.retried.contains(status, call) && may_try_again(worker, exchange, &rescue, fields);
    again || goes_elsewhere(worker, exchange, &rescue, status, call)
}

fn may_try_again(worker: &Worker, exchange: &mut Exchange, rescue: &Rescue, fields: &Fields<'_>) -> bool {
    let asked_ms = fields.get_by_name(b"retry-after").map(retry_after_ms);
    // Who asks for longer than anybody here wants to wait, or for what cannot be read, is believed.
    if asked_ms.is_some_and(|asked_ms| asked_ms > rescue.retry_after_ms) || !retry::attempts_left(exchange) {
        return false;
    }
    let Some(route) = exchange.route() else { return false };
    let seed = worker.random.borrow_mut().next_u64();
    let back_off_ms = route.settings.retry.back_off.delay_ms(exchange.record.attempts, seed);
    let wait_ms = asked_ms.map_or(back_off_ms, |asked_ms| asked_ms.max(back_off_ms));
    if worker.clock.now_ms().saturating_add(wait_ms) >= exchange.times.total_deadline_ms {
        return false;
    }
    let Some(turn) = exchange.upstream().and_then(|upstream| upstream.try_retry()) else {
        retry::count_refused(exchange);
        return false;
    };
    exchange.retries.granted = Some((turn, wait_ms));
    true
}

fn goes_elsewhere(
    worker: &Worker,
    exchange: &Exchange,
    rescue: &Rescue,
    status: u16,
    call: Option<u32>,
) -> bool {
    let Some(fallback) = rescue.fallback.as_ref().filter(|f| f.responses.contains(status, call)) else {
        return false;
    };
    match (&fallback.to, &exchange.published) {
        (FallbackTo::Respond(_), _) => exchange.record.fallback.is_none(),
        // A bad response is better than none.
        (FallbackTo::Upstream(index), Some(published)) if exchange.record.fallback.is_none() => {
            let upstream = &published.snapshot.upstreams[*index as usize];
            let view = &mut published.views.borrow_mut()[*index as usize];
            View::refresh_shared(view, upstream, worker.clock.now_ms());
            !view.members().is_empty()
        }
        _ => false,
    }
}

fn of_route(exchange: &Exchange) -> Option<Arc<Rescue>> {
    exchange.route()?.settings.rescue.clone()
}

/// The status of a gRPC call that ends with its head.
fn call_status(fields: &Fields<'_>) -> Option<u32> {
    std::str::from_utf8(fields.get_by_name(b"grpc-status")?).ok()?.trim().parse().ok()
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3), in milliseconds; what is not a number of seconds counts as for
/// ever.
fn retry_after_ms(value: &[u8]) -> u64 {
    let seconds = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<u64>().ok());
    seconds.map_or(u64::MAX, |seconds| seconds.saturating_mul(1000))
}
