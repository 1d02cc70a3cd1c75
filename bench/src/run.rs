//! The side-by-side benchmark: rounds over all cells, then tables, ratios and verdicts.

pub(crate) mod cell;
pub(crate) mod child;
pub(crate) mod conditions;
pub(crate) mod configuration;
mod h2load;
pub(crate) mod plan;
mod probe;
pub(crate) mod programs;
pub(crate) mod rate;
mod redis;
pub(crate) mod reload;
pub(crate) mod results;
pub(crate) mod scenarios;
mod template;
pub(crate) mod turns;

use crate::credentials::Credentials;
use crate::identity::Identity;
use crate::report;
use crate::sys::pinning;
use anyhow::{Context, Result, ensure};
use child::Child;
use conditions::Conditions;
use plan::{Pair, Protocol, Row, Shape, Subject};
use programs::Programs;
use rate::Admitted;
use reload::Reloaded;
use results::{Results, Verdict};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Descriptors of a proxy besides those of its clients.
const SPARE_DESCRIPTORS: u64 = 4_096;

/// What can be chosen on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure only this scenario and what it is compared with; may be repeated. There are small, gateway,
    /// everything, record, tracing-0, tracing-10, tracing-100, few-routes, many-routes, medium, large, churn, idle, gate-key,
    /// gate-token, gate-keys-10k, gate-first-token, gate-redis, gate-rate, tls,
    /// tls-full, tls-resumed, tls-idle, http2, grpc, tcp, tcp-large, udp, http3, reload and reload-large
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) only: Vec<String>,
    /// Rounds; each measures every cell once, in rotated order
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Seconds measured of each cell in each round
    #[arg(long, default_value_t = 3.0, value_parser = crate::seconds)]
    pub(crate) seconds: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 1.0, value_parser = crate::seconds)]
    pub(crate) warm_up: f64,
    /// Turns of each program in each round, where two are compared in turns
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) turns: u32,
    /// How often each document is reloaded
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reloads: u32,
    /// Busy connections
    #[arg(long, default_value_t = 64, value_parser = crate::connections)]
    pub(crate) connections: usize,
    /// Connections of the idle scenario
    #[arg(long, default_value_t = 10_000, value_parser = crate::connections)]
    pub(crate) idle_connections: usize,
    #[command(flatten)]
    pub(crate) files: Files,
    /// The core of the program under load
    #[arg(long, default_value_t = 1)]
    pub(crate) proxy_core: usize,
    /// The core of load and origin
    #[arg(long, default_value_t = 0)]
    pub(crate) load_core: usize,
    /// Print everything as JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the Markdown tables to this file [with no FILE: bench/RESULTS.md]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/RESULTS.md")]
    pub(crate) save: Option<PathBuf>,
    /// Fail when a target is missed, not only when a figure is invalid
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Programs named instead of looked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// The HAProxy to compare with [default: the one on the PATH]
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// The nginx to compare with [default: the one on the PATH]
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// The Caddy to compare with over HTTP/3 [default: the one on the PATH]
    #[arg(long, value_name = "FILE")]
    caddy: Option<PathBuf>,
    /// The load generator for HTTP/2, of nghttp2 [default: the one on the PATH]
    #[arg(long, value_name = "FILE")]
    h2load: Option<PathBuf>,
    /// The Redis that limits count in [default: the one on the PATH]
    #[arg(long, value_name = "FILE")]
    redis: Option<PathBuf>,
    /// The Tollgate to measure [default: target/release/tollgate]
    #[arg(long, value_name = "FILE")]
    tollgate: Option<PathBuf>,
}

/// What is behind the programs.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    /// The origin.
    pub(crate) origin: SocketAddr,
    /// The gRPC service.
    pub(crate) grpc: SocketAddr,
    /// Sends datagrams back.
    pub(crate) datagrams: SocketAddr,
    /// What all programs present.
    pub(crate) identity: Identity,
    /// What callers show.
    pub(crate) credentials: Credentials,
    /// Takes traces.
    pub(crate) collector: SocketAddr,
}

impl Behind {
    /// The origin for a load.
    pub(crate) fn origin_of(&self, shape: Shape) -> SocketAddr {
        match shape.protocol() {
            Protocol::Grpc => self.grpc,
            Protocol::Udp => self.datagrams,
            _ => self.origin,
        }
    }
}

