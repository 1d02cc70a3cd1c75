//! A running set of workers.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tollgate_decision::{Recorder, RecorderSettings};
use tollgate_proxy::listen::ListenSocket;
use tollgate_proxy::recorder::Entry;
use tollgate_proxy::worker::Graces;
use tollgate_proxy::{Command, Publication, Snapshot, Worker};
use tollgate_runtime::Clock;
use tollgate_telemetry::access::{AccessLogs, LogHandle, OpenError};
use tollgate_telemetry::exposition::ReloadState;
use tollgate_telemetry::{Shard, Succession};
use tollgate_upstream::{Endpoint, EndpointId, Upstream};

use crate::bind::{BindError, Binding, Bound, bind};
use crate::certificates::Looks;
use crate::exports::Exports;
use crate::inherited::{Inherited, Passed};
use crate::metrics::Memory;
use crate::recorders::Recorders;

/// After how many tasks a busy worker looks for new events. More than tokio's 61, since a task here is
/// a few microseconds and each look is a system call.
const EVENT_INTERVAL: u32 = 255;

/// What a process is started with besides its snapshot.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many workers; each is a thread.
    pub workers: usize,
    /// Whether exchanges are counted: pointless where no admin endpoint shows the counters.
    pub metrics: bool,
    /// What the flight recorder keeps.
    pub recorder: RecorderSettings,
    /// Writes a line of the process's own log.
    pub say: fn(&str),
}

/// Why a process could not start, or take another snapshot.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind(SocketAddr, io::Error),
    /// The access log could not be opened.
    AccessLog(OpenError),
    /// A thread could not be started.
    Thread(io::Error),
    /// The process is ending and takes no other snapshot.
    Draining,
}

impl From<BindError> for StartError {
    fn from(BindError(address, error): BindError) -> Self {
        Self::Bind(address, error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => {
                write!(f, "cannot listen on {address}: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => write!(f, "; another program has it, `ss -ltnp` names it"),
                    io::ErrorKind::PermissionDenied => {
                        write!(f, "; ports below 1024 need CAP_NET_BIND_SERVICE")
                    }
                    _ => Ok(()),
                }
            }
            Self::AccessLog(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "cannot start a worker: {error}"),
            Self::Draining => f.write_str("the process is draining"),
        }
    }
}

impl std::error::Error for StartError {}

/// What runs now.
#[derive(Debug)]
pub struct Current {
    /// The snapshot in force.
    pub snapshot: Arc<Snapshot>,
    /// The workers' counters for it.
    pub shards: Vec<Arc<Shard>>,
    /// The listeners, by index in the snapshot.
    pub listeners: Vec<Bound>,
}

impl Current {
    /// Where the listeners listen, in document order.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().map(|listener| listener.address)
    }
}

/// The running workers.
pub struct Process {
    current: Mutex<Arc<Current>>,
    /// Snapshots that were in force and that exchanges may still be on.
    retired: Mutex<Vec<Arc<Current>>>,
    workers: Vec<mpsc::UnboundedSender<Command>>,
    logs: AccessLogs,
    recorders: Recorders,
    exports: Exports,
    ends: Mutex<Ends>,
    draining: AtomicBool,
    pub(crate) metrics: Memory,
    pub(crate) certificates: Looks,
}

