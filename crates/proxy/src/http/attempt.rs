//! One try at an endpoint: pick it, lease an idle connection or open one.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tollgate_decision::Reason;
use tollgate_message::Method;
use tollgate_runtime::wheel::NEVER;
use tollgate_upstream::{PickKey, View};

use super::{tally, trace};
use crate::decide;
use crate::exchange::{Attempt, Exchange};
use crate::socket::Socket;
use crate::worker::{Idle, Worker};

/// Picks an endpoint and begins an attempt at it, without a connection yet.
pub fn begin(worker: &Worker, exchange: &mut Exchange) -> Result<(), Reason> {
    let now = worker.clock.now_ms();
    let (Some(published), Some(index)) = (&exchange.published, exchange.record.upstream) else {
        return Err(Reason::NoDestination);
    };
    let upstream = &published.snapshot.upstreams[index as usize];
    let endpoint = {
        let view = &mut published.views.borrow_mut()[index as usize];
        View::refresh_shared(view, upstream, now);
        let turn = worker.next_turn();
        let seed = decide::attempt_seed(exchange.record.seed, exchange.record.attempts);
        let key = PickKey { turn, seed, tried: &exchange.tried, loads: exchange.evidence.loads() };
        let picked = decide::endpoint(upstream, view, &key);
        exchange.evidence.asked(view, turn);
        picked?
    };
    let chosen = upstream.endpoint(endpoint).ok_or(Reason::NoEndpoint)?;
    exchange.attempt = Some(Attempt {
        socket: None,
        endpoint,
        id: chosen.id(),
        reused: false,
        answered: false,
        sent_any: false,
        in_flight: chosen.begin(),
    });
    let try_ms = exchange.route().map_or(NEVER, |r| r.settings.timeouts.try_ms);
    exchange.times.attempt_us = worker.clock.now_us();
    let start_us = exchange.since_start(exchange.times.attempt_us);
    exchange.record.attempt(endpoint, start_us);
    exchange.times.try_deadline_ms = now.saturating_add(try_ms);
    exchange.times.nearest_ms = NEVER;
    trace::attempt_begins(worker, exchange, endpoint);
    Ok(())
}

/// Leases an idle connection to the attempt's endpoint, if there is one that lives.
pub fn lease(worker: &Worker, exchange: &mut Exchange) -> bool {
    let repeatable = exchange.facts.method.is_idempotent()
        && !exchange.facts.upgrade
        && exchange.request.replayable
        && exchange.body.is_done();
    let Some(attempt) = &mut exchange.attempt else { return false };
    let now = worker.clock.now_ms();
    // What could not be sent a second time is worth a question to the kernel.
    let lives = |idle: &mut Idle| {
        idle.socket.looks_alive() && (repeatable && !idle.doubtful || idle.socket.is_alive())
    };
    attempt.socket = worker.pool.borrow_mut().take(attempt.id, now, lives).map(|idle| idle.socket);
    attempt.reused = attempt.socket.is_some();
    if let Some(latest) = exchange.record.latest() {
        latest.reused = attempt.reused;
    }
    if let (true, Some(published), Some(upstream)) =
        (attempt.reused, &exchange.published, exchange.record.upstream)
    {
        published.shard.upstreams[upstream as usize].connections_reused.add(1);
    }
    attempt.reused
}

/// Opens a connection to the attempt's endpoint.
pub async fn connect(worker: &Worker, exchange: &mut Exchange) -> Result<(), Reason> {
    let (Some(published), Some(index), Some(route)) =
        (exchange.published.clone(), exchange.record.upstream, exchange.route())
    else {
        return Err(Reason::NoDestination);
    };
    let series = &published.shard.upstreams[index as usize];
    let upstream = &published.snapshot.upstreams[index as usize];
    let Some(attempt) = &exchange.attempt else { return Err(Reason::NoEndpoint) };
    let address = upstream.endpoint(attempt.endpoint).ok_or(Reason::NoEndpoint)?.address();
    let began = worker.clock.now_us();
    let now_ms = began / 1000;
    let total = exchange.times.total_deadline_ms.min(exchange.times.try_deadline_ms).saturating_sub(now_ms);
    let limit = route.settings.timeouts.connect_ms.min(total);
    let result = open(address, limit).await;
    worker.clock.refresh();
    exchange.times.connect_us = worker.clock.now_us().saturating_sub(began);
    if let Some(latest) = exchange.record.latest() {
        latest.connect_us = exchange.times.connect_us;
    }
    match result {
        Ok(socket) => {
            series.connections_opened.add(1);
            if let Some(attempt) = &mut exchange.attempt {
                attempt.socket = Some(socket);
            }
            Ok(())
        }
        Err((reason, detail)) => {
            series.connects_failed.add(1);
            exchange.record.detail = detail;
            Err(reason)
        }
    }
}

async fn open(
    address: std::net::SocketAddr,
    limit_ms: u64,
) -> Result<Socket, (Reason, Option<&'static str>)> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(Socket::new(stream))
    };
    // A limit beyond a year is none; tokio's timer does not reach that far.
    match tokio::time::timeout(Duration::from_millis(limit_ms.min(31_536_000_000)), connecting).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err((Reason::ConnectFailed, describe(&error))),
        Err(_) => Err((Reason::ConnectTimeout, None)),
    }
}

/// Why no connection could be opened, where that says more than the reason.
pub fn describe(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::CONNREFUSED => Some("the endpoint refused the connection: nothing listens there"),
        Errno::HOSTUNREACH => Some("the endpoint's host cannot be reached"),
        Errno::NETUNREACH => Some("the endpoint's network cannot be reached"),
        Errno::TIMEDOUT => Some("the endpoint's host does not answer"),
        Errno::ACCESS | Errno::PERM => Some("this machine does not allow connections to the endpoint"),
        Errno::MFILE | Errno::NFILE => Some("this process or machine has no descriptors left"),
        Errno::ADDRNOTAVAIL => Some("this machine has no port left for connections to the endpoint"),
        _ => None,
    }
}

/// The attempt is over and went well: its connection goes back to the pool if it can carry another.
pub fn release(worker: &Worker, exchange: &mut Exchange) {
    trace::attempt_ends(worker, exchange, None);
    let clean = exchange.response.upstream_persists
        && exchange.body.is_done()
        && exchange.request.pending().is_empty()
        && !exchange.request.broken;
    let settings = exchange.upstream().map(|u| u.settings().pool);
    let index = exchange.attempt.as_ref().map(|attempt| attempt.endpoint);
    let endpoint = exchange.upstream().zip(index).and_then(|(upstream, index)| upstream.endpoint(index));
    let wanted = endpoint.is_some_and(|endpoint| !endpoint.is_retired()) && !worker.is_draining();
    tally::attempt_ended(worker, exchange, exchange.record.reason.unwrap_or(Reason::Forwarded));
    let Some((attempt, settings)) = exchange.attempt.take().zip(settings) else { return };
    if let Some(socket) = attempt.socket.filter(|_| clean && wanted) {
        // Origins that send a body with these send it a moment later, as the next response.
        let doubtful = exchange.facts.method == Method::Head || matches!(exchange.response.status, 204 | 304);
        let (idle, now) = (Idle { socket, doubtful }, worker.clock.now_ms());
        worker.pool.borrow_mut().put(attempt.id, idle, settings, now);
    }
}