impl Options {
    /// The time before the measured window.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// The measured window.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Measures, prints, saves. Fails when a figure is invalid, or, if so asked, when a target is missed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.proxy_core != options.load_core, "the proxy needs a core of its own");
    let rows = plan::select(&options.only)?;
    if let Some(file) = &options.save {
        cell::ensure_writable(file)?;
    }
    let idle = if rows.iter().any(|row| row.shape.idles()) { options.idle_connections } else { 0 };
    pinning::allow_descriptors(idle.max(options.connections) as u64 + SPARE_DESCRIPTORS)?;
    pinning::pin(options.proxy_core).context("two cores are needed")?;
    pinning::pin(options.load_core)?;

    let programs = locate(&options.files, &rows)?;
    let mut progress = Progress::new();
    for line in &programs.missing {
        progress.line(line);
    }
    let conditions = Conditions::here(&programs, options);
    let Measured { results, reloads, rate } = measure(&rows, &programs, options, &mut progress)?;
    progress.clear();

    let report = report::Report {
        rows: &rows,
        results: &results,
        reloads: &reloads,
        rate: rate.as_ref(),
        conditions: &conditions,
        missing: &programs.missing,
    };
    let text = if options.json { report.json()? } else { report.text() };
    writeln!(io::stdout().lock(), "{text}")?;
    if let Some(file) = &options.save {
        let saved = std::fs::read_to_string(file).unwrap_or_default();
        std::fs::write(file, report.markdown() + crate::picks::section(&saved))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(exit_code(&rows, &results, &reloads, rate.as_ref(), options.strict))
}

fn locate(files: &Files, rows: &[&Row]) -> Result<Programs> {
    let mut programs = Programs::default();
    programs.add_floor(std::env::current_exe()?);
    programs.locate(Subject::Haproxy, files.haproxy.as_deref(), "haproxy");
    programs.locate(Subject::Nginx, files.nginx.as_deref(), "nginx");
    programs.locate(Subject::Tollgate, files.tollgate.as_deref(), "target/release/tollgate");
    let asked = |wanted: &dyn Fn(&Row) -> bool| rows.iter().any(|row| wanted(row));
    if asked(&|row| row.subjects.contains(&Subject::Caddy)) {
        programs.locate(Subject::Caddy, files.caddy.as_deref(), "caddy");
    }
    if asked(&|row| matches!(row.shape.protocol(), Protocol::Http2 | Protocol::Grpc)) {
        programs.locate_h2load(files.h2load.as_deref());
    }
    if asked(&|row| row.shape == Shape::GateRedis) {
        programs.locate_redis(files.redis.as_deref());
    }
    programs.note_gaps(rows);
    Ok(programs)
}

/// All that was measured.
struct Measured {
    results: Results,
    reloads: Vec<Reloaded>,
    rate: Option<Admitted>,
}

fn measure(
    rows: &[&Row],
    programs: &Programs,
    options: &Options,
    progress: &mut Progress,
) -> Result<Measured> {
    let directory = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
    let part = |name: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).stdout(Stdio::piped());
        Child::start(command, &directory.path().join(format!("{name}.log")))
    };
    let (mut origin, mut collector) = (part("origin")?, part("collector")?);
    let (mut grpc, mut datagrams) = (part("grpc-origin")?, part("datagram-origin")?);
    let credentials = Credentials::make(directory.path())?;
    let wants_redis = rows.iter().any(|row| row.shape == Shape::GateRedis);
    let redis = programs.redis.as_deref().filter(|_| wants_redis);
    let redis = redis.map(|program| redis::start(program, directory.path())).transpose()?;
    let behind = Behind {
        credentials: credentials.with_redis(redis.as_ref().map(|redis| redis.address)),
        origin: origin.announced()?,
        grpc: grpc.announced()?,
        datagrams: datagrams.announced()?,
        identity: Identity::make(directory.path())?,
        collector: collector.announced()?,
    };

    let mut results = Results::default();
    // Where only reloads are asked for there is nothing to do in rounds.
    let rounds = if rows.is_empty() { 0 } else { options.rounds };
    for round in 0..rounds {
        results.begin_round();
        let cells = plan::order(rows, round as usize);
        let cells: Vec<_> = cells.into_iter().filter(|cell| programs.can(*cell)).collect();
        for (index, &cell) in cells.iter().enumerate() {
            progress.show(&format!(
                "round {} of {}, {} of {}: {} {:?}",
                round + 1,
                options.rounds,
                index + 1,
                cells.len(),
                cell.subject,
                cell.shape
            ));
            let outcome = cell::measure(cell, programs, &behind, options);
            if let Err(error) = &outcome {
                progress.line(&format!("{} {:?} is invalid: {error:#}", cell.subject, cell.shape));
            }
            results.note(cell, outcome.map_err(|error| format!("{error:#}")));
        }
        for pair in plan::pairs(rows)
            .into_iter()
            .filter(|pair| [pair.of, pair.against].iter().all(|cell| programs.get(cell.subject).is_some()))
        {
            let place = format!("round {} of {rounds}", round + 1);
            let outcome = in_turns(pair, &place, programs, &behind, options, progress);
            results.note_pair(pair, outcome.map_err(|error| format!("{error:#}")));
        }
        for part in [&mut origin, &mut grpc, &mut datagrams, &mut collector] {
            part.ensure_running()?;
        }
    }
    let reloads = reload(programs, &behind, options, progress);
    Ok(Measured { results, reloads, rate: rate(programs, &behind, options, progress) })
}

