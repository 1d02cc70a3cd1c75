//! One measurement: start the program, load it, read its books, end it.

use super::child::Child;
use super::configuration::{self, Place};
use super::h2load;
use super::plan::{Cell, Protocol, Shape, Subject};
use super::probe::Probe;
use super::programs::{Program, Programs};
use super::scenarios::{gate, udp};
use super::{Behind, Options};
use crate::load::{Handshakes, Outcome};
use crate::sys::{pinning, sockets};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The program's configuration, in its folder.
pub(crate) const CONFIGURATION: &str = "configuration";
/// What it writes to its standard error.
pub(crate) const COMPLAINTS: &str = "stderr.log";
/// Its access log, as the template names it.
const LOG: &str = "access.log";
/// What a run of load may take beyond its warm-up and window.
pub(crate) const SLACK: Duration = Duration::from_secs(90);

/// The figures of one cell in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measure {
    /// User and system time of all the program's processes, per request, in microseconds.
    pub(crate) cpu_us: f64,
    /// The user part of it.
    pub(crate) user_us: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency.
    pub(crate) p50_ms: f64,
    /// 99th percentile.
    pub(crate) p99_ms: f64,
    /// 99.9th percentile.
    pub(crate) p999_ms: f64,
    /// Highest resident memory of its processes, added up.
    pub(crate) peak_mib: f64,
    /// Growth of its resident user memory over the window.
    pub(crate) grown_kib: f64,
    /// User memory per idle connection; only where these are the load.
    pub(crate) idle_kib: Option<f64>,
}

/// Runs one cell. An error means that its figures do not count.
pub(crate) fn measure(
    cell: Cell,
    programs: &Programs,
    behind: &Behind,
    options: &Options,
) -> Result<Measure> {
    let started = Started::new(cell, programs, behind, options)?;
    let outcome = match cell.shape.protocol() {
        Protocol::Http2 | Protocol::Grpc => started.load_over_http2(cell.shape, programs, behind, options)?,
        _ => started.load(cell.shape, behind, options)?,
    };
    started.ensure_logged(cell.shape, outcome.requests)?;
    judge(cell.shape, &outcome)
}

/// A program that answers, in a folder of its own.
pub(crate) struct Started {
    /// Its process.
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its folder; outlives it.
    pub(crate) directory: TempDir,
}

impl Started {
    /// Starts the cell's program with its configuration.
    pub(crate) fn new(cell: Cell, programs: &Programs, behind: &Behind, options: &Options) -> Result<Self> {
        let program = programs.get(cell.subject).context("the program is missing")?;
        let directory = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
        let connections = if cell.shape.idles() { options.idle_connections } else { options.connections };
        let place = Place {
            listen_port: sockets::free_port()?,
            origin_port: behind.origin_of(cell.shape).port(),
            collector: behind.collector,
            identity: &behind.identity,
            credentials: &behind.credentials,
            directory: directory.path(),
            connections,
        };
        let text = configuration::of(cell, &place)?;
        let path = path(cell.shape).replace("{route}", "000000");
        let (child, address) = start(cell, program, &place, &text, &path, options)?;
        Ok(Self { child, address, directory })
    }

    /// Loads it with this program's own generators.
    fn load(&self, shape: Shape, behind: &Behind, options: &Options) -> Result<Outcome> {
        let load = load_command(shape, self.address, self.child.id(), behind, options)?;
        let load = Child::start(load, &self.directory.path().join("load.log"))?;
        let patience = options.warm_up() + options.window() + SLACK;
        Ok(serde_json::from_str(&load.output(patience)?)?)
    }

    /// Loads it with h2load, and looks at one answer afterwards, as was done at the start.
    fn load_over_http2(
        &self,
        shape: Shape,
        programs: &Programs,
        behind: &Behind,
        options: &Options,
    ) -> Result<Outcome> {
        let load = h2load::Load {
            program: programs.h2load.as_deref().context("h2load is missing")?,
            shape,
            target: self.address,
            account: self.child.id(),
            directory: self.directory.path(),
        };
        let outcome = load.measure(options)?;
        Probe { shape, address: self.address, identity: &behind.identity, path: "/", lines: "" }.ask()?;
        Ok(outcome)
    }

