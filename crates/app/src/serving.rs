//! A process from its start to its end: workers, probes, admin endpoints, signals, drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tollgate_admin::Api;
use tollgate_config::Document;
use tollgate_control::compile::Predecessor;
use tollgate_control::history::Occasion;
use tollgate_control::instance::Surroundings;
use tollgate_control::prepare::Text;
use tollgate_control::process::Options;
use tollgate_control::resolve::SystemResolver;
use tollgate_control::{Acme, Instance, Process, beside, certificates, membership, stapling, watch};
use tollgate_proxy::worker::Graces;
use tollgate_runtime::{Clock, date};
use tollgate_telemetry::access::AccessLogs;
use tollgate_upstream::{HealthEvents, UpstreamEvent};

use crate::admin::{AdminServer, AdminSockets};
use crate::handover::turn::{Asking, End, Turn};
use crate::handover::{Arrival, Program, carried, notify};
use crate::{documents, exit};

/// How many health events may wait to be printed.
const EVENTS_MAX: usize = 1024;

/// How often it is looked whether snapshots can be freed.
const FREE_EVERY: Duration = Duration::from_secs(60);

/// How long the workers may take to end what has used up its grace.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long what was taken in advance of shared limits may take to be given back at the end.
const GIVE_BACK: Duration = Duration::from_millis(500);

/// How a document is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// It is reloaded when its files change.
    pub watch: bool,
    /// It is of use in this very process only, so no other can take its place.
    pub here_only: bool,
}

/// Runs a document until a signal ends it, or another process has taken its place. `ready` is told once everything
/// listens.
pub fn run(text: Text, manner: &Manner, ready: impl FnOnce(&Instance)) -> Result<ExitCode> {
    let program = Program::of_this_process();
    let mut arrival = Arrival::receive()?;
    let (events, receiver) = HealthEvents::bounded(EVENTS_MAX);
    let resolver = Arc::new(SystemResolver);
    let before = Predecessor::starting(note)
        .restoring_tickets(&arrival.state.tickets)
        .restoring_session_key(&arrival.state.session_key);
    let file = text.file().cloned();
    let (text, occasion) = first_text(text, &mut arrival);
    let (prepared, _) = documents::prepare(&text, &before, &*resolver, &events).try_tests(None);
    documents::report(&prepared);
    let bundle = prepared.bundle();
    let (Some(first), Some(bundle)) = (prepared.ready, bundle) else {
        return Ok(exit::INVALID_DOCUMENT.into());
    };
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    runtime.block_on(async {
        // Before anything is told: whoever reads that it listens may send a signal at once.
        let mut ending = Ending::new()?;
        let kinds = [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2()];
        let [hangup, rotated, handover] = kinds.map(listen_for);
        let (hangup, rotated, handover) = (hangup?, rotated?, handover?);
        let admin = AdminSockets::bind(&first.document, &mut arrival)?;
        let options = options(&first.document, !admin.is_empty());
        let acme = Acme::new(note);
        // Before anybody can connect, so that what is on disk is there for the first one.
        let certificates = acme.prepare(&first.plans)?;
        carried::restore(&first.snapshot, &arrival.state.operator, &arrival.state.health);
        let process = Process::start_on(&mut arrival.inherited, first.snapshot.clone(), &options)?;
        let process = Arc::new(process);
        tokio::spawn(print_events(receiver));
        tokio::spawn(reopen_logs(rotated, process.logs().clone()));
        for listener in &process.current().listeners {
            let (address, name) = (listener.address, &listener.settings.name);
            note(&format!("listening on {address} ({name}), {} workers", process.workers()));
        }
        // Now the listeners can answer challenges.
        acme.adopt(certificates);
        let surroundings = Surroundings { file, resolver, events, acme, say: note };
        let instance = Arc::new(Instance::new(process.clone(), first, (bundle, occasion), surroundings));
        let (orders, ordered) = mpsc::channel(1);
        let admin = admin.serve(Arc::new(Api { instance: instance.clone(), note, handover: orders }));
        tokio::spawn(reload_on_hangup(hangup, instance.clone()));
        tokio::spawn(free_now_and_then(instance.clone()));
        tokio::spawn(membership::renew(instance.clone()));
        tokio::spawn(certificates::watch(instance.clone()));
        tokio::spawn(beside::watch(instance.clone()));
        tokio::spawn(stapling::staple(instance.clone()));
        if manner.watch {
            tokio::spawn(watch::watch(instance.clone()));
        }
        ready(&instance);
        let yours = arrival.ready()?;
        notify::ready();
        let program = if manner.here_only { None } else { Some(program) };
        let mut turn = Turn { instance: instance.clone(), admin, program, watch: manner.watch };
        let end = turn.last(&mut ending, Asking { signals: handover, orders: ordered, yours }).await;
        let clean = drain(&instance.document(), process, &mut ending, turn.admin, end).await;
        // Nobody waits longer for what will be free soon anyway.
        let _ = tokio::time::timeout(GIVE_BACK, instance.give_back()).await;
        note("ended");
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
    })
}

