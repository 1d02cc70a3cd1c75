//! How long Tollgate takes to check a document with very many routes.

use crate::credentials::Credentials;
use crate::identity::Identity;
use crate::run::child::Child;
use crate::run::configuration::{Place, document_with_routes};
use crate::run::results::Spread;
use anyhow::{Context, Result, ensure};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A document with 100,000 routes is to be checked in less than this.
const TARGET: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be chosen on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Routes in the document; the target is for 100,000
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    routes: u32,
    /// How often the check is timed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// The Tollgate to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/tollgate")]
    tollgate: PathBuf,
}

/// Times `tollgate check` and says whether the median is within the target.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    ensure!(
        options.tollgate.is_file(),
        "there is no {}: build it (cargo build --release --package tollgate) or name one with --tollgate FILE",
        options.tollgate.display()
    );
    let directory = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
    let file = directory.path().join("routes.yaml");
    let identity = Identity::at(directory.path());
    let credentials = Credentials::make(directory.path())?;
    let place = Place {
        listen_port: 8080,
        origin_port: 8081,
        collector: ([127, 0, 0, 1], 8082).into(),
        identity: &identity,
        credentials: &credentials,
        directory: directory.path(),
        connections: 1,
    };
    let document = document_with_routes(options.routes, &place)?;
    std::fs::write(&file, &document)?;

    let mut seconds = Vec::new();
    for _ in 0..options.times {
        let mut command = Command::new(&options.tollgate);
        command.arg("check").arg(&file).stdout(Stdio::null());
        let log = directory.path().join("check.log");
        let start = Instant::now();
        let status = Child::start(command, &log)?.wait(PATIENCE)?;
        seconds.push(start.elapsed().as_secs_f64());
        let complaint = std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "`tollgate check` failed ({status}): {}", complaint.trim_end());
    }
    let spread = Spread::of(seconds).context("nothing was timed")?;
    let pass = spread.median < TARGET.as_secs_f64();
    writeln!(
        io::stdout().lock(),
        "check of {} routes ({:.1} MiB): median {:.2} s, {:.2} to {:.2} s in {} runs; target {} s: {}",
        options.routes,
        document.len() as f64 / f64::from(1 << 20),
        spread.median,
        spread.low,
        spread.high,
        options.times,
        TARGET.as_secs(),
        if pass { "PASS" } else { "MISS" }
    )?;
    Ok(if pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