/// What is waited for at the end; each is taken once.
#[derive(Default)]
struct Ends {
    /// One for each worker that has not drained.
    drained: Vec<oneshot::Receiver<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Process {
    /// Binds the listeners and starts the workers. To be called on the control runtime, which spans are sent on.
    pub fn start(snapshot: Arc<Snapshot>, options: &Options) -> Result<Self, StartError> {
        Self::start_on(&mut Inherited::default(), snapshot, options)
    }

    /// The same on sockets that are inherited, as far as listeners want them; what nobody wants stays there.
    pub fn start_on(
        inherited: &mut Inherited,
        snapshot: Arc<Snapshot>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let Binding { bound, sockets, .. } = bind(&[], &snapshot, options.workers, inherited)?;
        let logs = AccessLogs::default();
        let opened = logs.open(snapshot.logs.clone()).map_err(StartError::AccessLog)?;
        let log = logs.adopt(opened);
        let recorders = Recorders::new(options.recorder, options.workers);
        let exports = Exports::new(options.say);
        exports.adopt(&snapshot);
        let (mut workers, mut shards) = (Vec::new(), Vec::new());
        let mut ends = Ends::default();
        for (index, sockets) in sockets.into_iter().enumerate() {
            let shard = Arc::new(Shard::new(
                snapshot.routes.len(),
                snapshot.upstreams.len(),
                snapshot.listeners.len(),
            ));
            shards.push(shard.clone());
            let (snapshot, log) = (snapshot.clone(), log.clone());
            let recorder = recorders.of_worker(index).cloned();
            let parts = Parts { snapshot, shard, metrics: options.metrics, log, recorder };
            let worker = spawn(index, parts, sockets, &mut ends);
            workers.push(worker.map_err(StartError::Thread)?);
        }
        Ok(Self {
            current: Mutex::new(Arc::new(Current { snapshot, shards, listeners: bound })),
            retired: Mutex::default(),
            workers,
            logs,
            recorders,
            exports,
            ends: Mutex::new(ends),
            draining: AtomicBool::new(false),
            metrics: Memory::new(),
            certificates: Looks::default(),
        })
    }

    /// Puts another snapshot into force: its new listeners are bound, those that it lacks are drained, and
    /// each worker goes on with it from its next exchange. The future is done when all workers have it.
    ///
    /// # Errors
    ///
    /// Where a listener cannot be bound or a log cannot be opened, or the process is draining. Then everything is as it was.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> Result<impl Future<Output = ()> + use<>, StartError> {
        if self.is_draining() {
            return Err(StartError::Draining);
        }
        let mut current = lock(&self.current);
        let mut inherited = Inherited::default();
        let Binding { bound, sockets, successors } =
            bind(&current.listeners, &snapshot, self.workers.len(), &mut inherited)?;
        let opened = self.logs.open(snapshot.logs.clone()).map_err(StartError::AccessLog)?;
        // From here on nothing can fail.
        let log = self.logs.adopt(opened);
        self.exports.adopt(&snapshot);
        bound.iter().for_each(Bound::set_limits);
        let succession = succession(&current.snapshot, &snapshot, &successors);
        catch_up(&current.snapshot, &snapshot, &succession);
        let gone = retire_gone(&current.snapshot, &snapshot);
        let removed = current.listeners.iter().zip(&successors).filter(|(_, successor)| successor.is_none());
        removed.for_each(|(listener, _)| listener.let_go());
        let (mut shards, mut waiting) = (Vec::new(), Vec::new());
        for ((worker, sockets), shard) in self.workers.iter().zip(sockets).zip(&current.shards) {
            let shard = Arc::new(shard.successor(&succession));
            shards.push(shard.clone());
            let (done, published) = oneshot::channel();
            waiting.push(published);
            let (snapshot, listeners, gone) = (snapshot.clone(), successors.clone(), gone.clone());
            let log = log.clone();
            let publication = Publication { snapshot, shard, log, listeners, sockets, gone, done };
            // A worker that is gone serves nothing any more.
            let _ = worker.send(Command::Publish(Box::new(publication)));
        }
        let next = Arc::new(Current { snapshot, shards, listeners: bound });
        let before = std::mem::replace(&mut *current, next);
        succeed(&before.snapshot, &current.snapshot, &succession);
        lock(&self.retired).push(before);
        Ok(async move {
            for published in waiting {
                let _ = published.await;
            }
        })
    }

