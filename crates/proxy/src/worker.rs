//! A worker: one thread with its own runtime, sockets, pool, buffers, timers and counters. Nothing in
//! it is shared but the snapshot and the endpoints' atomics.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};
use tollgate_decision::{Keeper, Recorder};
use tollgate_policy::Consumers;
use tollgate_runtime::splice::Pipe;
use tollgate_runtime::wheel::{NEVER, TICK_MS};
use tollgate_runtime::{CachedClock, Clock, Random, Wheel, date};
use tollgate_telemetry::Shard;
use tollgate_telemetry::access::{LogHandle, LogSink};
use tollgate_upstream::{EndpointId, Pool, View};

use crate::buffers::Buffers;
use crate::exchange::Exchange;
use crate::hedges::Hedges;
use crate::http::EndpointTallies;
use crate::listen::{self, ListenSocket};
use crate::listening::Listening;
use crate::multiplexed::Multiplexed;
use crate::publication::{self, Publication};
use crate::recorder::Entry;
use crate::snapshot::Snapshot;
use crate::socket::Socket;
use crate::tracer::Tracer;

/// How many exchange boxes a worker keeps for later.
const EXCHANGES_KEPT: usize = 128;
/// How many empty pipes a worker keeps for later.
const PIPES_KEPT: usize = 64;

/// An upstream connection that waits for its next request.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub socket: Socket,
    /// The transport that it was opened with.
    pub transport: u64,
    /// More may still come on it that belongs to nothing: the kernel is asked before it is used again.
    pub doubtful: bool,
}

/// What control tells a worker.
#[derive(Debug)]
pub enum Command {
    /// Serve another snapshot from now on.
    Publish(Box<Publication>),
    /// Close idle connections to endpoints that were removed.
    Forget(Arc<[EndpointId]>),
    /// Take no new connections, end those that are idle, finish the others.
    Drain(Graces),
}

/// How long what runs may go on when draining begins. Without end, unless told.
#[derive(Clone, Debug)]
pub struct Graces {
    /// Exchanges, in milliseconds.
    pub exchanges_ms: u64,
    /// Tunnels, in milliseconds.
    pub tunnels_ms: u64,
    /// Connections that wait for their next request, in milliseconds; it is answered with `Connection: close`. Without
    /// it they end at once, and a request that is on its way there is lost.
    pub idle_ms: u64,
    /// Another process has the listeners' sockets, too. What comes by them is for that one.
    pub handed_over: bool,
    /// Set when something was ended because its grace was over.
    pub cut: Arc<AtomicBool>,
}

impl Default for Graces {
    fn default() -> Self {
        Self { exchanges_ms: NEVER, tunnels_ms: NEVER, idle_ms: 0, handed_over: false, cut: Arc::default() }
    }
}

/// A snapshot as one worker uses it: with its own counters and views.
#[derive(Debug)]
pub struct Published {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This worker's counters.
    pub shard: Arc<Shard>,
    /// What this worker knows of the endpoints of each upstream and each subset; see [`Snapshot::view_of`].
    pub views: RefCell<Vec<Arc<View>>>,
    /// Where this worker counts for endpoints.
    pub endpoints: EndpointTallies,
    /// Traces exchanges, where the document wants it.
    pub tracer: Option<Tracer>,
    /// How long upstreams usually take to answer, where routes hedge by that.
    pub hedges: RefCell<Hedges>,
    /// The consumers as this worker has last seen them, with their generation.
    consumers: RefCell<(u64, Arc<Consumers>)>,
}

impl Published {
    /// A snapshot with nothing known yet of its upstreams.
    pub fn new(snapshot: Arc<Snapshot>, shard: Arc<Shard>) -> Self {
        let views = snapshot.views();
        let tracer = snapshot.tracing.clone().map(Tracer::new);
        // The generation first: if they change in between, they are looked at again.
        let consumers = (snapshot.consumers.generation(), snapshot.consumers.get());
        Self {
            snapshot,
            shard,
            views: RefCell::new(views),
            endpoints: EndpointTallies::default(),
            tracer,
            hedges: RefCell::default(),
            consumers: RefCell::new(consumers),
        }
    }

