//! The task of a listener's socket: both sides in batches, and the ends of flows.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tollgate_decision::Reason;
use tollgate_runtime::TimerKey;
use tollgate_runtime::datagrams::Wanted;
use tollgate_runtime::wheel::{NEVER, TICK_MS};

use super::desk::{Desk, Round};
use super::flow::FlowKey;
use super::table::FlowId;
use crate::buffers::DatagramBuffers;
use crate::listening::Listening;

/// How many batches of a side are taken before others get their turn.
const ROUNDS: usize = 4;
/// How many flows are named by one look at those that have replies.
const EVENTS: usize = 128;
/// How often flows are looked at, unless they may be idle for less.
const SWEEP_MS: u64 = 1000;
/// How long a listener that a reload has removed waits for its flows: the reload is done when its address is free.
const REMOVED_MS: u64 = 5000;

/// Serves a listener's socket, with all its flows.
pub(super) struct Carrier {
    socket: AsyncFd<UdpSocket>,
    /// Watches the flows' sockets.
    ready: AsyncFd<OwnedFd>,
    desk: Desk,
    timer: TimerKey,
    events: Vec<Event>,
    /// When the flows are looked at next; `NEVER` while there are none.
    sweep_ms: u64,
}

impl Carrier {
    pub(super) fn new(listening: Rc<Listening>, socket: UdpSocket) -> io::Result<Self> {
        let instance = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (socket, ready) = (watched_socket(socket)?, watched_instance(instance)?);
        let timer = listening.worker().wheel.borrow_mut().insert();
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Ok(Self {
            socket,
            ready,
            desk: Desk::new(listening),
            timer,
            events: vec![nothing; EVENTS],
            sweep_ms: NEVER,
        })
    }

    /// Does what there is to do; ready once the listener closes and its flows have ended.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let worker = self.desk.listening.worker().clone();
        worker.clock.refresh();
        let published = worker.published();
        self.desk.catch_up(&published);
        worker.wheel.borrow_mut().register(self.timer, context.waker());
        let closing = worker.is_draining() || self.desk.listening.closing_since().is_some();
        // Of a listener that goes, the new snapshot may not even have the upstream.
        self.desk.closed |= self.desk.listening.closing_since().is_some();
        let more = {
            let mut buffers = worker.buffers.borrow_mut();
            let buffers = buffers.datagrams();
            let (socket, ready) = (&self.socket, &self.ready);
            let now_ms = worker.clock.now_ms();
            let round = Round {
                worker: &worker,
                published: &published,
                socket: socket.get_ref().as_fd(),
                ready: ready.get_ref().as_fd(),
                now_ms,
            };
            // What comes now is for the process that has the socket, too.
            let asked = match worker.has_handed_over() {
                true => Ok(false),
                false => requests(&round, socket, &mut self.desk, buffers, context),
            };
            let replied = replies(&round, ready, &mut self.desk, buffers, &mut self.events, context);
            sweep(&round, &mut self.desk, closing, &mut self.sweep_ms);
            match (asked, replied) {
                (Ok(asked), Ok(replied)) => asked || replied,
                // The reactor is gone: the process is ending.
                _ => return Poll::Ready(()),
            }
        };
        if more {
            context.waker().wake_by_ref();
        } else if closing {
            // What the kernel had queued was taken, as far as it came before this.
            self.desk.closed = true;
            if self.desk.flows.is_empty() {
                return Poll::Ready(());
            }
        }
        worker.wheel.borrow_mut().set(self.timer, self.sweep_ms);
        Poll::Pending
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.desk.listening.worker().wheel.borrow_mut().remove(self.timer);
    }
}

