//! A second attempt beside one that is slow to answer. The response that begins first is passed on, the other attempt is
//! given up.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_message::Method;
use tollgate_upstream::{Failure as EndpointFailure, View};

use super::client::Client;
use super::forward::{self, Failure};
use super::{attempt, retry, session, tally, trace};
use crate::buffers::HEADROOM;
use crate::exchange::{Attempt, Exchange};
use crate::worker::Worker;

/// After how many milliseconds the attempt under way gets another beside it; `None` where it gets none.
#[inline]
pub fn delay_ms(exchange: &Exchange) -> Option<u64> {
    let hedge = exchange.route()?.settings.rescue.as_ref()?.hedge?;
    let safe = matches!(exchange.facts.method, Method::Get | Method::Head | Method::Options);
    let whole = exchange.body.is_done() && exchange.request.replayable && !exchange.facts.upgrade;
    if !safe || !whole || exchange.retries.hedged || session::is_at_its_endpoint(exchange) {
        return None;
    }
    let usual_us = match hedge.quantile {
        0 => 0,
        _ => exchange.published.as_ref()?.hedges.borrow().usual_us(exchange.record.upstream_now()?),
    };
    Some(hedge.after_ms.max(usual_us.div_ceil(1000)))
}

/// The response to the attempt under way has begun.
#[inline]
pub fn observe(exchange: &Exchange, now_us: u64) {
    let Some(hedge) = exchange.route().and_then(|route| route.settings.rescue.as_ref()?.hedge) else {
        return;
    };
    if let (1.., Some(published), Some(upstream)) =
        (hedge.quantile, &exchange.published, exchange.record.upstream_now())
    {
        let took_us = now_us.saturating_sub(exchange.times.attempt_us);
        published.hedges.borrow_mut().observe(upstream, took_us, hedge.quantile);
    }
}

/// Forwards, with a second attempt beside the first once that has not answered for so long.
pub async fn forward(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    delay_ms: u64,
) -> Result<(), Failure> {
    let mut delay = pin!(tokio::time::sleep(Duration::from_millis(delay_ms)));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = forward::poll(cx, worker, client, exchange) {
            return Poll::Ready(Some(ended));
        }
        let waits = exchange.request.pending().is_empty() && !has_answered(exchange);
        match delay.as_mut().poll(cx) {
            Poll::Ready(()) if waits => Poll::Ready(None),
            _ => Poll::Pending,
        }
    });
    if let Some(ended) = ended.await {
        return ended;
    }
    if let Some(first) = begin_second(worker, exchange)
        && let Some(ended) = race(worker, client, exchange, first).await
    {
        return ended;
    }
    poll_fn(|cx| forward::poll(cx, worker, client, exchange)).await
}

fn has_answered(exchange: &Exchange) -> bool {
    exchange.attempt.as_ref().is_none_or(|attempt| attempt.answered)
}

/// The first attempt, while the second is the one under way.
struct First {
    attempt: Attempt,
    /// How many attempts came before it.
    number: usize,
    attempt_us: u64,
    try_deadline_ms: u64,
    /// How it has failed meanwhile.
    failed: Option<Reason>,
}

