//! Where datagrams find their flow, or begin one.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SendFlags;
use tollgate_decision::{Reason, Record};
use tollgate_runtime::datagrams::{Inbox, Outbox, Outgoing, Wanted, join_received};
use tollgate_telemetry::flows::{Dropped, FlowSeries};

use super::flow::{Counts, Decision, Flow, FlowKey, Place, Times};
use super::table::{FlowId, FlowTable};
use super::{account, attempt};
use crate::evidence::Evidence;
use crate::http::forwarded::make_id;
use crate::listening::Listening;
use crate::recorder;
use crate::snapshot::{Service, UdpService};
use crate::worker::{Published, Worker};

/// How many datagrams of a flow are few: as many replies are asked for at first, more than most have.
const FEW: usize = 4;
/// How often a flow that sends without pause fills the room before others get their turn.
const TURNS: usize = 8;
/// From so many replies on a flow is one that lasts: the kernel is asked to join them.
const LASTS: u64 = 64;
/// How long a flow whose endpoint failed waits for another datagram, which could try another endpoint.
const FAILED_MS: u64 = 1000;
/// How long a flow of a listener that closes may be quiet after a datagram of its client, and after a reply.
const CLOSING_ASKED_MS: u64 = 5000;
const CLOSING_ANSWERED_MS: u64 = 1000;
/// How many refused flows are recorded in a second; more are a flood, which is only counted.
const REFUSALS_RECORDED: u32 = 16;

/// What one poll works with.
pub(super) struct Round<'a> {
    pub worker: &'a Worker,
    pub published: &'a Published,
    /// The listener's socket.
    pub socket: BorrowedFd<'a>,
    /// Watches the flows' sockets.
    pub ready: BorrowedFd<'a>,
    pub now_ms: u64,
}

/// The flows of a listener on one worker.
pub(super) struct Desk {
    pub listening: Rc<Listening>,
    pub flows: FlowTable,
    /// Flows of which more is known to wait than was taken.
    pub unread: Vec<FlowId>,
    /// No flows are begun any more.
    pub closed: bool,
    closing: bool,
    service: Option<UdpService>,
    /// The number of the snapshot that `service` is of.
    seen: u64,
    /// How many snapshots were seen.
    epoch: u64,
    /// How many refusals were recorded in which second.
    refusals: (u64, u32),
}

impl Desk {
    pub(super) fn new(listening: Rc<Listening>) -> Self {
        let flows = FlowTable::default();
        Self {
            listening,
            flows,
            unread: Vec::new(),
            closed: false,
            closing: false,
            service: None,
            seen: 0,
            epoch: 0,
            refusals: (0, 0),
        }
    }

    /// Takes over what another snapshot says.
    pub(super) fn catch_up(&mut self, published: &Published) {
        // A listener that has gone stands for nothing in the snapshot in force.
        if self.seen == published.snapshot.number || self.listening.closing_since().is_some() {
            return;
        }
        self.seen = published.snapshot.number;
        self.epoch += 1;
        self.service = match &self.listening.settings().service {
            Service::Udp(service) => Some(service.clone()),
            _ => None,
        };
    }

    /// How long a flow may carry nothing, in milliseconds, whose last datagram was the client's or was not.
    pub(super) fn allowed_ms(&self, asks: bool) -> u64 {
        let idle_ms = self.service.as_ref().map_or(0, |service| service.idle_ms);
        match (self.closing, asks) {
            (false, _) => idle_ms,
            (true, true) => idle_ms.min(CLOSING_ASKED_MS),
            (true, false) => idle_ms.min(CLOSING_ANSWERED_MS),
        }
    }

    /// The listener closes: flows end as soon as they are quiet.
    pub(super) fn close(&mut self, now_ms: u64) {
        if !std::mem::replace(&mut self.closing, true) {
            let allowed = [self.allowed_ms(false), self.allowed_ms(true)];
            self.flows.hasten(now_ms, |flow| allowed[usize::from(flow.asks)]);
        }
    }

    /// A flow's endpoint has failed.
    fn fail(&mut self, round: &Round<'_>, id: FlowId, error: &io::Error) {
        if let Some(flow) = self.flows.get(id) {
            attempt::failed(round, flow, error);
            self.flows.set_due(id, round.now_ms + self.allowed_ms(true).min(FAILED_MS));
        }
    }

