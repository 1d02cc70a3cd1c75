//! A worker: one thread with its own runtime, sockets, pool, buffers, timers and counters. Nothing in
//! it is shared but the snapshot and the endpoints' atomics.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tollgate_runtime::splice::Pipe;
use tollgate_runtime::wheel::TICK_MS;
use tollgate_runtime::{CachedClock, Clock, Random, Wheel, date};
use tollgate_telemetry::Shard;
use tollgate_telemetry::log_writer::LogSender;
use tollgate_upstream::{Pool, View};

use crate::buffers::Buffers;
use crate::exchange::Exchange;
use crate::listen::ListenSocket;
use crate::snapshot::Snapshot;
use crate::socket::Socket;
use crate::tracer::Tracer;

/// How many exchange boxes a worker keeps for later.
const EXCHANGES_KEPT: usize = 128;
/// How many empty pipes a worker keeps for later.
const PIPES_KEPT: usize = 64;
/// Log lines are handed to the writer when the block has this many bytes, or at the next tick.
const LOG_BLOCK: usize = 32 * 1024;

/// An upstream connection that waits for its next request.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub socket: Socket,
    /// More may still come on it that belongs to nothing: the kernel is asked before it is used again.
    pub doubtful: bool,
}

/// What control tells a worker.
#[derive(Debug)]
pub enum Command {
    /// Take no new connections, end those that are idle, finish the others.
    Drain,
}

/// A snapshot as one worker uses it: with its own counters and views.
#[derive(Debug)]
pub struct Published {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This worker's counters.
    pub shard: Arc<Shard>,
    /// What this worker knows of each upstream's endpoints.
    pub views: RefCell<Vec<View>>,
    /// Traces exchanges, where the document wants it.
    pub tracer: Option<Tracer>,
}

/// A worker's state, shared by the tasks on its thread.
pub struct Worker {
    /// The clock, read where a task begins to run.
    pub clock: CachedClock,
    /// Randomness for this worker's choices.
    pub random: RefCell<Random>,
    /// The snapshot in force. An exchange keeps the one it began with.
    pub published: RefCell<Rc<Published>>,
    /// Idle upstream connections.
    pub pool: RefCell<Pool<Idle>>,
    /// Deadlines of connections.
    pub wheel: RefCell<Wheel>,
    /// Buffers for use within one poll.
    pub buffers: RefCell<Buffers>,
    /// When draining began, by the clock; `None` while it has not.
    pub draining_since: Cell<Option<u64>>,
    /// Told when draining begins and when the last connection ends.
    pub changed: Notify,
    /// Client connections open.
    pub connections: Cell<usize>,
    /// Counts picks, so that turns follow each other.
    pub turn: Cell<u64>,
    /// Empty pipes for the next bodies that are spliced.
    pub pipes: RefCell<Vec<Pipe>>,
    #[expect(clippy::vec_box, reason = "the boxes move between here and the connections as they are")]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// Somebody can read the counters, so exchanges are counted.
    pub counts: bool,
    log: Option<RefCell<LogBlock>>,
    date: RefCell<DateCache>,
}

struct LogBlock {
    sender: LogSender,
    block: Vec<u8>,
    lines: u64,
}

#[derive(Default)]
struct DateCache {
    second: u64,
    http: String,
}

impl Worker {
    /// A worker that serves `snapshot`. Exchanges are counted in `shard` only if it `counts`.
    pub fn new(snapshot: Arc<Snapshot>, shard: Arc<Shard>, counts: bool, log: Option<LogSender>) -> Self {
        let clock = CachedClock::new(Clock::new());
        let mut random = Random::from_machine();
        let views = snapshot.upstreams.iter().map(|_| View::default()).collect();
        let tracer = snapshot.tracing.clone().map(Tracer::new);
        Self {
            turn: Cell::new(random.next_u64()),
            random: RefCell::new(random),
            published: RefCell::new(Rc::new(Published {
                snapshot,
                shard,
                views: RefCell::new(views),
                tracer,
            })),
            pool: RefCell::default(),
            wheel: RefCell::new(Wheel::new(clock.now_ms())),
            clock,
            buffers: RefCell::default(),
            draining_since: Cell::new(None),
            changed: Notify::new(),
            connections: Cell::new(0),
            pipes: RefCell::default(),
            exchanges: RefCell::default(),
            counts,
            log: log.map(|sender| RefCell::new(LogBlock { sender, block: Vec::new(), lines: 0 })),
            date: RefCell::default(),
        }
    }