    /// Does something with an upstream in force, while nothing else can be put into force. `None` if there is none of
    /// this name.
    pub(crate) fn with_upstream<T>(&self, name: &str, work: impl FnOnce(&Upstream) -> T) -> Option<T> {
        let current = lock(&self.current);
        current.snapshot.upstreams.iter().find(|upstream| **upstream.name() == *name).map(|found| work(found))
    }

    /// Closes idle connections to endpoints that were removed.
    pub(crate) fn forget(&self, gone: Arc<[EndpointId]>) {
        for worker in &self.workers {
            // A worker that is gone has no connections.
            let _ = worker.send(Command::Forget(gone.clone()));
        }
    }

    /// Frees the snapshots that no exchange is on any more. Freeing a large one takes a while, so it is done
    /// here and never by a worker: as long as it is kept here, a worker cannot be the last to let go of it.
    pub fn free_retired(&self) {
        let unused = |current: &Arc<Current>| {
            Arc::strong_count(current) == 1
                && Arc::strong_count(&current.snapshot) == 1
                && current.shards.iter().all(|shard| Arc::strong_count(shard) == 1)
        };
        let free: Vec<_> = {
            let mut retired = lock(&self.retired);
            retired.extract_if(.., |current| unused(current)).collect()
        };
        drop(free);
    }

    /// How many snapshots are still in use, the one in force included.
    pub fn snapshots_in_use(&self) -> usize {
        1 + lock(&self.retired).len()
    }

    /// What runs now.
    pub fn current(&self) -> Arc<Current> {
        lock(&self.current).clone()
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current().snapshot.clone()
    }

    /// How many workers run.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Notes how a reload went, for the metrics.
    pub fn note_reload(&self, change: impl FnOnce(&mut ReloadState)) {
        self.metrics.note_reload(change);
    }

    /// The access logs, and who watches exchanges as they end.
    pub fn logs(&self) -> &AccessLogs {
        &self.logs
    }

    /// The flight recorders.
    pub fn recorder(&self) -> Recorders {
        self.recorders.clone()
    }

    /// The exporters of spans.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Whether the process no longer wants traffic.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Lets readiness fail, before anything is closed.
    pub fn announce_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The sockets of all listeners, for the next process.
    ///
    /// # Errors
    ///
    /// Where no descriptor is left for them, or the process is draining.
    pub fn pass_listeners(&self) -> io::Result<Vec<Passed>> {
        if self.is_draining() {
            return Err(io::Error::other(StartError::Draining));
        }
        let passed: io::Result<Vec<_>> = self.current().listeners.iter().map(Bound::pass).collect();
        Ok(passed?.into_iter().flatten().collect())
    }

    /// The next process will not come.
    pub fn stay(&self) {
        self.current().listeners.iter().for_each(Bound::stay);
    }

    /// Closes the listeners and ends idle connections. The future is done when the others have ended, which they
    /// have to when their grace is over.
    pub fn drain(&self, graces: &Graces) -> impl Future<Output = ()> + use<> {
        self.announce_drain();
        self.current().listeners.iter().for_each(Bound::let_go);
        for worker in &self.workers {
            // A worker that is gone has drained.
            let _ = worker.send(Command::Drain(graces.clone()));
        }
        let drained = std::mem::take(&mut lock(&self.ends).drained);
        async move {
            for worker in drained {
                let _ = worker.await;
            }
        }
    }

    /// Waits for the threads of drained workers, and for the log to be written.
    pub fn finish(&self) {
        let Ends { threads, .. } = std::mem::take(&mut *lock(&self.ends));
        for thread in threads {
            let _ = thread.join();
        }
        self.logs.finish();
    }
}