/// The document to begin with: the one that was asked for, unless the process before hands over another one. The file
/// may say anything else by now.
fn first_text(wanted: Text, arrival: &mut Arrival) -> (Text, Occasion) {
    match arrival.state.document.take() {
        Some(document) => {
            note("going on with the document that was in force, which is not the one of the file");
            (Text::Bundle(Arc::new(document)), Occasion::HandOver)
        }
        None => (wanted, Occasion::Start),
    }
}

fn options(document: &Document, metrics: bool) -> Options {
    let recorder = tollgate_control::recorders::settings(document);
    Options { workers: workers(document), metrics, recorder, say: note }
}

/// Snapshots are freed when no exchange is on them any more, which nobody tells of.
async fn free_now_and_then(instance: Arc<Instance>) {
    let mut interval = tokio::time::interval(FREE_EVERY);
    loop {
        interval.tick().await;
        instance.free_outdated();
    }
}

/// Reloads at each SIGHUP. What becomes of it is told in the process's log.
async fn reload_on_hangup(mut signals: Signal, instance: Arc<Instance>) {
    while signals.recv().await.is_some() {
        let _ = instance.reload().await;
    }
}

/// The polite end: readiness fails first, then the listeners close, then what runs may finish. A
/// second signal, or the end of the grace, is now. Whether everything ended by itself.
///
/// After a hand-over nobody is to look for another instance, so there is no delay; idle connections wait for half of
/// the grace, so that what they then begin can still finish.
async fn drain(
    document: &Document,
    process: Arc<Process>,
    ending: &mut Ending,
    admin: AdminServer,
    end: End,
) -> bool {
    let (grace, tunnels) = (document.shutdown.grace.get(), document.shutdown.tunnels().get());
    let handed_over = end == End::HandedOver;
    let delay = if handed_over { Duration::ZERO } else { document.shutdown.delay.get() };
    let idle = if handed_over { grace / 2 } else { Duration::ZERO };
    let longest = grace.max(tunnels);
    note(&format!("draining, at most {}s", (delay + longest).as_secs()));
    process.announce_drain();
    if !handed_over {
        notify::stopping();
    }
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = ending.wait() => return false,
        }
    }
    let mut now = false;
    let graces = Graces {
        exchanges_ms: millis(grace),
        tunnels_ms: millis(tunnels),
        idle_ms: millis(idle),
        handed_over,
        ..Graces::default()
    };
    let drained = tokio::select! {
        () = process.drain(&graces) => {
            let cut = graces.cut.load(Ordering::Relaxed);
            if cut {
                note("the grace is over; what still ran was ended");
            }
            !cut
        }
        // The workers end what still runs by themselves; this is for what does not let itself be ended.
        () = tokio::time::sleep(longest + FAREWELL) => {
            note("the grace is over; ending what still runs");
            false
        }
        () = ending.wait() => {
            note("second signal; ending what still runs");
            now = true;
            false
        }
    };
    // All exchanges are told by now, so that live tails can end with the last.
    process.logs().tail().close();
    // The admin endpoints hold the process until they have ended.
    admin.end().await;
    if drained {
        process.finish();
    }
    if !now {
        process.exports().finish().await;
    }
    drained
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn workers(document: &Document) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    document.workers.map_or_else(cores, |w| w.get() as usize)
}

/// Each connection takes a descriptor, and each splice two; the usual soft limit of 1024 is too low.
fn raise_descriptor_limit() {
    if let Err(error) = tollgate_runtime::process::raise_descriptor_limit() {
        note(&format!("cannot raise the limit of open files: {error}"));
    }
}

/// SIGUSR1 opens the access logs anew by their names, as after a rotation.
async fn reopen_logs(mut signals: Signal, logs: AccessLogs) {
    while signals.recv().await.is_some() {
        logs.reopen();
    }
}

async fn print_events(mut events: mpsc::Receiver<UpstreamEvent>) {
    while let Some(event) = events.recv().await {
        note(&event.to_string());
    }
}

/// A line of the process's own log, on standard error.
pub fn note(text: &str) {
    eprintln!("{} {text}", date::rfc3339(Clock::new().wall()));
}

fn listen_for(kind: SignalKind) -> Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

/// The signals that end the process politely.
pub struct Ending {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Ending {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
            quit: listen_for(SignalKind::quit())?,
        })
    }

    /// Waits for the next of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}