    /// Whether the worker takes nothing new and ends what is idle.
    pub fn is_draining(&self) -> bool {
        self.draining_since.get().is_some()
    }

    /// The snapshot in force.
    pub fn published(&self) -> Rc<Published> {
        self.published.borrow().clone()
    }

    /// The next turn, for balancers that go round.
    pub fn next_turn(&self) -> u64 {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        turn
    }

    /// An empty exchange.
    pub fn new_exchange(&self) -> Box<Exchange> {
        self.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an exchange back that is over.
    pub fn recycle(&self, mut exchange: Box<Exchange>) {
        let mut kept = self.exchanges.borrow_mut();
        if kept.len() < EXCHANGES_KEPT {
            exchange.reset();
            kept.push(exchange);
        }
    }

    /// Keeps an empty pipe, if there are not enough of them already.
    pub fn keep_pipe(&self, pipe: Pipe) {
        let mut pipes = self.pipes.borrow_mut();
        if pipes.len() < PIPES_KEPT {
            pipes.push(pipe);
        }
    }

    /// Whether there is an access log.
    pub fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// Writes a line to the access log, if there is one.
    pub fn log(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(log) = &self.log {
            let mut log = log.borrow_mut();
            write(&mut log.block);
            log.lines += 1;
            if log.block.len() >= LOG_BLOCK {
                log.flush();
            }
        }
    }

    /// The value of a `Date` field for now; made once a second.
    pub fn with_http_date(&self, use_date: impl FnOnce(&str)) {
        let wall = self.clock.wall();
        let mut cache = self.date.borrow_mut();
        if cache.second != wall.as_secs() {
            *cache = DateCache { second: wall.as_secs(), http: date::http_date(wall) };
        }
        use_date(&cache.http);
    }

    /// Runs the worker on its listening sockets until it has drained.
    pub async fn run(
        self: Rc<Self>,
        sockets: Vec<ListenSocket>,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) {
        let accept = |socket| tokio::task::spawn_local(crate::listen::accept(self.clone(), socket));
        let accepting: Vec<_> = sockets.into_iter().map(accept).collect();
        tokio::task::spawn_local(tick(self.clone()));
        // Control is gone when the channel closes: the process is ending.
        let Some(Command::Drain) = commands.recv().await else { return };
        self.clock.refresh();
        self.draining_since.set(Some(self.clock.now_ms()));
        self.changed.notify_waiters();
        self.wheel.borrow().wake_all();
        // They still take what the kernel has queued, which counts as connections only then.
        for task in accepting {
            // A task that has panicked accepts nothing more either.
            let _ = task.await;
        }
        while self.connections.get() > 0 {
            self.changed.notified().await;
        }
        self.flush_log();
        self.flush_spans();
    }

    /// Counts a connection that ended.
    pub fn connection_ended(&self) {
        self.connections.set(self.connections.get() - 1);
        if self.is_draining() {
            self.changed.notify_waiters();
        }
    }

    fn flush_spans(&self) {
        if let Some(tracer) = &self.published.borrow().tracer {
            tracer.flush();
        }
    }

    fn flush_log(&self) {
        if let Some(log) = &self.log {
            log.borrow_mut().flush();
        }
    }
}

impl LogBlock {
    fn flush(&mut self) {
        if !self.block.is_empty() {
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(LOG_BLOCK));
            self.sender.send(block, std::mem::take(&mut self.lines));
        }
    }
}

/// Turns the wheel, hands over the log and sweeps the pool.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(TICK_MS));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut ticks: u64 = 0;
    loop {
        interval.tick().await;
        worker.clock.refresh();
        worker.clock.adjust();
        let now = worker.clock.now_ms();
        worker.wheel.borrow_mut().advance(now);
        worker.flush_log();
        worker.flush_spans();
        ticks += 1;
        if ticks.is_multiple_of(20) {
            worker.pool.borrow_mut().sweep(now, |idle| idle.socket.looks_alive());
        }
    }
}

#[cfg(test)]
#[path = "worker/tests.rs"]
mod tests;
