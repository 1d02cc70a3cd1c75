//! A running set of workers.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tollgate_proxy::listen::{ConnectionLimits, ListenSocket};
use tollgate_proxy::{Command, Snapshot, Worker};
use tollgate_runtime::sockets::{self, ListenOptions};
use tollgate_runtime::{Clock, Random};
use tollgate_telemetry::Shard;
use tollgate_telemetry::log_writer::{Destination, LogSender, LogWriter, Losses};
use tollgate_telemetry::trace::{ExportCounts, Exporting};
use tollgate_upstream::run_probes;

/// Connections that the kernel holds until a worker takes them; it may be told less by `somaxconn`.
const BACKLOG: i32 = 65_535;

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
    /// Where access records go; `None` for nowhere.
    pub access_log: Option<Destination>,
}

/// Why a process could not start.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind(SocketAddr, io::Error),
    /// The access log could not be opened.
    AccessLog(Destination, io::Error),
    /// A thread could not be started.
    Thread(io::Error),
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
            Self::AccessLog(Destination::File(path), error) => {
                write!(f, "cannot open the access log {}: {error}", path.display())
            }
            Self::AccessLog(Destination::Stdout, error) => write!(f, "cannot write the access log: {error}"),
            Self::Thread(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The running workers.
pub struct Process {
    snapshot: Arc<Snapshot>,
    shards: Vec<Arc<Shard>>,
    addresses: Vec<SocketAddr>,
    workers: Vec<mpsc::UnboundedSender<Command>>,
    losses: Option<Losses>,
    exports: Arc<ExportCounts>,
    ends: Mutex<Ends>,
    draining: AtomicBool,
}

/// What is waited for at the end; each is taken once.
#[derive(Default)]
struct Ends {
    /// One for each worker that has not drained.
    drained: Vec<oneshot::Receiver<()>>,
    threads: Vec<JoinHandle<()>>,
    log: Option<LogWriter>,
}

impl Process {
    /// Binds the listeners and starts the workers.
    pub fn start(snapshot: Arc<Snapshot>, options: &Options) -> Result<Self, StartError> {
        let (sockets, addresses) = bind(&snapshot, options.workers)?;
        let (sender, writer) = match &options.access_log {
            None => (None, None),
            Some(to) => {
                let (sender, writer) =
                    LogWriter::start(to).map_err(|e| StartError::AccessLog(to.clone(), e))?;
                (Some(sender), Some(writer))
            }
        };
        let (mut workers, mut shards) = (Vec::new(), Vec::new());
        let mut ends = Ends { log: writer, ..Ends::default() };
        for (index, sockets) in sockets.into_iter().enumerate() {
            let shard = Arc::new(Shard::new(
                snapshot.routes.len(),
                snapshot.upstreams.len(),
                snapshot.listeners.len(),
            ));
            shards.push(shard.clone());
            let (snapshot, log) = (snapshot.clone(), sender.clone());
            let parts = Parts { snapshot, shard, metrics: options.metrics, log };
            let worker = spawn(index, parts, sockets, &mut ends);
            workers.push(worker.map_err(StartError::Thread)?);
        }
        Ok(Self {
            snapshot,
            shards,
            addresses,
            workers,
            losses: sender.as_ref().map(LogSender::losses),
            exports: Arc::default(),
            ends: Mutex::new(ends),
            draining: AtomicBool::new(false),
        })
    }

    /// Probes the upstreams until the returned future is dropped. To be run on the control thread.
    pub fn probes(&self) -> impl Future<Output = ()> + 'static {
        let clock = Clock::new();
        let mut random = Random::from_machine();
        let mut probes = tokio::task::JoinSet::new();
        for upstream in &self.snapshot.upstreams {
            let now = move || clock.now_ms();
            probes.spawn(run_probes(upstream.clone(), now, random.next_u64(), std::future::pending()));
        }
        async move { while probes.join_next().await.is_some() {} }
    }

    /// Where the listeners listen, in document order; with port 0 in the document, the port that was given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The workers' counters.
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// How many workers run.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Lines of the access log that were lost because its destination did not keep up.
    pub fn log_lines_lost(&self) -> u64 {
        self.losses.as_ref().map_or(0, Losses::count)
    }

    /// Sends the spans of the snapshot in force to its collector, if it traces. To be called on the control
    /// thread; `report` hears when the collector begins to fail, and when it works again.
    pub fn export_spans(&self, report: impl Fn(&str) + Send + 'static) -> Option<Exporting> {
        Exporting::start(self.snapshot.tracing.as_ref()?, &self.exports, report)
    }

    /// What became of spans.
    pub fn exports(&self) -> &ExportCounts {
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

    /// Closes the listeners and ends idle connections. The future is done when the others have ended.
    pub fn drain(&self) -> impl Future<Output = ()> + 'static {
        self.announce_drain();
        for worker in &self.workers {
            // A worker that is gone has drained.
            let _ = worker.send(Command::Drain);
        }
        let drained = std::mem::take(&mut self.ends().drained);
        async move {
            for worker in drained {
                let _ = worker.await;
            }
        }
    }

    /// Waits for the threads of drained workers, and for the log to be written.
    pub fn finish(&self) {
        let Ends { threads, log, .. } = std::mem::take(&mut *self.ends());
        for thread in threads {
            let _ = thread.join();
        }
        if let Some(log) = log {
            log.finish();
        }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One socket for each worker and listener, all of a listener on one address.
fn bind(
    snapshot: &Snapshot,
    workers: usize,
) -> Result<(Vec<Vec<ListenSocket>>, Vec<SocketAddr>), StartError> {
    let mut sockets: Vec<Vec<ListenSocket>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for (index, listener) in snapshot.listeners.iter().enumerate() {
        let failed = |error| StartError::Bind(listener.address, error);
        sockets::check_free(listener.address).map_err(failed)?;
        let limits = ConnectionLimits::new(listener);
        let options = ListenOptions { backlog: BACKLOG, defer_accept: listener.defer_accept };
        let mut address = listener.address;
        for worker in &mut sockets {
            let socket = sockets::listen(address, options).map_err(failed)?;
            // Port 0 is asked for once; the others take the port that the first was given.
            address = socket.local_addr().map_err(failed)?;
            worker.push(ListenSocket { socket, listener: index as u32, limits: limits.clone() });
        }
        addresses.push(address);
    }
    Ok((sockets, addresses))
}

/// What a worker is made from, on its own thread.
struct Parts {
    snapshot: Arc<Snapshot>,
    shard: Arc<Shard>,
    metrics: bool,
    log: Option<LogSender>,
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