    fn series(&self) -> &FlowSeries {
        self.listening.series.flows.get_or_init(Box::default)
    }

    fn dropped(&self, why: Dropped, count: u64) {
        self.series().dropped(why, count);
    }

    /// Carries datagrams of one client, which stand in these slots, to their endpoint.
    pub(super) fn carry(
        &mut self,
        round: &Round<'_>,
        key: FlowKey,
        slots: Range<usize>,
        (inbox, outbox): (&Inbox, &mut Outbox),
    ) {
        outbox.clear();
        for slot in slots {
            let datagram = inbox.datagram(slot);
            if datagram.truncated {
                // A part of a datagram is worse than none.
                self.dropped(Dropped::TooLarge, datagram.count());
                continue;
            }
            outbox.push(Outgoing { slot, segment: datagram.segment, to: None, from: None });
        }
        let mut at = 0;
        while at < outbox.waiting().len() {
            let id = match self.flow(round, key) {
                Ok(id) => id,
                Err(why) => {
                    let left = outbox.waiting()[at..].iter().map(|out| inbox.datagram(out.slot).count());
                    return self.dropped(why, left.sum());
                }
            };
            at = self.send(round, id, at, (inbox, &mut *outbox));
        }
    }

    /// Sends what waits, from this one on, on a flow's socket; how far it came.
    fn send(
        &mut self,
        round: &Round<'_>,
        id: FlowId,
        at: usize,
        (inbox, outbox): (&Inbox, &mut Outbox),
    ) -> usize {
        let Some(flow) = self.flows.get(id) else { return outbox.waiting().len() };
        let Some(socket) = &flow.socket else { return outbox.waiting().len() };
        match send_some(socket.as_fd(), inbox, outbox, at) {
            Ok(sent) => {
                let end = at + sent.max(1);
                let (mut count, mut bytes) = (0, 0);
                for out in outbox.waiting().iter().take(end).skip(at) {
                    let datagram = inbox.datagram(out.slot);
                    count += datagram.count();
                    bytes += datagram.length as u64;
                }
                flow.counts.received.0 += count;
                flow.counts.received.1 += bytes;
                flow.asks = true;
                if round.worker.counts {
                    let series = flow.decision.place.series.flows.get_or_init(Box::default);
                    series.to_upstream.add(count, bytes);
                    self.series().to_upstream.add(count, bytes);
                }
                self.flows.set_due(id, round.now_ms.saturating_add(self.allowed_ms(true)));
                end
            }
            // It is about a datagram before these, which are not sent yet: they may go elsewhere.
            Err(error) if attempt::is_of_endpoint(&error) => {
                self.fail(round, id, &error);
                at
            }
            Err(error) => {
                let count = outbox.waiting().get(at).map_or(1, |out| inbox.datagram(out.slot).count());
                self.dropped(why_not_sent(&error), count);
                at + 1
            }
        }
    }

    /// The flow of a client, with a socket to send on.
    fn flow(&mut self, round: &Round<'_>, key: FlowKey) -> Result<FlowId, Dropped> {
        let Some(id) = self.flows.find(&key) else { return self.begin(round, key) };
        if !self.keeps_endpoint(round, id) {
            self.end(round, id, Reason::ConnectionEnded);
            return self.begin(round, key);
        }
        let upstream = self.service.as_ref().map_or(u32::MAX, |service| service.upstream);
        let Some(flow) = self.flows.get(id) else { return Err(Dropped::NotSent) };
        if flow.socket.is_some() {
            return Ok(id);
        }
        // What this flow's decisions depend on is of one snapshot.
        let again = flow.decision.snapshot.as_ptr() == Arc::as_ptr(&round.published.snapshot);
        if again && attempt::begin(round, upstream, id, flow).is_ok() {
            return Ok(id);
        }
        self.end(round, id, Reason::ConnectFailed);
        // A flow that found nobody would find nobody again.
        if again { Err(Dropped::Refused(Reason::ConnectFailed)) } else { self.begin(round, key) }
    }

