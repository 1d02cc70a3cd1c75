//! What a reload of very many routes takes, and what the exchanges meanwhile feel of it.

mod figures;
mod probe;

use super::cell::{COMPLAINTS, CONFIGURATION, SLACK, start};
use super::child::Child;
use super::configuration::{self, Place};
use super::plan::{Cell, Pressure, Reload, Shape, Subject};
use super::programs::Program;
use super::results::Spread;
use super::{Behind, Options};
use crate::load::Outcome;
use crate::sys::accounting::Memory;
use crate::sys::sockets;
use anyhow::{Context, Result, ensure};
use figures::Latencies;
pub(crate) use figures::{Claim, Figures, MemoryMib, Reloaded};
use probe::Probe;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is started, with a document of its own.
const CELL: Cell = Cell { shape: Shape::ManyRoutes, subject: Subject::Tollgate };
/// The requests are spread over so many of the routes: each route with traffic takes memory of its own.
const ROUTES_WITH_TRAFFIC: u32 = 1_000;
/// What the process does behind a reload, such as freeing what is not used any more, is done within this.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two reloads, nothing happens for so long; the quiet seconds are in it.
const QUIET: Duration = Duration::from_millis(3_400);
/// Without load there is nothing to measure meanwhile.
const SHORT_QUIET: Duration = Duration::from_millis(300);
/// A document that is not in force by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(3);

/// One reload: when it was asked for, in microseconds since the Unix epoch, and how long it took until the
/// new document gave an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    pub(crate) at_us: u64,
    pub(crate) took: Duration,
}

/// Starts Tollgate with the row's document, reloads it again and again, each time with another answer on one
/// route, and says what that took.
pub(crate) fn measure(
    row: &Reload,
    program: &Program,
    behind: &Behind,
    options: &Options,
) -> Result<Figures> {
    let directory = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
    let place = Place {
        listen_port: sockets::free_port()?,
        origin_port: behind.origin.port(),
        collector: behind.collector,
        identity: &behind.identity,
        credentials: &behind.credentials,
        directory: directory.path(),
        connections: options.connections,
    };
    let text = configuration::document_to_reload(row.routes, 0, &place)?;
    let (child, address) = start(CELL, program, &place, &text, "/document", options)?;
    let load = Load { address, options, directory: directory.path() };
    let rate = match row.pressure {
        Pressure::Share(share) => Some(load.highest_rate()? * share),
        _ => None,
    };
    let running = match row.pressure {
        Pressure::Idle => None,
        _ => Some(load.start(rate)?),
    };
    thread::sleep(options.warm_up());
    let before = Memory::of_tree(child.id())?;
    let signals = reload(row, &child, &place, options)?;
    let after = Memory::of_tree(child.id())?;
    let outcome = running.map(|running| running.end()).transpose()?;
    ensure_all_in_force(&place, signals.len())?;
    let seconds = Spread::of(signals.iter().map(|signal| signal.took.as_secs_f64()).collect());
    Ok(Figures {
        reloads: signals.len(),
        seconds: seconds.context("there was no reload")?,
        latencies: outcome.map(|outcome| Latencies::of(&outcome, &signals)).transpose()?,
        memory: MemoryMib::of(&before, &after),
    })
}

/// All reloads of a row, one after the other.
fn reload(row: &Reload, child: &Child, place: &Place<'_>, options: &Options) -> Result<Vec<Signal>> {
    let address = SocketAddr::from(([127, 0, 0, 1], place.listen_port));
    let mut probe = Probe::connect(address, "/document")?;
    let quiet = if row.pressure == Pressure::Idle { SHORT_QUIET } else { QUIET };
    let (file, next) = (place.directory.join(CONFIGURATION), place.directory.join("next"));
    let mut signals = Vec::new();
    for number in 1..=options.reloads {
        std::fs::write(&next, configuration::document_to_reload(row.routes, number, place)?)?;
        thread::sleep(quiet);
        std::fs::rename(&next, &file)?;
        let (began, at) = (Instant::now(), SystemTime::now());
        child.reload()?;
        let wanted = number.to_string();
        while probe.ask()? != wanted {
            ensure!(began.elapsed() < PATIENCE, "document {number} is not in force: {}", child.complaints());
            thread::sleep(BETWEEN_QUESTIONS);
        }
        let at_us = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        signals.push(Signal { at_us: u64::try_from(at_us)?, took: began.elapsed() });
        thread::sleep(SETTLING);
    }
    Ok(signals)
}

/// The process says of each document that it is in force.
fn ensure_all_in_force(place: &Place<'_>, reloads: usize) -> Result<()> {
    let log = std::fs::read_to_string(place.directory.join(COMPLAINTS))?;
    let told = log.lines().filter(|line| line.contains("is in force")).count();
    ensure!(told == reloads, "the process tells of {told} documents instead of {reloads}: {log}");
    Ok(())
}

/// The load of a row.
struct Load<'a> {
    address: SocketAddr,
    options: &'a Options,
    directory: &'a Path,
}

/// A load that goes on until it is ended.
struct RunningLoad {
    child: Child,
    keep: tempfile::NamedTempFile,
}

impl Load<'_> {
    /// What the process serves a second when each connection sends its next request at once.
    fn highest_rate(&self) -> Result<f64> {
        let Options { warm_up, seconds, .. } = self.options;
        let mut command = self.command()?;
        command.args(["--warm-up", &warm_up.to_string(), "--seconds", &seconds.to_string()]);
        let load = Child::start(command, &self.directory.join("load.log"))?;
        let text = load.output(self.options.warm_up() + self.options.window() + SLACK)?;
        let outcome: Outcome = serde_json::from_str(&text)?;
        ensure!(outcome.errors.total() == 0, "errors: {}", outcome.errors);
        Ok(outcome.requests as f64 / outcome.seconds)
    }

    fn start(&self, rate: Option<f64>) -> Result<RunningLoad> {
        let keep = tempfile::NamedTempFile::new_in(self.directory)?;
        let mut command = self.command()?;
        command.args(["--timeline", "--warm-up", "0", "--seconds", "3600", "--keep"]).arg(keep.path());
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let child = Child::start(command, &self.directory.join("load.log"))?;
        Ok(RunningLoad { child, keep })
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("load").arg(self.address.to_string()).arg("--json").stdout(Stdio::piped());
        command.args(["--path", "/r{route}/128", "--routes", &ROUTES_WITH_TRAFFIC.to_string()]);
        command.args(["--connections", &self.options.connections.to_string()]);
        Ok(command)
    }
}

impl RunningLoad {
    fn end(self) -> Result<Outcome> {
        let Self { child, keep } = self;
        let output = child.output_once(|| Ok(keep.close()?), SLACK)?;
        Ok(serde_json::from_str(&output)?)
    }
}