    /// The consumers as they are now.
    pub fn consumers(&self) -> Ref<'_, Consumers> {
        let generation = self.snapshot.consumers.generation();
        if self.consumers.borrow().0 != generation {
            *self.consumers.borrow_mut() = (generation, self.snapshot.consumers.get());
        }
        Ref::map(self.consumers.borrow(), |(_, consumers)| &**consumers)
    }
}

/// A worker's state, shared by the tasks on its thread.
pub struct Worker {
    /// The clock, read where a task begins to run.
    pub clock: CachedClock,
    /// Randomness for this worker's choices.
    pub random: RefCell<Random>,
    /// The snapshot in force. An exchange keeps the one it began with.
    pub published: RefCell<Rc<Published>>,
    /// The listeners of the snapshot in force, by index.
    pub listening: RefCell<Vec<Rc<Listening>>>,
    /// Connections to endpoints.
    pub links: Links,
    /// Deadlines of connections.
    pub wheel: RefCell<Wheel>,
    /// Buffers for use within one poll.
    pub buffers: RefCell<Buffers>,
    /// When draining began, by the clock; `None` while it has not.
    pub draining_since: Cell<Option<u64>>,
    /// Told when draining begins and when the last connection ends.
    pub changed: Notify,
    /// What a drain waits for.
    pub open: Open,
    /// Counts picks, so that turns follow each other.
    pub turn: Cell<u64>,
    /// Puts exchanges into the flight recorder, where there is one.
    pub keeper: Option<Keeper<Entry>>,
    /// Somebody can read the counters, so exchanges are counted.
    pub counts: bool,
    /// The access logs, and who watches exchanges as they end.
    pub log: RefCell<LogSink>,
    reused: Reused,
}

/// Connections to endpoints that are there for the next attempt.
#[derive(Default)]
pub struct Links {
    /// Idle ones, which one exchange takes at a time.
    pub pool: RefCell<Pool<Idle>>,
    /// Those that exchanges share.
    pub multiplexed: RefCell<Multiplexed>,
}

impl Links {
    /// Closes what is idle of these endpoints.
    pub fn forget(&self, gone: &[EndpointId]) {
        let mut pool = self.pool.borrow_mut();
        gone.iter().for_each(|endpoint| pool.forget(*endpoint));
        drop(pool);
        self.multiplexed.borrow_mut().forget(gone);
    }
}

/// What a drain waits for.
#[derive(Debug, Default)]
pub struct Open {
    /// Client connections.
    pub connections: Cell<usize>,
    /// Sockets that take connections.
    pub accepting: Cell<usize>,
    graces: OnceCell<Graces>,
}

/// What is made once and used again.
#[derive(Default)]
struct Reused {
    /// Empty pipes for the next bodies that are spliced.
    pipes: RefCell<Vec<Pipe>>,
    #[expect(clippy::vec_box, reason = "the boxes move between here and the connections as they are")]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    date: RefCell<DateCache>,
}

#[derive(Default)]
struct DateCache {
    second: u64,
    http: String,
}

impl Worker {
    /// A worker that serves `snapshot`. Exchanges are counted in `shard` only if it `counts`.
    pub fn new(snapshot: Arc<Snapshot>, shard: Arc<Shard>, counts: bool, log: LogHandle) -> Self {
        let clock = CachedClock::new(Clock::new());
        let mut random = Random::from_machine();
        Self {
            turn: Cell::new(random.next_u64()),
            random: RefCell::new(random),
            published: RefCell::new(Rc::new(Published::new(snapshot, shard))),
            listening: RefCell::default(),
            links: Links::default(),
            wheel: RefCell::new(Wheel::new(clock.now_ms())),
            clock,
            buffers: RefCell::default(),
            draining_since: Cell::new(None),
            changed: Notify::new(),
            open: Open::default(),
            keeper: None,
            counts,
            log: RefCell::new(LogSink::new(log)),
            reused: Reused::default(),
        }
    }

    /// With a flight recorder, of which this worker is the only one to put anything in.
    pub fn recording(self, recorder: Arc<Recorder<Entry>>) -> Self {
        Self { keeper: Some(Keeper::new(recorder)), ..self }
    }

    /// Whether what decisions depend on is gathered for a flight recorder.
    #[inline]
    pub fn records(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.recorder().is_on())
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
        self.reused.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an exchange back that is over.
    pub fn recycle(&self, mut exchange: Box<Exchange>) {
        let mut kept = self.reused.exchanges.borrow_mut();
        if kept.len() < EXCHANGES_KEPT {
            exchange.reset();
            kept.push(exchange);
        }
    }

