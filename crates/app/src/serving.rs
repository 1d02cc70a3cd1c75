//! A process from its start to its end: workers, probes, admin endpoints, signals, drain.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tollgate_config::{AccessLog, Document};
use tollgate_control::Process;
use tollgate_control::process::Options;
use tollgate_proxy::Snapshot;
use tollgate_runtime::{Clock, date};
use tollgate_telemetry::log_writer::Destination;
use tollgate_telemetry::trace::Exporting;
use tollgate_upstream::{HealthEvent, HealthEvents};

/// How many health events may wait to be printed.
const EVENTS_MAX: usize = 1024;

/// Where health events go, and where they come out.
pub fn health_events() -> (HealthEvents, mpsc::Receiver<HealthEvent>) {
    HealthEvents::bounded(EVENTS_MAX)
}

/// Runs a document until a signal ends it. `ready` is told once everything listens.
pub fn serve(
    document: &Document,
    snapshot: Arc<Snapshot>,
    events: mpsc::Receiver<HealthEvent>,
    ready: impl FnOnce(&Process),
) -> Result<ExitCode> {
    raise_descriptor_limit();
    let options = Options {
        workers: workers(document),
        metrics: document.admin.is_some(),
        access_log: access_log(document),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    runtime.block_on(async {
        let mut ending = Ending::new()?;
        let process = Process::start(snapshot, &options)?;
        let probes = tokio::spawn(process.probes());
        let exporting = process.export_spans(note);
        tokio::spawn(print_events(events));
        tokio::spawn(decline(SignalKind::hangup(), "SIGHUP: a changed document is taken at the next start"));
        tokio::spawn(decline(SignalKind::user_defined1(), "SIGUSR1: the access log's file stays open"));
        for (listener, address) in process.snapshot().listeners.iter().zip(process.addresses()) {
            note(&format!("listening on {address} ({}), {} workers", listener.name, process.workers()));
        }
        let process = Arc::new(process);
        let admin = start_admin(document, &process).await?;
        ready(&process);
        ending.wait().await;
        let clean = drain(document, process, &mut ending, admin, exporting).await;
        probes.abort();
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::FAILED) })
    })
}

/// The polite end: readiness fails first, then the listeners close, then what runs may finish. A
/// second signal, or the end of the grace, is now. Whether everything had ended by then.
async fn drain(
    document: &Document,
    process: Arc<Process>,
    ending: &mut Ending,
    mut admin: JoinSet<()>,
    exporting: Option<Exporting>,
) -> bool {
    let (delay, grace) = (document.shutdown.delay.get(), document.shutdown.grace.get());
    note(&format!("draining, at most {}s", (delay + grace).as_secs()));
    process.announce_drain();
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = ending.wait() => return false,
        }
    }
    let mut now = false;
    let drained = tokio::select! {
        () = process.drain() => true,
        () = tokio::time::sleep(grace) => {
            note("the grace is over; ending what still runs");
            false
        }
        () = ending.wait() => {
            note("second signal; ending what still runs");
            now = true;
            false
        }
    };
    // The admin endpoints hold the process until they have ended.
    admin.shutdown().await;
    if drained {
        process.finish();
    }
    if let Some(exporting) = exporting.filter(|_| !now) {
        exporting.finish().await;
    }
    note("ended");
    drained
}

async fn start_admin(document: &Document, process: &Arc<Process>) -> Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let Some(admin) = &document.admin else { return Ok(tasks) };
    if let Some(listen) = &admin.listen {
        let address: SocketAddr = listen.value.socket(true);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for the admin API"))?;
        note(&format!("metrics and health on http://{}/", listener.local_addr()?));
        tasks.spawn(told(tollgate_admin::serve(listener, process.clone(), std::future::pending())));
    }
    if let Some(socket) = &admin.socket {
        let path = Path::new(socket.value.as_str());
        let listener = listen_privately(path)
            .with_context(|| format!("cannot listen on {} for the admin API", path.display()))?;
        note(&format!("metrics and health on {}", path.display()));
        tasks.spawn(told(tollgate_admin::serve(listener, process.clone(), std::future::pending())));
    }
    Ok(tasks)
}

async fn told(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        note(&format!("the admin API ended: {error}"));
    }
}

/// A unix socket that only this user can open. One that a process left behind is replaced; one that
/// somebody listens on is not, and neither is a file that is no socket.
fn listen_privately(path: &Path) -> io::Result<UnixListener> {
    if let Ok(found) = std::fs::metadata(path) {
        // Connecting to any other file is refused just as connecting to a socket left behind.
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    tollgate_runtime::process::privately(|| UnixListener::bind(path))
}

fn workers(document: &Document) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    document.workers.map_or_else(cores, |w| w.get() as usize)
}

fn access_log(document: &Document) -> Option<Destination> {
    match &document.access_log {
        AccessLog::None => None,
        AccessLog::Stdout(_) => Some(Destination::Stdout),
        AccessLog::File(file) => Some(Destination::File(file.file.value.clone().into())),
    }
}

/// Each connection takes a descriptor, and each splice two; the usual soft limit of 1024 is too low.
fn raise_descriptor_limit() {
    if let Err(error) = tollgate_runtime::process::raise_descriptor_limit() {
        note(&format!("cannot raise the limit of open files: {error}"));
    }
}

/// Says that a signal does nothing here. Without anybody listening it would end the process.
async fn decline(kind: SignalKind, answer: &'static str) {
    let Ok(mut signals) = signal(kind) else { return };
    while signals.recv().await.is_some() {
        note(answer);
    }
}

async fn print_events(mut events: mpsc::Receiver<HealthEvent>) {
    while let Some(event) = events.recv().await {
        note(&event.to_string());
    }
}

/// A line of the process's own log, on standard error.
pub fn note(text: &str) {
    eprintln!("{} {text}", date::rfc3339(Clock::new().wall()));
}

/// The signals that end the process politely.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Ending {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listen_privately;
    use std::io::ErrorKind;

    #[test]
    fn a_file_in_the_place_of_the_admin_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("tollgate-no-socket-{}", std::process::id()));
        std::fs::write(&path, "precious").unwrap();
        let refused = listen_privately(&path).map(drop).map_err(|error| error.kind());
        let kept = std::fs::read_to_string(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((refused, kept.unwrap().as_str()), (Err(ErrorKind::AlreadyExists), "precious"));
    }
}