/// What is behind the lock, also after a panic: nothing here is left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the routes, upstreams and listeners of a snapshot were in the one before. Routes and upstreams are
/// the same if they have the same name.
fn succession(before: &Snapshot, after: &Snapshot, listeners: &[Option<u32>]) -> Succession {
    let routes: HashMap<&str, u32> = before.routes.iter().map(|r| r.name.as_str()).zip(0..).collect();
    let upstreams: HashMap<&str, u32> = before.upstreams.iter().map(|u| &**u.name()).zip(0..).collect();
    let mut from = vec![None; after.listeners.len()];
    for (index, successor) in (0..).zip(listeners) {
        if let Some(place) = successor.and_then(|i| from.get_mut(i as usize)) {
            *place = Some(index);
        }
    }
    Succession {
        routes: after.routes.iter().map(|r| routes.get(r.name.as_str()).copied()).collect(),
        upstreams: after.upstreams.iter().map(|u| upstreams.get(&**u.name()).copied()).collect(),
        listeners: from,
    }
}

/// What became known of endpoints while the snapshot was compiled.
fn catch_up(before: &Snapshot, after: &Snapshot, succession: &Succession) {
    let now_ms = Clock::new().now_ms();
    for (upstream, index) in after.upstreams.iter().zip(&succession.upstreams) {
        if let Some(before) = index.and_then(|i| before.upstreams.get(i as usize))
            && !Arc::ptr_eq(before, upstream)
        {
            upstream.catch_up(before, now_ms);
        }
    }
}

/// Tells exchanges that are held on the snapshot before whose upstream it is now. Where another way of connecting is
/// wanted, they stay alone with what they have.
fn succeed(before: &Snapshot, after: &Snapshot, succession: &Succession) {
    for (number, index) in succession.upstreams.iter().enumerate() {
        let Some(index) = index.map(|index| index as usize) else { continue };
        let (Some(old), Some(new)) = (before.upstreams.get(index), after.upstreams.get(number)) else {
            continue;
        };
        if !Arc::ptr_eq(old, new) && way(before, index) == way(after, number) {
            old.succeeded_by(new.clone());
        }
    }
}

/// How the upstream of this index is connected to, as a number.
fn way(snapshot: &Snapshot, upstream: usize) -> Option<u64> {
    snapshot.transports.get(upstream).map(|transport| transport.id)
}

/// Retires the endpoints that no upstream has any more.
fn retire_gone(before: &Snapshot, after: &Snapshot) -> Arc<[EndpointId]> {
    let left: HashSet<EndpointId> = endpoints(&after.upstreams).map(Endpoint::id).collect();
    let gone = endpoints(&before.upstreams).filter(|endpoint| !left.contains(&endpoint.id()));
    gone.inspect(|endpoint| endpoint.retire()).map(Endpoint::id).collect()
}

fn endpoints(upstreams: &[Arc<Upstream>]) -> impl Iterator<Item = &Endpoint> {
    upstreams.iter().flat_map(|upstream| upstream.live_endpoints().map(|(_, endpoint)| endpoint))
}

/// What a worker is made from, on its own thread.
struct Parts {
    snapshot: Arc<Snapshot>,
    shard: Arc<Shard>,
    metrics: bool,
    log: LogHandle,
    recorder: Option<Arc<Recorder<Entry>>>,
}

fn spawn(
    index: usize,
    parts: Parts,
    sockets: Vec<ListenSocket>,
    ends: &mut Ends,
) -> io::Result<mpsc::UnboundedSender<Command>> {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (done, finished) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(EVENT_INTERVAL)
            .build_local(Default::default());
        match runtime {
            Ok(runtime) => {
                let worker = Worker::new(parts.snapshot, parts.shard, parts.metrics, parts.log);
                let worker = parts.recorder.into_iter().fold(worker, Worker::recording);
                runtime.block_on(Rc::new(worker).run(sockets, receiver));
            }
            Err(error) => eprintln!("tollgate: worker {index} cannot run: {error}"),
        }
        // Nobody may be waiting any more.
        let _ = done.send(());
    })?;
    ends.threads.push(thread);
    ends.drained.push(finished);
    Ok(commands)
}
