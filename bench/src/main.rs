//! The side-by-side benchmark: Tollgate, HAProxy, nginx and a floor without any HTTP, each on one core, with
//! its own load generator and origin server on another.

mod collector;
mod compile;
mod credentials;
mod datagram_origin;
mod floor;
mod grpc;
mod histogram;
mod identity;
mod load;
mod origin;
mod picks;
mod report;
mod run;
mod sys;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors that any of the verbs needs besides those for its connections.
const SPARE_DESCRIPTORS: u64 = 64;
const ANY_PORT: &str = "127.0.0.1:0";

/// Measures what a request costs in Tollgate, HAProxy and nginx
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the comparison and print tables, ratios and verdicts
    Run(run::Options),
    /// Time `tollgate check` on a document with very many routes
    Compile(compile::Options),
    /// Time how endpoints are chosen, balancer by balancer
    Picks(picks::Options),
    /// Load a server and check every response
    Load(LoadOptions),
    /// Load a server with datagrams, each of which must come back as it was
    Datagrams(DatagramOptions),
    /// Load a server over HTTP/3
    Http3(Http3Options),
    /// Load two servers in turns and compare the CPU time of their processes
    Alternate(AlternateOptions),
    /// Serve bodies of the size that the path's last segment names
    Origin {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = ANY_PORT)]
        listen: SocketAddr,
    },
    /// Send each datagram back
    DatagramOrigin {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = ANY_PORT)]
        listen: SocketAddr,
    },
    /// Serve one gRPC method over HTTP/2 with prior knowledge
    GrpcOrigin {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = ANY_PORT)]
        listen: SocketAddr,
    },
    /// Take the traces that are posted, and throw them away
    Collector {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = ANY_PORT)]
        listen: SocketAddr,
    },
    /// Forward without parsing: the least that a proxy on sockets can cost
    Floor {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = ANY_PORT)]
        listen: SocketAddr,
        /// The origin
        #[arg(long, value_name = "ADDRESS")]
        to: SocketAddr,
    },
}

/// When is measured.
#[derive(clap::Args)]
struct Window {
    /// Seconds of load before the measured window
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Seconds of the measured window
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
}

/// How long a load lasts, and what else is looked at.
#[derive(clap::Args)]
struct Extent {
    #[command(flatten)]
    window: Window,
    /// Seconds that a connect or an answer may take
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    patience: f64,
    /// Account for the CPU time and memory of this process and its descendants
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    account: Option<i32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct DatagramOptions {
    /// The server's address
    target: SocketAddr,
    /// Bytes of each datagram
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=65_000))]
    size: u32,
    /// Sockets, each with one datagram under way
    #[arg(long, default_value_t = 64, value_parser = connections)]
    connections: usize,
    #[command(flatten)]
    extent: Extent,
}

#[derive(clap::Args)]
struct Http3Options {
    /// The server's address
    target: SocketAddr,
    /// The certificate that the server must present
    #[arg(long, value_name = "FILE")]
    tls: PathBuf,
    /// The request's path
    #[arg(long, default_value = "/128")]
    path: String,
    /// Body length that each response must have, in bytes
    #[arg(long, default_value_t = 128)]
    body: u64,
    /// Connections open at once
    #[arg(long, default_value_t = 10, value_parser = connections)]
    connections: usize,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    streams: u32,
    #[command(flatten)]
    extent: Extent,
}