    /// An empty pipe from before, if there is one.
    pub fn kept_pipe(&self) -> Option<Pipe> {
        self.reused.pipes.borrow_mut().pop()
    }

    /// Keeps an empty pipe, if there are not enough of them already.
    pub fn keep_pipe(&self, pipe: Pipe) {
        let mut pipes = self.reused.pipes.borrow_mut();
        if pipes.len() < PIPES_KEPT {
            pipes.push(pipe);
        }
    }

    /// The value of a `Date` field for now; made once a second.
    pub fn with_http_date(&self, use_date: impl FnOnce(&str)) {
        let wall = self.clock.wall();
        let mut cache = self.reused.date.borrow_mut();
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
        let published = self.published();
        let accept = |socket: ListenSocket| {
            let listening = publication::listen(&self, &published.snapshot, &published.shard, &socket);
            self.listening.borrow_mut().push(listening.clone());
            listen::serve_all(&listening, socket);
        };
        sockets.into_iter().for_each(accept);
        drop(published);
        tokio::task::spawn_local(tick(self.clone()));
        let graces = loop {
            match commands.recv().await {
                Some(Command::Publish(publication)) => publication::publish(&self, *publication),
                Some(Command::Forget(gone)) => self.links.forget(&gone),
                Some(Command::Drain(graces)) => break graces,
                // Control is gone: the process is ending.
                None => return,
            }
        };
        self.clock.refresh();
        self.draining_since.set(Some(self.clock.now_ms()));
        // The first word counts, and there is only one.
        let _ = self.open.graces.set(graces);
        self.wake_all();
        // They still take what the kernel has queued, which counts as connections only then.
        while self.open.accepting.get() > 0 {
            self.changed.notified().await;
        }
        while self.open.connections.get() > 0 {
            self.changed.notified().await;
        }
        // They hold the worker, which holds them.
        self.listening.borrow_mut().clear();
        self.log.borrow_mut().flush();
        self.flush_spans();
        self.published().shard.pulse.end();
    }

    /// Wakes every connection and whoever accepts, so that they see what has changed.
    pub fn wake_all(&self) {
        self.changed.notify_waiters();
        self.wheel.borrow().wake_all();
    }

    /// Hands over the spans of the snapshot in force.
    pub fn flush_spans(&self) {
        if let Some(tracer) = &self.published.borrow().tracer {
            tracer.flush();
        }
    }

    /// When what runs now has to end because of a drain, by the clock; [`NEVER`] without one.
    pub fn grace_ends(&self, tunnel: bool) -> u64 {
        let Some((since, graces)) = self.draining_since.get().zip(self.open.graces.get()) else {
            return NEVER;
        };
        since.saturating_add(if tunnel { graces.tunnels_ms } else { graces.exchanges_ms })
    }

    /// How long a connection may wait for its next request although the worker drains, by the clock.
    pub fn waits_end(&self) -> u64 {
        let graces = self.draining_since.get().zip(self.open.graces.get());
        graces.map_or(0, |(since, graces)| since.saturating_add(graces.idle_ms))
    }

    /// Whether another process takes what comes by the listeners' sockets.
    pub fn has_handed_over(&self) -> bool {
        self.open.graces.get().is_some_and(|graces| graces.handed_over)
    }

    /// Notes that something was ended because its grace was over.
    pub fn note_cut(&self) {
        if let Some(graces) = self.open.graces.get() {
            graces.cut.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a connection that ended.
    pub fn connection_ended(&self) {
        self.open.connections.set(self.open.connections.get() - 1);
        if self.is_draining() {
            self.changed.notify_waiters();
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
        worker.log.borrow_mut().flush();
        worker.flush_spans();
        worker.keeper.as_ref().inspect(|keeper| keeper.flush());
        worker.published.borrow().shard.pulse.beat(now, tollgate_runtime::process::thread_cpu_us());
        ticks += 1;
        if ticks.is_multiple_of(20) {
            worker.links.pool.borrow_mut().sweep(now, |idle| idle.socket.looks_alive());
            worker.links.multiplexed.borrow_mut().sweep(now);
        }
    }
}

#[cfg(test)]
#[path = "worker/tests.rs"]
mod tests;
