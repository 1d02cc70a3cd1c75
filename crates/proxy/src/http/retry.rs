//! Whether, when and how an exchange gets another attempt.

use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_upstream::{BackOff, Failure as EndpointFailure};

use super::{tally, trace};
use crate::exchange::{Exchange, Phase};
use crate::worker::Worker;

/// How often an exchange asks the retry budget again before it gives up. A crowd of requests that lost
/// the same endpoint passes through the budget one after the other instead of being refused.
const BUDGET_ASKS: u32 = 40;

/// An attempt failed: tells the endpoint's health, and prepares another attempt if one is allowed.
/// Otherwise returns the reason that the exchange ends with.
pub async fn prepare(worker: &Worker, exchange: &mut Exchange, reason: Reason) -> Result<(), Reason> {
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
    }
    let allowed = is_safe(exchange, reason) && (stale || attempts_left(exchange));
    let Some(attempt) = exchange.attempt.take().filter(|_| allowed) else { return Err(reason) };
    if !exchange.retries.tried.contains(&attempt.endpoint) {
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
    } else {
        let back_off = exchange.route().map(|route| route.settings.retry.back_off).ok_or(reason)?;
        wait_for_turn(worker, exchange, back_off, reason).await?;
    }
    exchange.request.sent = 0;
    exchange.request.broken = false;
    Ok(())
}

fn report(worker: &Worker, exchange: &Exchange, reason: Reason) {
    let (Some(upstream), Some(attempt)) = (exchange.upstream(), &exchange.attempt) else { return };
    if let Some(failure) = EndpointFailure::from_reason(reason) {
        upstream.report_failure(attempt.endpoint, failure, worker.clock.now_ms(), exchange.record.seed);
        tally::report_latency(worker, exchange, true);
    }
}

/// A request may be sent again if nothing of it was sent, or if sending it twice has the effect of
/// once and all of it is still there; and only as long as the client has seen no byte of an answer.
fn is_safe(exchange: &Exchange, reason: Reason) -> bool {
    let Some(attempt) = &exchange.attempt else { return false };
    let kind = matches!(
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
    );
    // What the endpoint has not looked at is as good as not sent.
    let unsent = !attempt.sent_any || reason == Reason::UpstreamRefusedStream;
    let repeatable = exchange.facts.method.is_idempotent() && !exchange.facts.upgrade;
    kind && exchange.response.phase == Phase::Head
        && !exchange.response.begun
        && exchange.request.replayable
        && (unsent || repeatable)
}

fn attempts_left(exchange: &Exchange) -> bool {
    let counted = exchange.record.attempts - u32::from(exchange.retries.met_stale);
    exchange.route().is_some_and(|r| counted <= r.settings.retry.attempts)
}

/// Waits the back-off, then for the budget; not where the exchange would be over by then.
pub async fn wait_for_turn(
    worker: &Worker,
    exchange: &mut Exchange,
    back_off: BackOff,
    reason: Reason,
) -> Result<(), Reason> {
    let (Some(published), Some(index)) = (exchange.published.clone(), exchange.record.upstream) else {
        return Err(reason);
    };
    let series = &published.shard.upstreams[index as usize];
    exchange.retries.active = None;
    for ask in 1..=BUDGET_ASKS {
        let retry = if ask == 1 { exchange.record.attempts } else { u32::MAX };
        let delay = back_off.delay_ms(retry, worker.random.borrow_mut().next_u64());
        if worker.clock.now_ms().saturating_add(delay) >= exchange.times.total_deadline_ms {
            return Err(reason);
        }
        let began = worker.clock.now_us();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        worker.clock.refresh();
        exchange.times.queue_us += worker.clock.now_us().saturating_sub(began);
        if let Some(active) = published.snapshot.upstreams[index as usize].try_retry() {
            exchange.retries.active = Some(active);
            series.retries.add(1);
            return Ok(());
        }
    }
    series.retries_refused.add(1);
    Err(reason)
}
