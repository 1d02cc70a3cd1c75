//! One try at an endpoint: pick it, and connect a socket to it. Whether anybody is there shows only later, when the
//! machine there refuses a datagram (ICMP).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use tollgate_decision::Reason;
use tollgate_runtime::datagrams;
use tollgate_upstream::health::Failure;
use tollgate_upstream::{Class, Entry, InFlight, PickKey, Ticket, Upstream, View};

use super::account;
use super::desk::Round;
use super::flow::{Decision, Flow};
use super::table::FlowId;
use crate::decide;
use crate::worker::Worker;

/// How many endpoints one flow tries. A client that goes on beyond that begins another.
const ATTEMPTS: u32 = 3;
/// How often an endpoint is picked whose last place somebody else has just taken.
const LOST_RACES: u32 = 3;

/// Picks an endpoint and connects to it; another where that fails at once. `id` is what the flow is known by.
pub(super) fn begin(round: &Round<'_>, upstream: u32, id: FlowId, flow: &mut Flow) -> Result<(), Reason> {
    while flow.decision.record.attempts < ATTEMPTS {
        let address = pick(round, upstream, flow.key.client.ip(), &mut flow.decision)?;
        match open(round, address, id) {
            Ok(socket) => {
                flow.socket = Some(socket);
                flow.joins = false;
                flow.decision.place.series.connections_opened.add(1);
                return Ok(());
            }
            Err(error) => {
                failed(round, flow, &error);
                if is_own(&error) {
                    break;
                }
            }
        }
    }
    Err(Reason::ConnectFailed)
}

fn pick(
    round: &Round<'_>,
    index: u32,
    client: IpAddr,
    decision: &mut Decision,
) -> Result<SocketAddr, Reason> {
    let worker = round.worker;
    let upstream = decision.place.upstream.clone();
    let (endpoint, in_flight) = {
        let mut views = round.published.views.borrow_mut();
        let view = views.get_mut(index as usize).ok_or(Reason::NoEndpoint)?;
        View::refresh_shared(view, &upstream, worker.clock.now_ms());
        let hash = decide::key::of_address(&round.published.snapshot, index, client);
        seat(worker, &upstream, view, hash, decision)?
    };
    let chosen = upstream.endpoint(endpoint).ok_or(Reason::NoEndpoint)?;
    let (address, name) = (chosen.address(), chosen.name().clone());
    (decision.place.endpoint, decision.place.id) = (endpoint, Some(chosen.id()));
    decision.in_flight = Some(in_flight);
    decision.names.push(name);
    decision.times.attempt_us = worker.clock.now_us();
    let start_us = decision.times.attempt_us.saturating_sub(decision.times.started_us);
    if decision.record.attempts > 0 {
        decision.place.series.retries.add(1);
    }
    decision.record.attempt(endpoint, start_us);
    Ok(address)
}

/// Takes a place at the upstream, and one at an endpoint of it. A flow does not wait for either: its client would not
/// know, and sends again.
fn seat(
    worker: &Worker,
    upstream: &Upstream,
    view: &Arc<View>,
    hash: Option<u64>,
    decision: &mut Decision,
) -> Result<(u32, InFlight), Reason> {
    let now_us = worker.clock.now_us();
    enter(upstream, view, now_us, decision)?;
    for _ in 0..=LOST_RACES {
        let turn = worker.next_turn();
        let seed = decide::attempt_seed(decision.record.seed, decision.record.attempts);
        let (tried, loads) = (&decision.tried[..], decision.evidence.loads());
        let key = PickKey { turn, seed, hash, now_us, tried, loads, ..PickKey::default() };
        let picked = decide::endpoint(upstream, view, &key);
        decision.evidence.asked(view, turn, hash, None, false);
        let endpoint = picked.map_err(|refusal| {
            decision.record.detail = refusal.detail;
            refusal.reason
        })?;
        if let Some(in_flight) = upstream.try_begin(endpoint) {
            decision.permit.iter_mut().for_each(|permit| upstream.seated(permit, view));
            return Ok((endpoint, in_flight));
        }
        decision.evidence.forget_latest();
    }
    Err(Reason::UpstreamFull)
}

fn enter(upstream: &Upstream, view: &View, now_us: u64, decision: &mut Decision) -> Result<(), Reason> {
    if decision.permit.is_some() {
        return Ok(());
    }
    // With its time over already, it gets what is free now or nothing.
    let ticket = || Ticket { class: Class::default(), key: 0, deadline_ms: 0 };
    match upstream.enter(view, now_us, ticket) {
        None => Ok(()),
        Some(Entry::Admitted(permit)) => {
            decision.permit = Some(permit);
            Ok(())
        }
        // Whether there is a queue is nothing to a flow.
        Some(Entry::Waiting(_) | Entry::Refused(_)) => Err(Reason::UpstreamFull),
    }
}

fn open(round: &Round<'_>, address: SocketAddr, id: FlowId) -> io::Result<OwnedFd> {
    let socket = datagrams::connect(address)?;
    datagrams::watch(round.ready, &socket, id.number())?;
    Ok(socket)
}

/// The attempt under way has failed. The flow keeps no socket; its next datagram may try another endpoint.
pub(super) fn failed(round: &Round<'_>, flow: &mut Flow, error: &io::Error) {
    flow.socket = None;
    let worker = round.worker;
    account::attempt_ended(worker, &mut flow.decision, Reason::ConnectFailed);
    let Decision { record, place, tried, in_flight, times, .. } = &mut *flow.decision;
    record.detail = describe(error);
    place.series.connects_failed.add(1);
    if !is_own(error) {
        let now_us = worker.clock.now_us();
        let took_us = now_us.saturating_sub(times.attempt_us);
        place.upstream.report_failed_latency(place.endpoint, took_us, now_us);
        place.upstream.report_failure(place.endpoint, Failure::Connect, worker.clock.now_ms(), record.seed);
    }
    if !tried.contains(&place.endpoint) {
        tried.push(place.endpoint);
    }
    *in_flight = None;
}

/// Whether the endpoint refused what was sent, or cannot be reached.
pub(super) fn is_of_endpoint(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNREFUSED
                | Errno::HOSTUNREACH
                | Errno::HOSTDOWN
                | Errno::NETUNREACH
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
        )
    )
}

/// Whether this machine has nothing left to connect with: another endpoint would not help.
fn is_own(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN | Errno::NOSPC)
    )
}

fn describe(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::CONNREFUSED => Some("the endpoint refused the datagram: nothing takes datagrams there"),
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some("the endpoint's host cannot be reached"),
        Errno::NETUNREACH | Errno::NETDOWN => Some("the endpoint's network cannot be reached"),
        Errno::PROTO | Errno::NOPROTOOPT => Some("the endpoint's host does not speak UDP"),
        Errno::ACCESS | Errno::PERM => Some("this machine does not allow datagrams to the endpoint"),
        Errno::MFILE | Errno::NFILE => Some("this process or machine has no descriptors left"),
        Errno::AGAIN | Errno::ADDRNOTAVAIL => Some("this machine has no port left for another flow"),
        Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC => Some("this machine has no room for another flow"),
        _ => None,
    }
}
