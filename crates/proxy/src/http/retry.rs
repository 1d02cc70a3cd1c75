//! Whether, when and how an exchange gets another attempt.

use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_runtime::wheel::NEVER;
use tollgate_telemetry::shard::UpstreamSeries;
use tollgate_upstream::{BackOff, Failure as EndpointFailure, Outcome};

use super::client::Client;
use super::waits::{self, Leaving};
use super::{admit, hold, rescue, session, tally, trace};
use crate::exchange::{Exchange, Phase};
use crate::worker::Worker;

/// How often an exchange asks the retry budget again before it gives up. A crowd of requests that lost
/// the same endpoint passes through the budget one after the other instead of being refused.
const BUDGET_ASKS: u32 = 40;

/// An attempt failed: tells the endpoint's health, and prepares another attempt if one is allowed, here or elsewhere.
/// Otherwise returns the reason that the exchange ends with.
pub async fn prepare(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    reason: Reason,
) -> Result<(), Reason> {
    let again = try_again(worker, client, exchange, reason).await;
    again.or_else(|reason| rescue::go_elsewhere(exchange, reason))
}

async fn try_again(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    reason: Reason,
) -> Result<(), Reason> {
    let end_us = exchange.since_start(worker.clock.now_us());
    exchange.record.attempt_ended(reason, end_us);
    trace::attempt_ends(worker, exchange, Some(reason));
    let stale = exchange.attempt.as_ref().is_some_and(|a| a.reused && !a.answered)
        && reason == Reason::UpstreamClosed;
    if stale {
        tally::attempt_was_stale(exchange);
    } else {
        tally::attempt_ended(worker, exchange, reason);
        report(worker, exchange, reason);
        session::attempt_failed(exchange, reason);
    }
    exchange.retries.spent |= !may_send_again(exchange, reason);
    let granted = exchange.retries.granted.take();
    let counts = stale || granted.is_some() || reason != Reason::UnwantedStatus && attempts_left(exchange);
    let allowed =
        !exchange.retries.spent && is_tried_again(reason) && (counts || is_held(worker, exchange, reason));
    let Some(attempt) = exchange.attempt.take().filter(|_| allowed) else { return Err(reason) };
    if !counts {
        exchange.retries.try_anew();
    } else if !exchange.retries.tried.contains(&attempt.endpoint) {
        exchange.retries.tried.push(attempt.endpoint);
    }
    // The failed attempt no longer counts as in flight while this one waits.
    drop(attempt);
    // The start of a head that the client has not seen is forgotten.
    exchange.response.partial = Vec::new();
    // An idle connection that had ended unseen is nobody's fault: no waiting, no budget, and it does not
    // count as an attempt.
    if stale {
        exchange.retries.met_stale = true;
    } else if let Some((turn, wait_ms)) = granted {
        exchange.retries.active = Some(turn);
        count_granted(exchange);
        pause(worker, Some(client), exchange, wait_ms).await?;
    } else {
        let back_off = exchange.route().map(|route| route.settings.retry.back_off).ok_or(reason)?;
        wait_for_turn(worker, Some(client), exchange, back_off, reason).await?;
    }
    exchange.request.rewind();
    Ok(())
}

/// Whether the exchange goes on trying since its route holds requests: the endpoints are all away.
fn is_held(worker: &Worker, exchange: &mut Exchange, reason: Reason) -> bool {
    let away = matches!(
        reason,
        Reason::ConnectFailed
            | Reason::ConnectTimeout
            | Reason::UpstreamClosed
            | Reason::UpstreamReset
            | Reason::UpstreamRefusedStream
    );
    let held = away && hold::begin(worker, exchange).is_some();
    if held && let Some(upstream) = exchange.upstream() {
        upstream.keep_up();
    }
    held
}

/// Tells the upstream and the endpoint's health that the attempt under way failed, where that is theirs.
pub fn report(worker: &Worker, exchange: &mut Exchange, reason: Reason) {
    let Some(failure) = EndpointFailure::from_reason(reason) else { return };
    admit::report(worker, exchange, Outcome::Failure);
    let (Some(upstream), Some(attempt)) = (exchange.upstream(), &exchange.attempt) else { return };
    upstream.report_failure(attempt.endpoint, failure, worker.clock.now_ms(), exchange.record.seed);
    tally::report_latency(worker, exchange, true);
}