impl First {
    /// What it answers: the first bytes. Where it fails, it never does.
    fn poll_answer(&mut self, cx: &mut Context<'_>, worker: &Worker) -> Poll<Vec<u8>> {
        let Some(link) = self.attempt.link.as_mut().filter(|_| self.failed.is_none()) else {
            return Poll::Pending;
        };
        let mut buffers = worker.buffers.borrow_mut();
        let room = buffers.head_room(HEADROOM);
        match link.poll_recv(cx, room) {
            Poll::Ready(Ok(received)) if received > 0 => Poll::Ready(room[..received].to_vec()),
            Poll::Ready(_) => {
                self.failed = Some(Reason::UpstreamClosed);
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Begins the second attempt, at another endpoint, if there is one and the retry budget allows it. The first is returned.
fn begin_second(worker: &Worker, exchange: &mut Exchange) -> Option<First> {
    let (published, index) = (exchange.published.clone()?, exchange.record.upstream_now()?);
    let upstream = published.snapshot.upstreams.get(index as usize)?;
    let endpoint = exchange.attempt.as_ref()?.endpoint;
    let others = {
        let view = &mut published.views.borrow_mut()[index as usize];
        View::refresh_shared(view, upstream, worker.clock.now_ms());
        view.members().iter().any(|member| *member != endpoint)
    };
    exchange.retries.hedged = true;
    if !others {
        return None;
    }
    let Some(turn) = upstream.try_retry() else {
        retry::count_refused(exchange);
        return None;
    };
    let first = First {
        attempt: exchange.attempt.take()?,
        number: exchange.record.kept_attempts().len() - 1,
        attempt_us: exchange.times.attempt_us,
        try_deadline_ms: exchange.times.try_deadline_ms,
        failed: None,
    };
    if !exchange.retries.tried.contains(&endpoint) {
        exchange.retries.tried.push(endpoint);
    }
    if attempt::begin(worker, exchange).is_err() {
        exchange.evidence.forget_beyond(exchange.record.attempts);
        go_back(exchange, first);
        return None;
    }
    exchange.record.latest().into_iter().for_each(|second| second.beside = true);
    exchange.retries.active = Some(turn);
    exchange.request.rewind();
    published.shard.upstreams[index as usize].hedges.add(1);
    Some(first)
}

/// What the race of two attempts comes to.
enum Won {
    /// The first attempt has answered, with these bytes.
    First(Vec<u8>),
    /// The second attempt has answered, and perhaps ended.
    Second(Option<Result<(), Failure>>),
    /// The second attempt has failed.
    SecondFailed(Failure),
}

/// Both attempts run until one of them answers. The one under way afterwards is to be forwarded, unless it has ended already.
async fn race(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    mut first: First,
) -> Option<Result<(), Failure>> {
    let won = match open_second(worker, client, exchange, &mut first).await {
        Some(won) => won,
        None => poll_fn(|cx| poll_both(cx, worker, client, exchange, &mut first)).await,
    };
    if let (Some(reason), false) = (first.failed, matches!(won, Won::SecondFailed(_))) {
        end_first(worker, exchange, &first, reason);
    }
    match won {
        Won::First(bytes) => {
            give_up(worker, exchange, Reason::Hedged);
            go_back(exchange, first);
            exchange.response.partial = bytes;
            exchange.response.unread = true;
            None
        }
        Won::SecondFailed(failure) => {
            if let Some(reason) = first.failed {
                end_first(worker, exchange, &first, reason);
                return Some(Err(failure));
            }
            retry::report(worker, exchange, failure.reason);
            give_up(worker, exchange, failure.reason);
            go_back(exchange, first);
            None
        }
        Won::Second(ended) => {
            if first.failed.is_none() {
                end_first(worker, exchange, &first, Reason::Hedged);
            }
            if let (Some(published), Some(index)) = (&exchange.published, exchange.record.upstream_now()) {
                published.shard.upstreams[index as usize].hedges_won.add(1);
            }
            ended
        }
    }
}

/// Gets the second attempt its connection; what it came to if the race ended meanwhile.
async fn open_second(
    worker: &Rc<Worker>,
    client: &Client,
    exchange: &mut Exchange,
    first: &mut First,
) -> Option<Won> {
    if attempt::lease(worker, exchange) {
        return None;
    }
    let mut connecting = pin!(attempt::connect(worker, client, exchange));
    poll_fn(|cx| {
        if let Poll::Ready(bytes) = first.poll_answer(cx, worker) {
            return Poll::Ready(Some(Won::First(bytes)));
        }
        let connected = std::task::ready!(connecting.as_mut().poll(cx));
        Poll::Ready(connected.err().map(|reason| Won::SecondFailed(reason.into())))
    })
    .await
}

fn poll_both(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    first: &mut First,
) -> Poll<Won> {
    if let Poll::Ready(bytes) = first.poll_answer(cx, worker) {
        return Poll::Ready(Won::First(bytes));
    }
    match forward::poll(cx, worker, client, exchange) {
        Poll::Ready(Err(failure)) if !has_answered(exchange) && is_of_endpoint(failure.reason) => {
            Poll::Ready(Won::SecondFailed(failure))
        }
        Poll::Ready(ended) => Poll::Ready(Won::Second(Some(ended))),
        Poll::Pending if has_answered(exchange) => Poll::Ready(Won::Second(None)),
        Poll::Pending => Poll::Pending,
    }
}

fn is_of_endpoint(reason: Reason) -> bool {
    EndpointFailure::from_reason(reason).is_some()
}

/// The attempt under way is given up.
fn give_up(worker: &Worker, exchange: &mut Exchange, reason: Reason) {
    let end_us = exchange.since_start(worker.clock.now_us());
    exchange.record.attempt_ended(reason, end_us);
    trace::attempt_ends(worker, exchange, Some(reason).filter(|reason| reason.is_failure()));
    tally::attempt_ended(worker, exchange, reason);
    exchange.attempt = None;
}

/// The first attempt is over, while the second goes on.
fn end_first(worker: &Worker, exchange: &mut Exchange, first: &First, reason: Reason) {
    let end_us = exchange.since_start(worker.clock.now_us());
    if let Some(kept) = exchange.record.of_number(first.number) {
        (kept.outcome, kept.end_us) = (Some(reason), end_us);
    }
    if let (Some(upstream), Some(failure)) = (exchange.upstream(), EndpointFailure::from_reason(reason)) {
        let now_ms = worker.clock.now_ms();
        upstream.report_failure(first.attempt.endpoint, failure, now_ms, exchange.record.seed);
    }
}

/// The first attempt is the one under way again. It has all of the request.
fn go_back(exchange: &mut Exchange, first: First) {
    exchange.record.go_back_to(first.number);
    exchange.attempt = Some(first.attempt);
    exchange.times.attempt_us = first.attempt_us;
    exchange.times.try_deadline_ms = first.try_deadline_ms;
    exchange.times.nearest_ms = tollgate_runtime::wheel::NEVER;
    exchange.request.sent = exchange.request.bytes.len();
    exchange.request.broken = false;
    exchange.response.partial = Vec::new();
}
