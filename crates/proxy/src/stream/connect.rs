//! A connection to an endpoint: pick one, open, and pick another where that fails.

use tollgate_decision::Reason;
use tollgate_upstream::{BackOff, Failure};

use super::account;
use crate::connect::{self, Place};
use crate::exchange::Exchange;
use crate::http::{attempt, retry};
use crate::snapshot::TcpService;
use crate::socket::Socket;
use crate::worker::Worker;

/// Between two attempts. An endpoint that was tried is not picked again while there are others, so the wait is for
/// the retry budget, and for upstreams that are all away for a moment.
const BACK_OFF: BackOff = BackOff { base_ms: 10, cap_ms: 250 };

/// Connects to an endpoint of the exchange's upstream.
pub async fn connect(
    worker: &Worker,
    exchange: &mut Exchange,
    service: &TcpService,
    opening: &[u8],
) -> Result<Socket, Reason> {
    loop {
        attempt::begin(worker, exchange)?;
        let reason = match open(worker, exchange, service.timeouts.connect_ms, opening).await {
            Ok(socket) => {
                // What follows is no retry any more, however long it takes.
                exchange.retries.active = None;
                exchange.record.detail = None;
                return Ok(socket);
            }
            Err(reason) => reason,
        };
        account::attempt_ended(worker, exchange, reason);
        report_failure(worker, exchange, reason);
        let Some(attempt) = exchange.attempt.take() else { return Err(reason) };
        if exchange.record.attempts > service.connect_retries {
            return Err(reason);
        }
        if !exchange.retries.tried.contains(&attempt.endpoint) {
            exchange.retries.tried.push(attempt.endpoint);
        }
        // It no longer counts as in flight while the next one waits.
        drop(attempt);
        retry::wait_for_turn(worker, None, exchange, BACK_OFF, reason).await?;
    }
}

/// Opens a connection to the attempt's endpoint.
async fn open(
    worker: &Worker,
    exchange: &mut Exchange,
    connect_ms: u64,
    opening: &[u8],
) -> Result<Socket, Reason> {
    let attempt = exchange.attempt.as_ref().ok_or(Reason::NoEndpoint)?;
    let endpoint = exchange.upstream().and_then(|upstream| upstream.endpoint(attempt.endpoint));
    let (endpoint, transport) = endpoint.zip(exchange.transport()).ok_or(Reason::NoEndpoint)?;
    let began = worker.clock.now_us();
    let place = Place { endpoint, transport, opening, idle_ms: 0 };
    let result = connect::within(connect_ms, connect::open(&place)).await;
    worker.clock.refresh();
    exchange.times.connect_us = worker.clock.now_us().saturating_sub(began);
    let connect_us = exchange.times.connect_us;
    exchange.record.latest().into_iter().for_each(|latest| latest.connect_us = connect_us);
    exchange.record.detail = result.as_ref().err().and_then(|refusal| refusal.detail);
    if let (Some(published), Some(index)) = (&exchange.published, exchange.record.upstream_now()) {
        let series = &published.shard.upstreams[index as usize];
        let counter = if result.is_ok() { &series.connections_opened } else { &series.connects_failed };
        counter.add(1);
    }
    result.map_err(|refusal| refusal.reason)
}

/// Tells the endpoint's health that the attempt failed for this reason.
pub fn report_failure(worker: &Worker, exchange: &Exchange, reason: Reason) {
    let (Some(upstream), Some(attempt)) = (exchange.upstream(), &exchange.attempt) else { return };
    if let Some(failure) = Failure::from_reason(reason) {
        upstream.report_failure(attempt.endpoint, failure, worker.clock.now_ms(), exchange.record.seed);
    }
}
