//! One try at an endpoint: pick it, lease an idle connection or open one.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_message::{Method, Version};
use tollgate_proxy_protocol::Details;
use tollgate_runtime::wheel::NEVER;
use tollgate_upstream::{InFlight, PickKey, Upstream, View};

use super::admit::{self, Stopped};
use super::client::Client;
use super::{session, tally, trace};
use crate::connect::{self, Place};
use crate::decide;
use crate::decide::session::Bond;
use crate::exchange::{Attempt, Exchange};
use crate::link::Link;
use crate::snapshot::{Transport, UpstreamProtocol};
use crate::stream::proxy_header;
use crate::worker::{Idle, Worker};

/// How often an endpoint is picked whose last place somebody else has just taken.
const LOST_RACES: u32 = 3;

/// Picks an endpoint and begins an attempt at it, without a connection yet.
pub fn begin(worker: &Worker, exchange: &mut Exchange) -> Result<(), Stopped> {
    let now = worker.clock.now_ms();
    let (Some(published), Some(index)) = (exchange.published.clone(), exchange.record.upstream_now()) else {
        return Err(Reason::NoDestination.into());
    };
    let upstream = &published.snapshot.upstreams[index as usize];
    let trial = admit::allowed(upstream, &mut exchange.retries.place, now)?;
    let (endpoint, in_flight) = {
        let at = published.snapshot.view_of(index, exchange.record.subset);
        let view = &mut published.views.borrow_mut()[at];
        View::refresh_shared(view, upstream, now);
        admit::enter(upstream, view, exchange, worker.clock.now_us())?;
        pick(worker, exchange, upstream, view)?
    };
    let chosen = upstream.endpoint(endpoint).ok_or(Reason::NoEndpoint)?;
    exchange.attempt = Some(Attempt {
        link: None,
        endpoint,
        id: chosen.id(),
        reused: false,
        answered: false,
        sent_any: false,
        in_flight,
        trial,
    });
    let try_ms = exchange.route().map_or(NEVER, |r| r.settings.timeouts.try_ms);
    if let Some(deadline) = exchange.facts.deadline {
        let until_ms = exchange.times.total_deadline_ms.min(now.saturating_add(try_ms));
        deadline.write(&mut exchange.request.bytes, until_ms.saturating_sub(now));
    }
    exchange.times.attempt_us = worker.clock.now_us();
    let start_us = exchange.since_start(exchange.times.attempt_us);
    exchange.record.attempt(endpoint, start_us);
    exchange.times.try_deadline_ms = now.saturating_add(try_ms);
    exchange.times.nearest_ms = NEVER;
    trace::attempt_begins(worker, exchange, endpoint);
    Ok(())
}

/// Picks an endpoint and takes a place at it.
fn pick(
    worker: &Worker,
    exchange: &mut Exchange,
    upstream: &Upstream,
    view: &Arc<View>,
) -> Result<(u32, InFlight), Stopped> {
    for _ in 0..=LOST_RACES {
        let turn = worker.next_turn();
        let seed = decide::attempt_seed(exchange.record.seed, exchange.record.attempts);
        let (hash, now_us) = (exchange.facts.key_hash, worker.clock.now_us());
        let bond = session::bond(exchange, view, worker.clock.now_ms());
        let key = PickKey {
            turn,
            seed,
            hash,
            now_us,
            preferred: bond.and_then(Bond::preferred),
            tried: &exchange.retries.tried,
            loads: exchange.evidence.loads(),
            ..PickKey::default()
        };
        let picked = decide::endpoint(upstream, view, &key);
        exchange.evidence.asked(view, turn, hash, bond, exchange.retries.is_anew());
        match picked {
            Ok(endpoint) => {
                if let Some(in_flight) = upstream.try_begin(endpoint) {
                    exchange.retries.place.seated(upstream, view);
                    exchange.retries.begun();
                    session::picked(exchange, bond, view, endpoint);
                    return Ok((endpoint, in_flight));
                }
            }
            Err(refusal) if refusal.reason == Reason::UpstreamFull => break,
            Err(refusal) => {
                exchange.record.detail = refusal.detail;
                return Err(refusal.reason.into());
            }
        }
        exchange.evidence.forget_latest();
    }
    let stopped = admit::wait_again(upstream, view, exchange, worker.clock.now_us());
    if matches!(stopped, Stopped::Waits(_)) {
        exchange.evidence.forget_latest();
    }
    Err(stopped)
}