#[derive(clap::Args)]
struct LoadOptions {
    /// The server's address
    target: SocketAddr,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    identity: Shown,
    /// Connections open at once
    #[arg(long, default_value_t = 64, value_parser = connections)]
    connections: usize,
    /// One request a connection: ask to close, wait for the server's FIN, then reset the own side, so that
    /// no end is left in TIME_WAIT
    #[arg(long, conflicts_with = "hold")]
    connection_per_request: bool,
    /// Speak TLS 1.3; the server must present this certificate
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Resume earlier TLS sessions
    #[arg(long, requires = "tls")]
    resume: bool,
    /// Instead of steady load: open this many connections, have one exchange on each, and see what memory
    /// they take
    #[arg(long, value_name = "COUNT", value_parser = connections, requires = "account")]
    hold: Option<usize>,
    #[command(flatten)]
    window: Window,
    /// End the window early after this many requests
    #[arg(long, value_name = "COUNT")]
    requests: Option<u64>,
    /// Seconds that a response may take
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    patience: f64,
    /// Account for the CPU time and memory of this process and its descendants
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    account: Option<i32>,
    #[command(flatten)]
    over_time: OverTime,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is asked for.
#[derive(clap::Args)]
struct Wanted {
    /// The request's path; `{route}` in it becomes six digits, chosen anew for each request
    #[arg(long, default_value = "/128")]
    path: String,
    /// How many values `{route}` takes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    routes: u32,
    /// Body length that each response must have, in bytes
    #[arg(long, default_value_t = 128)]
    body: u64,
}

/// Header fields besides a browser's.
#[derive(clap::Args)]
struct Shown {
    /// A header field besides a browser's, such as `X-API-Key: {credential}`; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    field: Vec<String>,
    /// What `{credential}` stands for, in turn: the lines of this file
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Show each of them once at most: the load ends when there is none left
    #[arg(long, requires = "credentials")]
    once: bool,
}

impl Shown {
    fn credentials(&self) -> Result<Arc<[String]>> {
        let Some(file) = &self.credentials else { return Ok([].into()) };
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// How the load goes on over time, and what is told of it.
#[derive(clap::Args)]
struct OverTime {
    /// Requests a second that fall due whether or not the answers keep up; latencies count from there
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "connection_per_request", value_parser = rate)]
    rate: Option<f64>,
    /// Report a histogram of latencies for each tenth of a second (with --json)
    #[arg(long)]
    timeline: bool,
    /// End the window early once this file is gone
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

#[derive(clap::Args)]
struct AlternateOptions {
    #[command(flatten)]
    first: LoadOptions,
    /// The other server's address
    #[arg(long, value_name = "ADDRESS")]
    other: SocketAddr,
    /// The path for the other server
    #[arg(long, value_name = "PATH", default_value = "/128")]
    other_path: String,
    /// Its process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    other_account: i32,
    /// Turns of each; `--seconds` is the length of one
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    turns: u32,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Run(options) => return run::run(&options),
        Verb::Picks(options) => return picks::run(&options),
        Verb::Compile(options) => return compile::run(&options),
        Verb::Load(options) => return load(&options),
        Verb::Datagrams(options) => return datagrams(&options),
        Verb::Http3(options) => return http3(&options),
        Verb::Alternate(options) => alternate(&options)?,
        Verb::Origin { listen } => {
            sys::pinning::allow_descriptors(SPARE_DESCRIPTORS)?;
            origin::serve(listen)?;
        }
        Verb::DatagramOrigin { listen } => datagram_origin::serve(listen)?,
        Verb::GrpcOrigin { listen } => grpc::serve(listen)?,
        Verb::Collector { listen } => collector::serve(listen)?,
        Verb::Floor { listen, to } => {
            sys::pinning::allow_descriptors(SPARE_DESCRIPTORS)?;
            floor::serve(listen, to)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads, prints what came of it, and fails when a response was wrong.
fn load(options: &LoadOptions) -> Result<ExitCode> {
    let at_once = options.hold.unwrap_or(0) + options.connections;
    sys::pinning::allow_descriptors(at_once as u64 + SPARE_DESCRIPTORS)?;
    let settings = settings(options)?;
    let outcome = match options.hold {
        Some(count) => load::hold(&settings, count)?,
        None => load::run(&settings)?,
    };
    told(&outcome, options.json)
}

/// Prints what came of it, and fails when an answer was wrong. As JSON it is judged by who reads it.
fn told(outcome: &load::Outcome, json: bool) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{outcome}")?;
    Ok(if outcome.errors.total() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn datagrams(options: &DatagramOptions) -> Result<ExitCode> {
    sys::pinning::allow_descriptors(options.connections as u64 + SPARE_DESCRIPTORS)?;
    let Extent { window, patience, account, json } = &options.extent;
    let outcome = load::datagrams::run(&load::datagrams::Settings {
        target: options.target,
        size: options.size as usize,
        sockets: options.connections,
        warm_up: Duration::from_secs_f64(window.warm_up),
        window: Duration::from_secs_f64(window.seconds),
        patience: Duration::from_secs_f64(*patience),
        account: *account,
    })?;
    told(&outcome, *json)
}

fn http3(options: &Http3Options) -> Result<ExitCode> {
    sys::pinning::allow_descriptors(options.connections as u64 + SPARE_DESCRIPTORS)?;
    let Extent { window, patience, account, json } = &options.extent;
    let outcome = load::http3::run(&load::http3::Settings {
        target: options.target,
        certificate: options.tls.clone(),
        path: options.path.clone(),
        body: options.body,
        connections: options.connections,
        streams: options.streams as usize,
        warm_up: Duration::from_secs_f64(window.warm_up),
        window: Duration::from_secs_f64(window.seconds),
        patience: Duration::from_secs_f64(*patience),
        account: *account,
    })?;
    told(&outcome, *json)
}

/// Loads both in turns and prints what came of it, as JSON.
fn alternate(options: &AlternateOptions) -> Result<()> {
    sys::pinning::allow_descriptors(2 * options.first.connections as u64 + SPARE_DESCRIPTORS)?;
    let first = settings(&options.first)?;
    let other = load::Settings {
        target: options.other,
        path: options.other_path.clone(),
        account: Some(options.other_account),
        ..first.clone()
    };
    let outcome = load::alternate([&first, &other], options.turns)?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(&outcome)?)?;
    Ok(())
}

fn settings(options: &LoadOptions) -> Result<load::Settings> {
    let tickets = if options.resume { load::Tickets::Used } else { load::Tickets::Refused };
    let tls = options.tls.as_deref();
    let tls = tls.map(|file| load::secure::client(file, tickets, &["http/1.1"])).transpose()?;
    Ok(load::Settings {
        target: options.target,
        tls,
        path: options.wanted.path.clone(),
        routes: options.wanted.routes,
        identity: load::Identification {
            fields: options.identity.field.clone(),
            credentials: options.identity.credentials()?,
            once: options.identity.once,
        },
        body: options.wanted.body,
        connections: options.connections,
        connection_per_request: options.connection_per_request,
        warm_up: Duration::from_secs_f64(options.window.warm_up),
        window: Duration::from_secs_f64(options.window.seconds),
        enough: options.requests,
        patience: Duration::from_secs_f64(options.patience),
        account: options.account,
        over_time: load::OverTime {
            rate: options.over_time.rate,
            timeline: options.over_time.timeline,
            keep: options.over_time.keep.clone(),
        },
    })
}

/// A number of requests a second on the command line.
fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number of requests a second is needed".to_owned())?;
    if (1.0..=1e7).contains(&value) { Ok(value) } else { Err("from 1 to 10000000 a second".to_owned()) }
}

/// A number of seconds on the command line.
fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.0..=3_600.0).contains(&value) { Ok(value) } else { Err("from 0 to 3600 seconds".to_owned()) }
}

/// A number of connections on the command line: as many as one source address has ports for.
fn connections(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "a number of connections is needed".to_owned())?;
    if (1..=25_000).contains(&value) { Ok(value) } else { Err("from 1 to 25000 connections".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::{Cli, connections, seconds};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(seconds("-1").is_err() && seconds("nan").is_err() && seconds("0.5").is_ok());
        assert!(connections("0").is_err() && connections("25001").is_err() && connections("64").is_ok());
    }
}