/// Takes the datagrams of clients; whether more may wait.
fn requests(
    round: &Round<'_>,
    socket: &AsyncFd<UdpSocket>,
    desk: &mut Desk,
    buffers: &mut DatagramBuffers,
    context: &mut Context<'_>,
) -> io::Result<bool> {
    let DatagramBuffers { inbox, outbox } = buffers;
    let slots = inbox.slots();
    for _ in 0..ROUNDS {
        let Poll::Ready(ready) = socket.poll_read_ready(context) else { return Ok(false) };
        let mut ready = ready?;
        let count = match inbox.receive(round.socket, 0..slots, Wanted::Addresses) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if count < slots {
            // Everything was taken, so what comes next is news.
            ready.clear_ready();
        }
        let mut slot = 0;
        while slot < count {
            let datagram = inbox.datagram(slot);
            let is_same = |next: &usize| {
                let next = inbox.datagram(*next);
                (next.from, next.to) == (datagram.from, datagram.to)
            };
            let end = (slot + 1..count).take_while(is_same).last().map_or(slot + 1, |last| last + 1);
            // Nobody can be answered who has no port.
            if let Some(client) = datagram.from.filter(|client| client.port() != 0) {
                desk.carry(round, FlowKey { client, local: datagram.to }, slot..end, (inbox, outbox));
            }
            slot = end;
        }
    }
    Ok(true)
}

/// Takes the replies of endpoints; whether more may wait.
fn replies(
    round: &Round<'_>,
    instance: &AsyncFd<OwnedFd>,
    desk: &mut Desk,
    buffers: &mut DatagramBuffers,
    events: &mut [Event],
    context: &mut Context<'_>,
) -> io::Result<bool> {
    let DatagramBuffers { inbox, outbox } = buffers;
    let (mut filled, mut more) = (0, true);
    outbox.clear();
    for id in std::mem::take(&mut desk.unread) {
        desk.replies(round, id, &mut filled, (inbox, outbox));
    }
    for _ in 0..ROUNDS {
        let Poll::Ready(ready) = instance.poll_read_ready(context) else {
            more = false;
            break;
        };
        let mut ready = ready?;
        let room = events.len();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let count = epoll::wait(round.ready, &mut *events, Some(&at_once)).unwrap_or(0);
        if count < room {
            ready.clear_ready();
        }
        for event in &events[..count] {
            let id = FlowId::from_number(event.data.u64());
            desk.replies(round, id, &mut filled, (inbox, outbox));
        }
    }
    desk.flush(round, inbox, outbox);
    Ok(more || !desk.unread.is_empty())
}

/// Ends the flows whose time has come, and says when to look again.
fn sweep(round: &Round<'_>, desk: &mut Desk, closing: bool, next_ms: &mut u64) {
    let now_ms = round.now_ms;
    if closing {
        desk.close(now_ms);
    }
    if desk.flows.is_empty() {
        *next_ms = NEVER;
        return;
    }
    let every_ms = (desk.allowed_ms(false) / 4).clamp(TICK_MS, SWEEP_MS);
    *next_ms = (*next_ms).min(now_ms + every_ms);
    if *next_ms > now_ms {
        return;
    }
    *next_ms = now_ms + every_ms;
    let over = desk.listening.closing_since().is_some_and(|since| now_ms >= since + REMOVED_MS);
    // The last times are behind what a place without a flow is due at.
    for id in desk.flows.due(if over { NEVER - 1 } else { now_ms }) {
        let failed = desk.flows.get(id).is_none_or(|flow| flow.socket.is_none());
        let reason = match (failed, closing) {
            (true, _) => Reason::ConnectFailed,
            (false, true) => Reason::ConnectionEnded,
            (false, false) => Reason::ConnectionIdle,
        };
        desk.end(round, id, reason);
    }
}

#[expect(unsafe_code, reason = "tokio has no safe way to watch a descriptor for reading in batches")]
fn watched_socket(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: what is asked for is that the descriptor stays open and the same as long as the `AsyncFd`
    // lives. A `UdpSocket` owns its descriptor, is given to nobody, and closes it when it is dropped, which
    // the `AsyncFd` that owns it does after it has deregistered.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

#[expect(unsafe_code, reason = "as for the socket")]
fn watched_instance(instance: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above; the descriptor is owned by the `OwnedFd`, and that by the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(instance, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
