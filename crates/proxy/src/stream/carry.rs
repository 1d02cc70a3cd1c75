//! Both directions of a connection at once, until both have ended.

use std::task::{Context, Poll};

use tollgate_decision::Reason;

use super::connect::report_failure;
use super::tcp::Caller;
use super::way::{Broken, Way};
use crate::exchange::Exchange;
use crate::snapshot::Service;
use crate::socket::Socket;
use crate::worker::Worker;

/// How often each direction has its turn before other connections have theirs.
const TURNS: u32 = 4;

/// A connection while its bytes are carried.
#[derive(Debug)]
pub struct Carry {
    up: Way,
    down: Way,
    /// Bytes that are counted already, up and down.
    counted: [u64; 2],
    idle_ms: u64,
    /// When it has carried nothing for too long, by the clock; 0 before it begins.
    idle_at_ms: u64,
    /// The endpoint was gone before it had taken everything, and before it had sent everything.
    untaken: bool,
}

impl Carry {
    /// Begins with what the caller has received already; so many bytes before that are for the endpoint alone.
    pub fn new(caller: &mut Caller, exchange: &mut Exchange, announced: usize) -> Self {
        let idle_ms = match &caller.settings.service {
            Service::Tcp(service) => service.timeouts.idle_ms,
            Service::Http(_) | Service::Udp(_) => u64::MAX,
        };
        let first = std::mem::take(&mut caller.received);
        let received = first.len().saturating_sub(announced) as u64;
        exchange.attempt.iter_mut().for_each(|attempt| attempt.sent_any = true);
        Self {
            up: Way::beginning_with(first, received),
            down: Way::default(),
            counted: [0; 2],
            idle_ms,
            idle_at_ms: 0,
            untaken: false,
        }
    }

    /// Moves bytes both ways. Ready with why the connection has ended.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut Caller,
        upstream: &mut Socket,
        exchange: &mut Exchange,
    ) -> Poll<Reason> {
        let worker = caller.listener.worker().clone();
        worker.clock.refresh();
        let moved = self.move_bytes(cx, &worker, caller, upstream);
        self.tell(&worker, caller, exchange);
        let ended = match moved {
            Ok(moved) => match self.poll_end(cx, &worker, caller, moved) {
                Poll::Ready(reason) => reason,
                Poll::Pending => return Poll::Pending,
            },
            Err(reason) => reason,
        };
        exchange.record.detail = self.detail(ended);
        if ended == Reason::UpstreamClosed && self.down.bytes == 0 {
            report_failure(&worker, exchange, ended);
        }
        // What one side has not got must not look to it as if that was all.
        if ended.is_failure() || self.up.has_waiting() || self.down.has_waiting() {
            caller.socket.reset_on_close();
            upstream.reset_on_close();
        }
        Poll::Ready(ended)
    }

    /// Whether anything moved; or why nothing will any more.
    fn move_bytes(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        caller: &mut Caller,
        upstream: &mut Socket,
    ) -> Result<bool, Reason> {
        let client = &mut caller.socket;
        let mut buffers = worker.buffers.borrow_mut();
        let mut any = false;
        for _ in 0..TURNS {
            let up = match self.up.poll(cx, worker, &mut buffers, client, upstream) {
                Ok(moved) => moved,
                Err(Broken::Sender) => return Err(Reason::ClientClosed),
                Err(Broken::Taker) => {
                    // What it has sent before it went is still to be had.
                    self.untaken = !self.down.is_over();
                    self.up.give_up();
                    super::way::Moved { any: true, more: false }
                }
            };
            let down = match self.down.poll(cx, worker, &mut buffers, upstream, client) {
                Ok(moved) => moved,
                Err(Broken::Sender) => return Err(Reason::UpstreamClosed),
                Err(Broken::Taker) => return Err(Reason::ClientClosed),
            };
            any |= up.any || down.any;
            if !up.more && !down.more {
                return Ok(any);
            }
        }
        cx.waker().wake_by_ref();
        Ok(any)
    }

    /// Whether both directions have ended, or nothing has moved for too long.
    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        caller: &Caller,
        moved: bool,
    ) -> Poll<Reason> {
        if self.up.is_over() && self.down.is_over() {
            return Poll::Ready(if self.untaken { Reason::UpstreamClosed } else { Reason::ConnectionEnded });
        }
        let now = worker.clock.now_ms();
        let grace_ends = worker.grace_ends(true);
        if grace_ends <= now {
            worker.note_cut();
            return Poll::Ready(Reason::Draining);
        }
        let mut wheel = worker.wheel.borrow_mut();
        if moved || self.idle_at_ms == 0 {
            self.idle_at_ms = now.saturating_add(self.idle_ms);
        } else if self.idle_at_ms <= now {
            return Poll::Ready(Reason::ConnectionIdle);
        }
        wheel.set(caller.timer, self.idle_at_ms.min(grace_ends));
        wheel.register(caller.timer, cx.waker());
        Poll::Pending
    }

    /// Counts what has moved since it was last counted, and notes the endpoint's first byte.
    fn tell(&mut self, worker: &Worker, caller: &Caller, exchange: &mut Exchange) {
        let moved = [self.up.bytes - self.counted[0], self.down.bytes - self.counted[1]];
        if moved == [0; 2] {
            return;
        }
        self.counted = [self.up.bytes, self.down.bytes];
        exchange.bytes.received += moved[0];
        exchange.bytes.sent += moved[1];
        if let Some((published, index)) =
            exchange.published.as_ref().zip(exchange.record.upstream).filter(|_| worker.counts)
        {
            let (listener, upstream) = (&caller.listener.series, &published.shard.upstreams[index as usize]);
            listener.received_bytes.add(moved[0]);
            listener.sent_bytes.add(moved[1]);
            upstream.sent_bytes.add(moved[0]);
            upstream.received_bytes.add(moved[1]);
        }
        let answered = exchange.attempt.as_mut().filter(|attempt| moved[1] > 0 && !attempt.answered);
        if let Some(attempt) = answered {
            attempt.answered = true;
            let endpoint = attempt.endpoint;
            let first_byte_us = exchange.since_start(worker.clock.now_us());
            exchange.times.first_byte_us = first_byte_us;
            exchange.record.latest().into_iter().for_each(|latest| latest.first_byte_us = first_byte_us);
            exchange.upstream().inspect(|upstream| upstream.report_success(endpoint));
        }
    }

    /// What exactly happened, where the reason alone does not say it.
    fn detail(&self, reason: Reason) -> Option<&'static str> {
        match reason {
            Reason::ClientClosed if self.up.is_over() => {
                Some("the client went away before it had taken everything")
            }
            Reason::ClientClosed => Some("the client reset the connection"),
            Reason::UpstreamClosed if self.untaken => {
                Some("the endpoint closed the connection before it had taken everything")
            }
            Reason::UpstreamClosed => Some("the endpoint reset the connection"),
            _ => None,
        }
    }
}