/// Measures two programs in turns.
fn in_turns(
    pair: Pair,
    place: &str,
    programs: &Programs,
    behind: &Behind,
    options: &Options,
    progress: &mut Progress,
) -> Result<turns::Comparison> {
    let Pair { of, against } = pair;
    progress.show(&format!(
        "{place}: {} {:?} and {} {:?} in turns",
        of.subject, of.shape, against.subject, against.shape
    ));
    let outcome = turns::measure(pair, programs, behind, options);
    if let Err(error) = &outcome {
        progress.line(&format!("{pair:?} is invalid: {error:#}"));
    }
    outcome
}

/// Measures what reloads do, if Tollgate is there.
fn reload(programs: &Programs, behind: &Behind, options: &Options, progress: &mut Progress) -> Vec<Reloaded> {
    let Some(program) = programs.get(Subject::Tollgate) else { return Vec::new() };
    let mut done = Vec::new();
    for row in plan::select_reloads(&options.only) {
        progress.show(row.title);
        let outcome = reload::measure(row, program, behind, options);
        if let Err(error) = &outcome {
            progress.line(&format!("{} is invalid: {error:#}", row.title));
        }
        done.push(Reloaded { row, outcome: outcome.map_err(|error| format!("{error:#}")) });
    }
    done
}

/// Measures what a limit admits, if Tollgate is there and it is asked for.
fn rate(
    programs: &Programs,
    behind: &Behind,
    options: &Options,
    progress: &mut Progress,
) -> Option<Admitted> {
    let program = programs.get(Subject::Tollgate)?;
    if !options.only.is_empty() && !options.only.iter().any(|name| name == plan::RATE) {
        return None;
    }
    progress.show(rate::TITLE);
    let outcome = rate::measure(program, behind, options);
    if let Err(error) = &outcome {
        progress.line(&format!("{} is invalid: {error:#}", rate::TITLE));
    }
    Some(Admitted(outcome.map_err(|error| format!("{error:#}"))))
}

fn exit_code(
    rows: &[&Row],
    results: &Results,
    reloads: &[Reloaded],
    rate: Option<&Admitted>,
    strict: bool,
) -> ExitCode {
    let missed = rows.iter().any(|row| {
        let of = plan::Cell { shape: row.shape, subject: Subject::Tollgate };
        row.targets.iter().any(|target| results.verdict(of, row, target).0 == Verdict::Miss)
            || results.ceiling_verdict(row).is_some_and(|(verdict, _)| verdict == Verdict::Miss)
    });
    let missed = missed || rate.is_some_and(|rate| rate.verdict() == Verdict::Miss);
    let missed =
        missed || reloads.iter().flat_map(Reloaded::claims).any(|claim| claim.verdict == Verdict::Miss);
    let invalid = rate.is_some_and(|rate| rate.verdict() == Verdict::Invalid)
        || !results.problems().is_empty()
        || !results.pair_problems().is_empty()
        || reloads.iter().any(|reloaded| reloaded.outcome.is_err());
    let failed = invalid || (strict && missed);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One line on stderr that is written over again and again; nothing when stderr is no terminal.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }

    /// Shows what is being done. A stderr that cannot be written to is no reason to fail.
    fn show(&mut self, text: &str) {
        if self.terminal {
            let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
        }
    }

    fn clear(&mut self) {
        self.show("");
    }

    /// A line that stays.
    fn line(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