/// Leases an idle connection to the attempt's endpoint, or a stream on one that has room, if there is one.
pub fn lease(worker: &Worker, exchange: &mut Exchange) -> bool {
    let repeatable = exchange.facts.method.is_idempotent()
        && !exchange.facts.upgrade
        && exchange.request.replayable
        && exchange.body.is_done();
    let Some(transport) = exchange.transport() else { return false };
    let (id, protocol) = (transport.id, transport.protocol);
    // Who opens a connection with a PROXY header has said on whose behalf it is.
    if transport.proxy_header.is_some() {
        return false;
    }
    let Some(attempt) = &mut exchange.attempt else { return false };
    let now = worker.clock.now_ms();
    attempt.link = match protocol {
        UpstreamProtocol::Http1 => {
            // What could not be sent a second time is worth a question to the kernel.
            let lives = |idle: &mut Idle| {
                idle.transport == id
                    && idle.socket.looks_alive()
                    && (repeatable && !idle.doubtful || idle.socket.is_alive())
            };
            worker.links.pool.borrow_mut().take(attempt.id, now, lives).map(|idle| idle.socket.into())
        }
        UpstreamProtocol::Http2 => {
            worker.links.multiplexed.borrow_mut().stream((attempt.id, id), now).map(Link::from)
        }
    };
    attempt.reused = attempt.link.is_some();
    if let Some(latest) = exchange.record.latest() {
        latest.reused = attempt.reused;
    }
    if let (true, Some(published), Some(upstream)) =
        (attempt.reused, &exchange.published, exchange.record.upstream_now())
    {
        published.shard.upstreams[upstream as usize].connections_reused.add(1);
    }
    attempt.reused
}

/// Opens a connection to the attempt's endpoint, or waits for one that somebody else opens.
pub async fn connect(worker: &Rc<Worker>, client: &Client, exchange: &mut Exchange) -> Result<(), Reason> {
    let (Some(published), Some(index), Some(route), Some(transport)) = (
        exchange.published.clone(),
        exchange.record.upstream_now(),
        exchange.route(),
        exchange.transport().cloned(),
    ) else {
        return Err(Reason::NoDestination);
    };
    let series = &published.shard.upstreams[index as usize];
    let upstream = &published.snapshot.upstreams[index as usize];
    let Some(attempt) = &exchange.attempt else { return Err(Reason::NoEndpoint) };
    let endpoint = upstream.endpoint(attempt.endpoint).ok_or(Reason::NoEndpoint)?;
    let began = worker.clock.now_us();
    let now_ms = began / 1000;
    let total = exchange.times.total_deadline_ms.min(exchange.times.try_deadline_ms).saturating_sub(now_ms);
    let limit = route.settings.timeouts.connect_ms.min(total);
    let opening = announcement(client, exchange, &transport);
    let idle_ms = upstream.settings().pool.idle_timeout_ms;
    let place = Place { endpoint, transport: &transport, opening: &opening, idle_ms };
    let opening = async {
        match transport.protocol {
            UpstreamProtocol::Http1 => {
                let socket = connect::open(&place).await?;
                series.connections_opened.add(1);
                Ok(socket.into())
            }
            UpstreamProtocol::Http2 => connect::stream(worker, &place, series).await,
        }
    };
    let result = connect::within(limit, opening).await;
    worker.clock.refresh();
    exchange.times.connect_us = worker.clock.now_us().saturating_sub(began);
    if let Some(latest) = exchange.record.latest() {
        latest.connect_us = exchange.times.connect_us;
    }
    match result {
        Ok(link) => {
            if let Some(attempt) = &mut exchange.attempt {
                attempt.link = Some(link);
            }
            Ok(())
        }
        Err(failed) => {
            series.connects_failed.add(1);
            exchange.record.detail = failed.detail;
            Err(failed.reason)
        }
    }
}

/// The PROXY header that a connection begins with, where its endpoint wants one.
fn announcement(client: &Client, exchange: &Exchange, transport: &Transport) -> Vec<u8> {
    let Some(version) = transport.proxy_header else { return Vec::new() };
    let [request_id, ..] = exchange.notes.parts();
    let authority = client.secured.as_ref().and_then(|secured| secured.server_name.as_deref());
    let alpn = match client.version {
        Some(Version::Http2) => Some(&b"h2"[..]),
        Some(Version::Http3) => Some(&b"h3"[..]),
        _ => None,
    };
    let details = Details { alpn, authority, unique_id: Some(request_id), tls: None };
    let mut out = Vec::new();
    proxy_header::write(&mut out, version, client.address(), client.destination(), &details);
    out
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
    let transport = exchange.transport().filter(|t| t.proxy_header.is_none()).map(|t| t.id);
    let wanted = endpoint.is_some_and(|endpoint| !endpoint.is_retired()) && !worker.is_draining();
    tally::attempt_ended(worker, exchange, exchange.record.reason.unwrap_or(Reason::Forwarded));
    exchange.retries.place.leave();
    let Some((attempt, settings)) = exchange.attempt.take().zip(settings) else { return };
    if let (Some(Link::Bytes(socket)), Some(transport), true) = (attempt.link, transport, clean && wanted) {
        // Origins that send a body with these send it a moment later, as the next response.
        let doubtful = exchange.facts.method == Method::Head || matches!(exchange.response.status, 204 | 304);
        let (idle, now) = (Idle { socket, doubtful, transport }, worker.clock.now_ms());
        worker.links.pool.borrow_mut().put(attempt.id, idle, settings, now);
    }
}