    /// Whether a flow's endpoint is still there: looked up once in each snapshot, in which it may be removed.
    fn keeps_endpoint(&mut self, round: &Round<'_>, id: FlowId) -> bool {
        let (epoch, service) = (self.epoch, &self.service);
        let Some(flow) = self.flows.get(id) else { return false };
        if flow.epoch == epoch {
            let place = &flow.decision.place;
            return !place.upstream.endpoint(place.endpoint).is_some_and(|endpoint| endpoint.is_removed());
        }
        let index = service.as_ref().map_or(usize::MAX, |service| service.upstream as usize);
        let (snapshot, shard) = (&round.published.snapshot, &round.published.shard);
        let (Some(upstream), Some(series)) = (snapshot.upstreams.get(index), shard.upstreams.get(index))
        else {
            return false;
        };
        let place = &mut flow.decision.place;
        let mut endpoints = upstream.live_endpoints();
        let Some((endpoint, _)) = endpoints.find(|(_, endpoint)| Some(endpoint.id()) == place.id) else {
            return false;
        };
        if !Arc::ptr_eq(&place.series, series) {
            // The flow is another upstream's from here on.
            place.series.flows.get_or_init(Box::default).ended.add(1);
            series.flows.get_or_init(Box::default).begun.add(1);
        }
        (place.upstream, place.endpoint, place.series) = (upstream.clone(), endpoint, series.clone());
        flow.epoch = epoch;
        true
    }

    fn begin(&mut self, round: &Round<'_>, key: FlowKey) -> Result<FlowId, Dropped> {
        if self.closed {
            return Err(Dropped::Closing);
        }
        let (worker, published) = (round.worker, round.published);
        let index = self.service.as_ref().map_or(u32::MAX, |service| service.upstream);
        let (Some(upstream), Some(series)) =
            (published.snapshot.upstreams.get(index as usize), published.shard.upstreams.get(index as usize))
        else {
            return Err(Dropped::Refused(Reason::NoEndpoint));
        };
        let admitted = match self.listening.limits.admit(key.client.ip().to_canonical()) {
            Ok(admitted) => admitted,
            Err(reason) => return Err(self.refuse(round, key, reason)),
        };
        let seed = worker.random.borrow_mut().next_u64();
        let mut evidence = Evidence::default();
        if worker.records() {
            evidence.begin(b"");
        }
        let mut record = Record::default();
        (record.upstream, record.seed) = (Some(index), seed);
        let decision = Decision {
            record,
            evidence,
            tried: Vec::new(),
            names: Vec::new(),
            place: Place { upstream: upstream.clone(), endpoint: 0, id: None, series: series.clone() },
            permit: None,
            in_flight: None,
            snapshot: Arc::downgrade(&published.snapshot),
            snapshot_number: published.snapshot.number,
            times: Times { started_us: worker.clock.now_us(), ..Times::default() },
        };
        let mut flow = Box::new(Flow {
            key,
            socket: None,
            counts: Counts::default(),
            bursts: false,
            joins: false,
            asks: true,
            epoch: self.epoch,
            decision: Box::new(decision),
            _admitted: admitted,
        });
        if worker.counts {
            self.series().begun.add(1);
            series.flows.get_or_init(Box::default).begun.add(1);
        }
        match attempt::begin(round, index, self.flows.next_id(), &mut flow) {
            Ok(()) => Ok(self.flows.insert(flow, round.now_ms.saturating_add(self.allowed_ms(true)))),
            Err(reason) => {
                account::ended(worker, &self.listening, flow, reason);
                Err(Dropped::Refused(reason))
            }
        }
    }

    /// A flow would pass a limit.
    fn refuse(&mut self, round: &Round<'_>, key: FlowKey, limit: Reason) -> Dropped {
        let reason = match limit {
            Reason::ClientAddressFull => Reason::ClientFlowsFull,
            _ => Reason::FlowTableFull,
        };
        round.published.shard.reason(reason).add(1);
        let second = round.now_ms / 1000;
        if self.refusals.0 != second {
            self.refusals = (second, 0);
        }
        self.refusals.1 += 1;
        if self.refusals.1 <= REFUSALS_RECORDED {
            let peer = key.client.ip().to_canonical();
            recorder::refused_connection(&self.listening, peer, reason.into(), &make_id(round.worker));
        }
        Dropped::Refused(reason)
    }