    /// Ends it, and fails when a log that it writes lacks one of so many requests.
    pub(crate) fn ensure_logged(self, shape: Shape, requests: u64) -> Result<()> {
        if !shape.logs() {
            return Ok(());
        }
        let Self { child, directory, .. } = self;
        // What is not written yet is written before it ends.
        drop(child);
        let logged = lines(&directory.path().join(LOG))?;
        ensure!(logged >= requests, "it logged {logged} of more than {requests} requests");
        Ok(())
    }
}

/// How many lines a file has.
fn lines(path: &Path) -> Result<u64> {
    let mut file = std::fs::File::open(path).with_context(|| format!("there is no {}", path.display()))?;
    let (mut buffer, mut lines) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines),
            count => lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

/// Starts the program on its own core and waits until it has answered one request.
pub(crate) fn start(
    cell: Cell,
    program: &Program,
    place: &Place<'_>,
    configuration: &str,
    path: &str,
    options: &Options,
) -> Result<(Child, SocketAddr)> {
    let file = place.directory.join(CONFIGURATION);
    std::fs::write(&file, configuration)?;
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.listen_port));
    let mut command = Command::new(&program.path);
    command.current_dir(place.directory).stdout(Stdio::null());
    match cell.subject {
        Subject::Floor => {
            let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, place.origin_port));
            command.args(["floor", "--to", &origin.to_string()]).stdout(Stdio::piped());
        }
        Subject::Haproxy => {
            command.arg("-db").arg("-f").arg(&file);
        }
        Subject::Nginx => {
            command.arg("-p").arg(place.directory).arg("-c").arg(&file).args(["-e", "stderr"]);
        }
        Subject::Caddy => {
            // It writes there what it does not need.
            command
                .env("HOME", place.directory)
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&file);
        }
        Subject::Tollgate => {
            command.arg("run").arg("-c").arg(&file);
        }
    }
    // A child inherits the core of the thread that starts it.
    pinning::pin(options.proxy_core)?;
    let child = Child::start(command, &place.directory.join(COMPLAINTS));
    pinning::pin(options.load_core)?;
    let mut child = child?;
    if cell.subject == Subject::Floor {
        address = child.announced()?;
    }
    let lines = gate::first_lines(cell.shape, place.credentials)?;
    let probe = Probe { shape: cell.shape, address, identity: place.identity, path, lines: &lines };
    probe.wait_for_answer(&mut child)?;
    if cell.shape.gated() {
        probe.ensure_guarded()?;
    }
    Ok((child, address))
}

/// The path of the requests.
pub(crate) fn path(shape: Shape) -> String {
    let prefix = shape.routes().map_or("", |_| "/r{route}");
    format!("{prefix}/{}", shape.body())
}

fn load_command(
    shape: Shape,
    target: SocketAddr,
    account: i32,
    behind: &Behind,
    options: &Options,
) -> Result<Command> {
    let identity = &behind.identity;
    let mut command = Command::new(std::env::current_exe()?);
    command.stdout(Stdio::piped());
    match shape.protocol() {
        Protocol::Udp => {
            command.arg("datagrams").args(["--size", &udp::DATAGRAM.to_string()]);
            command.args(["--connections", &options.connections.to_string()]);
        }
        Protocol::Http3 => {
            command.arg("http3").args(["--path", &path(shape), "--body", &shape.body().to_string()]);
            command.arg("--tls").arg(identity.certificate());
        }
        _ => {
            command.arg("load").args(["--path", &path(shape), "--body", &shape.body().to_string()]);
            command.args(["--connections", &options.connections.to_string()]);
            command.args(gate::arguments(shape, &behind.credentials)?);
        }
    }
    if shape.protocol() == Protocol::Tls {
        command.arg("--tls").arg(identity.certificate());
    }
    if shape == Shape::TlsResumed {
        command.arg("--resume");
    }
    if let Some(count) = shape.routes() {
        command.args(["--routes", &count.to_string()]);
    }
    if shape.churns() {
        command.arg("--connection-per-request");
    }
    if shape.idles() {
        command.args(["--hold", &options.idle_connections.to_string()]);
    }
    command.args(["--warm-up", &options.warm_up.to_string(), "--seconds", &options.seconds.to_string()]);
    command.args(["--account", &account.to_string(), "--json"]).arg(target.to_string());
    Ok(command)
}

