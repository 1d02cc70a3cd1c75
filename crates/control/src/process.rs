//! A running set of workers.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tollgate_proxy::listen::{ConnectionLimits, ListenSocket};
use tollgate_proxy::{Command, Snapshot, Worker};
use tollgate_runtime::sockets::{self, ListenOptions};
use tollgate_runtime::{Clock, Random};
use tollgate_telemetry::Shard;
use tollgate_telemetry::log_writer::{Destination, LogSender, LogWriter};
use tollgate_upstream::run_probes;

/// Connections that the kernel holds until a worker takes them; it may be told less by `somaxconn`.
const BACKLOG: i32 = 65_535;

/// What a process is started with besides its snapshot.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many workers; each is a thread.
    pub workers: usize,
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
    workers: Vec<WorkerThread>,
    /// One for each worker that has not drained; taken when draining begins.
    drained: Mutex<Vec<oneshot::Receiver<()>>>,
    log: Option<(LogSender, LogWriter)>,
    draining: AtomicBool,
}

struct WorkerThread {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Process {
    /// Binds the listeners and starts the workers.
    pub fn start(snapshot: Arc<Snapshot>, options: &Options) -> Result<Self, StartError> {
        let (sockets, addresses) = bind(&snapshot, options.workers)?;
        let log = match &options.access_log {
            None => None,
            Some(to) => Some(LogWriter::start(to).map_err(|e| StartError::AccessLog(to.clone(), e))?),
        };
        let (mut workers, mut shards, mut drained) = (Vec::new(), Vec::new(), Vec::new());
        for (index, sockets) in sockets.into_iter().enumerate() {
            let shard = Arc::new(Shard::new(
                snapshot.routes.len(),
                snapshot.upstreams.len(),
                snapshot.listeners.len(),
            ));
            shards.push(shard.clone());
            let sender = log.as_ref().map(|(sender, _)| sender.clone());
            let (worker, done) =
                spawn(index, snapshot.clone(), shard, sender, sockets).map_err(StartError::Thread)?;
            workers.push(worker);
            drained.push(done);
        }
        let (drained, draining) = (Mutex::new(drained), AtomicBool::new(false));
        Ok(Self { snapshot, shards, addresses, workers, drained, log, draining })
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
        self.log.as_ref().map_or(0, |(sender, _)| sender.lost())
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
            let _ = worker.commands.send(Command::Drain);
        }
        let drained = std::mem::take(&mut *self.drained.lock().unwrap_or_else(PoisonError::into_inner));
        async move {
            for worker in drained {
                let _ = worker.await;
            }
        }
    }

    /// Ends: waits for workers that have drained and for the log to be written. Workers that have not
    /// drained end with the process.
    pub fn finish(self) {
        for worker in self.workers {
            drop(worker.commands);
            let _ = worker.thread.join();
        }
        if let Some((sender, writer)) = self.log {
            drop(sender);
            writer.finish();
        }
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

fn spawn(
    index: usize,
    snapshot: Arc<Snapshot>,
    shard: Arc<Shard>,
    log: Option<LogSender>,
    sockets: Vec<ListenSocket>,
) -> io::Result<(WorkerThread, oneshot::Receiver<()>)> {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (done, finished) = oneshot::channel();
    let runtime_failed = move |error: io::Error| eprintln!("tollgate: worker {index} cannot run: {error}");
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        match runtime {
            Ok(runtime) => {
                runtime.block_on(Rc::new(Worker::new(snapshot, shard, log)).run(sockets, receiver))
            }
            Err(error) => runtime_failed(error),
        }
        // Nobody may be waiting any more.
        let _ = done.send(());
    })?;
    Ok((WorkerThread { commands, thread }, finished))
}
