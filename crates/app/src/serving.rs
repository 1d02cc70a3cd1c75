//! A process from its start to its end: workers, probes, admin endpoints, signals, drain.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tollgate_admin::Api;
use tollgate_config::{AccessLog, Document};
use tollgate_control::instance::Surroundings;
use tollgate_control::prepare::Text;
use tollgate_control::process::Options;
use tollgate_control::resolve::SystemResolver;
use tollgate_control::{Instance, Process, watch};
use tollgate_runtime::{Clock, date};
use tollgate_telemetry::log_writer::Destination;
use tollgate_upstream::{HealthEvent, HealthEvents};

use crate::admin::{AdminServer, AdminSockets};
use crate::{documents, exit};

/// How many health events may wait to be printed.
const EVENTS_MAX: usize = 1024;

/// How a document is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// It is reloaded when its files change.
    pub watch: bool,
}

/// Runs a document until a signal ends it. `ready` is told once everything listens.
pub fn run(text: Text, manner: &Manner, ready: impl FnOnce(&Instance)) -> Result<ExitCode> {
    let (events, receiver) = HealthEvents::bounded(EVENTS_MAX);
    let resolver = Arc::new(SystemResolver);
    let prepared = documents::prepare(&text, &*resolver, &events);
    documents::report(&prepared);
    let bundle = prepared.bundle();
    let (Some(first), Some(bundle)) = (prepared.ready, bundle) else {
        return Ok(exit::INVALID_DOCUMENT.into());
    };
    raise_descriptor_limit();
    let file = match text {
        Text::File(path) => Some(path),
        _ => None,
    };
    let surroundings = Surroundings { file, resolver, events, say: note };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    runtime.block_on(async {
        let mut ending = Ending::new()?;
        // Listened for before anybody is told that the process is there: unheard, it would end it.
        let hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
        let admin = AdminSockets::bind(&first.document)?;
        let options = options(&first.document, !admin.is_empty());
        let process = Arc::new(Process::start(first.snapshot.clone(), &options)?);
        tokio::spawn(print_events(receiver));
        tokio::spawn(decline(SignalKind::user_defined1(), "SIGUSR1: the access log's file stays open"));
        for listener in &process.current().listeners {
            let (address, name) = (listener.address, &listener.settings.name);
            note(&format!("listening on {address} ({name}), {} workers", process.workers()));
        }
        let instance = Arc::new(Instance::new(process.clone(), first, bundle, surroundings));
        let admin = admin.serve(Arc::new(Api { instance: instance.clone(), note }));
        tokio::spawn(reload_on_hangup(instance.clone(), hangups));
        if manner.watch {
            tokio::spawn(watch::watch(instance.clone()));
        }
        ready(&instance);
        ending.wait().await;
        let clean = drain(&instance.document(), process, &mut ending, admin).await;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
    })
}

fn options(document: &Document, metrics: bool) -> Options {
    Options {
        workers: workers(document),
        metrics,
        access_log: access_log(document),
        recorder: tollgate_control::recorders::settings(document),
    }
}

/// Reloads at each SIGHUP. What becomes of it is told in the process's log.
async fn reload_on_hangup(instance: Arc<Instance>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        let _ = instance.reload().await;
    }
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