/// The figures, if the outcome is worth them.
fn judge(shape: Shape, outcome: &Outcome) -> Result<Measure> {
    ensure!(outcome.errors.total() == 0, "errors: {}", outcome.errors);
    ensure!(outcome.requests > 0, "not one request was completed");
    let usage = outcome.usage.as_ref().context("the load did not account for the program")?;
    ensure!(!usage.processes_changed, "a process of the program started or ended while measured");
    let Handshakes { full, resumed } = outcome.handshakes;
    match shape {
        Shape::TlsFull => ensure!(full > 0 && resumed == 0, "{resumed} handshakes were resumed"),
        Shape::TlsResumed => {
            ensure!(resumed > 0 && full == 0, "{full} handshakes were full, {resumed} resumed")
        }
        _ => {}
    }
    let requests = outcome.requests as f64;
    let cpu_us = usage.cpu_seconds * 1e6 / requests;
    Ok(Measure {
        cpu_us,
        user_us: cpu_us * usage.user_share,
        rate: requests / outcome.seconds,
        p50_ms: outcome.latency.p50_ms,
        p99_ms: outcome.latency.p99_ms,
        p999_ms: outcome.latency.p999_ms,
        grown_kib: usage.grown_kib,
        peak_mib: usage.peak_kib as f64 / 1024.0,
        idle_kib: outcome.held.as_ref().map(|held| held.grown_kib / held.connections as f64),
    })
}

/// The folder that a file is in must exist before anything runs, or the result would be lost at the end.
pub(crate) fn ensure_writable(file: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{judge, path};
    use crate::load::{Errors, Fault, Handshakes, Held, Outcome, Usage};
    use crate::run::plan::Shape;

    fn outcome() -> Outcome {
        Outcome {
            requests: 1_000,
            seconds: 2.0,
            usage: Some(Usage {
                cpu_seconds: 0.02,
                user_share: 0.25,
                peak_kib: 2_048,
                grown_kib: 0.0,
                processes_changed: false,
            }),
            held: Some(Held { connections: 100, grown_kib: 150.0 }),
            ..Outcome::default()
        }
    }

    #[test]
    fn figures_are_per_request() {
        let measure = judge(Shape::Small, &outcome()).expect("valid");
        assert!((measure.cpu_us - 20.0).abs() < 1e-9 && (measure.user_us - 5.0).abs() < 1e-9);
        assert!((measure.rate - 500.0).abs() < 1e-9 && (measure.peak_mib - 2.0).abs() < 1e-9);
        assert_eq!(measure.idle_kib, Some(1.5));
    }

    #[test]
    fn one_error_or_a_changed_process_makes_it_invalid() {
        let mut errors = Errors::default();
        errors.count(&Fault::Status(503));
        let with_error = judge(Shape::Small, &Outcome { errors, ..outcome() }).expect_err("one error");
        assert!(with_error.to_string().contains("status 503"), "{with_error}");
        let mut changed = outcome();
        changed.usage.iter_mut().for_each(|usage| usage.processes_changed = true);
        assert!(judge(Shape::Small, &changed).is_err());
        let with = |full, resumed| Outcome { handshakes: Handshakes { full, resumed }, ..outcome() };
        assert!(judge(Shape::TlsFull, &with(9, 0)).is_ok() && judge(Shape::TlsFull, &with(9, 1)).is_err());
        assert!(
            judge(Shape::TlsResumed, &with(0, 9)).is_ok() && judge(Shape::TlsResumed, &with(1, 9)).is_err()
        );
        assert!(judge(Shape::Small, &Outcome { requests: 0, ..outcome() }).is_err());
        assert!(judge(Shape::Small, &Outcome { usage: None, ..outcome() }).is_err());
    }

    #[test]
    fn paths_name_body_and_route() {
        assert_eq!(path(Shape::Medium), "/16384");
        assert_eq!(path(Shape::ManyRoutes), "/r{route}/128");
    }
}
