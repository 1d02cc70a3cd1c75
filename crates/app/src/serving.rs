//! A process from its start to its end: workers, probes, admin endpoints, signals, drain.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tollgate_admin::Api;
use tollgate_config::{AccessLog, Document};
use tollgate_control::process::Options;
use tollgate_control::{ConfigState, Process, SharedConfigState};
use tollgate_proxy::Snapshot;
use tollgate_runtime::{Clock, date};
use tollgate_telemetry::log_writer::Destination;
use tollgate_upstream::{HealthEvent, HealthEvents};

use crate::admin::{AdminServer, AdminSockets};

/// How many health events may wait to be printed.
const EVENTS_MAX: usize = 1024;

/// Where health events go, and where they come out.
pub fn health_events() -> (HealthEvents, mpsc::Receiver<HealthEvent>) {
    HealthEvents::bounded(EVENTS_MAX)
}

/// Runs a document until a signal ends it. `source` says where it is from, for people; `ready` is told once
/// everything listens.
pub fn serve(
    source: &str,
    document: &Document,
    snapshot: Arc<Snapshot>,
    events: mpsc::Receiver<HealthEvent>,
    ready: impl FnOnce(&Process),
) -> Result<ExitCode> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    runtime.block_on(async {
        let mut ending = Ending::new()?;
        let admin = AdminSockets::bind(document)?;
        let options = Options {
            workers: workers(document),
            metrics: !admin.is_empty(),
            access_log: access_log(document),
        };
        let process = Process::start(snapshot, &options)?;
        let probes = tokio::spawn(process.probes());
        tokio::spawn(print_events(events));
        tokio::spawn(decline(SignalKind::hangup(), "SIGHUP: a changed document is taken at the next start"));
        tokio::spawn(decline(SignalKind::user_defined1(), "SIGUSR1: the access log's file stays open"));
        for (listener, address) in process.snapshot().listeners.iter().zip(process.addresses()) {
            note(&format!("listening on {address} ({}), {} workers", listener.name, process.workers()));
        }
        let process = Arc::new(process);
        let config = SharedConfigState::new(ConfigState::first(source));
        let api = Api { process: process.clone(), config, note };
        let admin = admin.serve(Arc::new(api));
        ready(&process);
        ending.wait().await;
        let clean = drain(document, process, &mut ending, admin).await;
        probes.abort();
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::FAILED) })
    })
}

/// The polite end: readiness fails first, then the listeners close, then what runs may finish. A
/// second signal, or the end of the grace, is now. Whether everything had ended by then.
async fn drain(document: &Document, process: Arc<Process>, ending: &mut Ending, admin: AdminServer) -> bool {
    let (delay, grace) = (document.shutdown.delay.get(), document.shutdown.grace.get());
    note(&format!("draining, at most {}s", (delay + grace).as_secs()));
    process.announce_drain();
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = ending.wait() => return false,
        }
    }
    let drained = tokio::select! {
        () = process.drain() => true,
        () = tokio::time::sleep(grace) => {
            note("the grace is over; ending what still runs");
            false
        }
        () = ending.wait() => {
            note("second signal; ending what still runs");
            false
        }
    };
    // The admin endpoints hold the process until they have ended.
    admin.end().await;
    if drained {
        process.finish();
    }
    note("ended");
    drained
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