/// A request may be sent again if nothing of it was sent, or if sending it twice has the effect of
/// once and all of it is still there; and only as long as the client has seen no byte of an answer.
fn may_send_again(exchange: &Exchange, reason: Reason) -> bool {
    let Some(attempt) = &exchange.attempt else { return false };
    // What the endpoint has not looked at is as good as not sent.
    let unsent = !attempt.sent_any || reason == Reason::UpstreamRefusedStream;
    exchange.response.phase == Phase::Head
        && !exchange.response.begun
        && exchange.request.replayable
        && (unsent || may_repeat(exchange))
}

/// Whether another endpoint of the upstream might do better. One that answers what is no HTTP most likely has company.
fn is_tried_again(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConnectFailed
            | Reason::ConnectTimeout
            | Reason::UpstreamClosed
            | Reason::FirstByteTimeout
            | Reason::TryTimeout
            | Reason::UpstreamStalled
            | Reason::ResponseIncomplete
            | Reason::UpstreamReset
            | Reason::UpstreamRefusedStream
            | Reason::UpstreamTlsFailed
            | Reason::UpstreamCertificateRefused
            | Reason::UpstreamAlpnMismatch
            | Reason::UnwantedStatus
    )
}

/// Whether the request may be sent again although it was sent.
pub fn is_repeatable(exchange: &Exchange) -> bool {
    exchange.request.replayable && may_repeat(exchange)
}

/// Whether sending the request twice has the effect of once, or the route says that it may be.
fn may_repeat(exchange: &Exchange) -> bool {
    let method = exchange.facts.method;
    let rescue = || exchange.route().and_then(|route| route.settings.rescue.as_deref());
    !exchange.facts.upgrade
        && (method.is_idempotent() || rescue().is_some_and(|rescue| rescue.repeats(method)))
}

/// Whether the route allows another attempt, by their number.
pub fn attempts_left(exchange: &Exchange) -> bool {
    let elsewhere = exchange.record.fallback.map_or(0, |fallback| fallback.after);
    let counted = exchange.record.attempts - elsewhere - u32::from(exchange.retries.met_stale);
    exchange.route().is_some_and(|r| counted <= r.settings.retry.attempts)
}

fn series(exchange: &Exchange) -> Option<&UpstreamSeries> {
    let index = exchange.record.upstream_now()?;
    exchange.published.as_ref()?.shard.upstreams.get(index as usize).map(|series| &**series)
}

fn count_granted(exchange: &Exchange) {
    series(exchange).into_iter().for_each(|series| series.retries.add(1));
}

/// Counts a retry that the budget did not allow.
pub fn count_refused(exchange: &Exchange) {
    series(exchange).into_iter().for_each(|series| series.retries_refused.add(1));
}

/// Waits before another attempt, with an eye on the client where there is one to look at.
async fn pause(
    worker: &Worker,
    client: Option<&mut Client>,
    exchange: &mut Exchange,
    delay_ms: u64,
) -> Result<(), Reason> {
    let began = worker.clock.now_us();
    let sleep = tokio::time::sleep(Duration::from_millis(delay_ms));
    let waited = match client {
        Some(client) => {
            waits::wait(worker, client, exchange, (NEVER, Leaving::Resets), sleep).await.map(drop)
        }
        None => {
            sleep.await;
            Ok(())
        }
    };
    worker.clock.refresh();
    exchange.times.queue_us += worker.clock.now_us().saturating_sub(began);
    waited
}

/// Waits the back-off, then for the budget; not where the exchange would be over by then. One that is held asks the
/// budget as long as that lasts.
pub async fn wait_for_turn(
    worker: &Worker,
    mut client: Option<&mut Client>,
    exchange: &mut Exchange,
    back_off: BackOff,
    reason: Reason,
) -> Result<(), Reason> {
    exchange.retries.active = None;
    for ask in 1_u32.. {
        if ask > BUDGET_ASKS && !is_held(worker, exchange, reason) {
            break;
        }
        let retry = if ask == 1 { exchange.record.attempts } else { u32::MAX };
        let delay = back_off.delay_ms(retry, worker.random.borrow_mut().next_u64());
        let held_until_ms = exchange.retries.held.as_ref().map_or(NEVER, |(_, until_ms)| *until_ms);
        let deadline = exchange.times.total_deadline_ms.min(held_until_ms);
        if worker.clock.now_ms().saturating_add(delay) >= deadline {
            return Err(reason);
        }
        pause(worker, client.as_deref_mut(), exchange, delay).await?;
        if let Some(active) = exchange.upstream().and_then(|upstream| upstream.try_retry()) {
            exchange.retries.active = Some(active);
            count_granted(exchange);
            return Ok(());
        }
    }
    count_refused(exchange);
    Err(reason)
}