    /// Takes what waits on a flow's socket. It goes out once the room for it is used up, or the poll ends.
    pub(super) fn replies(
        &mut self,
        round: &Round<'_>,
        id: FlowId,
        filled: &mut usize,
        (inbox, outbox): (&mut Inbox, &mut Outbox),
    ) {
        for _ in 0..TURNS {
            if *filled == inbox.slots() {
                self.flush(round, inbox, outbox);
                *filled = 0;
            }
            let Some(flow) = self.flows.get(id) else { return };
            let Some(socket) = &flow.socket else { return };
            let room = inbox.slots() - *filled;
            let asked = if flow.bursts { room } else { room.min(FEW) };
            let wanted = if flow.joins { Wanted::Joins } else { Wanted::Nothing };
            match inbox.receive(socket.as_fd(), *filled..*filled + asked, wanted) {
                Ok(count) => {
                    flow.bursts = count == asked;
                    take_replies(round.worker, flow, *filled..*filled + count, inbox, outbox);
                    *filled += count;
                    self.flows.set_due(id, round.now_ms.saturating_add(self.allowed_ms(false)));
                    if count < asked {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(round, id, &error),
            }
        }
        self.unread.push(id);
    }

    /// Sends the replies that wait.
    pub(super) fn flush(&mut self, round: &Round<'_>, inbox: &Inbox, outbox: &mut Outbox) {
        let (mut at, mut count, mut bytes) = (0, 0, 0);
        while at < outbox.waiting().len() {
            match outbox.send(round.socket, inbox, at) {
                Ok(sent) => {
                    let end = at + sent.max(1);
                    for out in outbox.waiting().iter().take(end).skip(at) {
                        let datagram = inbox.datagram(out.slot);
                        count += datagram.count();
                        bytes += datagram.length as u64;
                    }
                    at = end;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let lost = inbox.datagram(outbox.waiting()[at].slot).count();
                    self.dropped(why_not_sent(&error), lost);
                    at += 1;
                }
            }
        }
        outbox.clear();
        if round.worker.counts {
            self.series().to_client.add(count, bytes);
        }
    }

    /// A flow has ended.
    pub(super) fn end(&mut self, round: &Round<'_>, id: FlowId, reason: Reason) {
        if let Some(flow) = self.flows.remove(id) {
            account::ended(round.worker, &self.listening, flow, reason);
        }
    }
}

/// Queues the replies that stand in these slots for their client.
fn take_replies(worker: &Worker, flow: &mut Flow, slots: Range<usize>, inbox: &Inbox, outbox: &mut Outbox) {
    if slots.is_empty() {
        return;
    }
    if !flow.is_answered() {
        account::answered(worker, &mut flow.decision);
    }
    let (mut count, mut bytes) = (0, 0);
    for slot in slots {
        let datagram = inbox.datagram(slot);
        count += datagram.count();
        bytes += datagram.length as u64;
        let (to, from) = (Some(flow.key.client), flow.key.local);
        outbox.push(Outgoing { slot, segment: datagram.segment, to, from });
    }
    flow.asks = false;
    flow.counts.sent.0 += count;
    flow.counts.sent.1 += bytes;
    if worker.counts {
        flow.decision.place.series.flows.get_or_init(Box::default).to_client.add(count, bytes);
    }
    if !flow.joins
        && flow.counts.sent.0 >= LASTS
        && let Some(socket) = &flow.socket
    {
        flow.joins = join_received(socket).is_ok();
    }
}

/// Sends what waits, from this one on. Few are sent one by one: of several at once the kernel does not tell that an
/// endpoint refused the one before, and forgets it.
fn send_some(socket: BorrowedFd<'_>, inbox: &Inbox, outbox: &mut Outbox, at: usize) -> io::Result<usize> {
    match &outbox.waiting()[at..] {
        [first, others @ ..] if first.segment == 0 && others.len() < FEW => {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            rustix::net::send(socket, inbox.bytes(first.slot), flags)?;
            Ok(1)
        }
        _ => outbox.send(socket, inbox, at),
    }
}

fn why_not_sent(error: &io::Error) -> Dropped {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Dropped::NoRoom,
        Some(Errno::MSGSIZE) => Dropped::TooLarge,
        _ => Dropped::NotSent,
    }
}
