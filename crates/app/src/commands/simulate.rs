//! `tollgate simulate`: what an upstream would do under a made-up traffic.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tollgate_config::{DiskFiles, LoadedScenario, load_scenario};
use tollgate_control::compile::Predecessor;
use tollgate_control::prepare::{Ready, Text};
use tollgate_control::resolve::NoResolver;
use tollgate_control::simulate::{self, Chosen, Simulation};
use tollgate_upstream::HealthEvents;

use crate::{documents, exit};

/// What is simulated.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The scenario: traffic, endpoints, and what happens to them
    #[arg(short, long, value_name = "FILE")]
    scenario: PathBuf,
    /// The upstream; else the scenario's, else the document's only one
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// The route whose retries, time limits and priority hold; else the first that forwards to the upstream
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// What all that is random is made from: the same number gives the same result
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Simulates.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = documents::find(arguments.config.as_deref())?;
    // Nobody receives them: the newest are kept, and asked for in the end.
    let (health, _) = HealthEvents::bounded(1);
    let text = Text::File(path.clone());
    let prepared = documents::prepare(&text, &Predecessor::default(), &NoResolver, &health);
    if prepared.diagnostics.has_errors() {
        documents::report(&prepared);
    }
    let Some(ready) = &prepared.ready else { return Ok(exit::INVALID_DOCUMENT.into()) };
    let Some(simulation) = simulation(arguments, ready) else { return Ok(exit::INVALID_DOCUMENT.into()) };
    for left_out in &simulation.left_out {
        eprintln!("note: {left_out}");
    }
    let mut progress = Progress::new(simulation.duration_us());
    let report = simulation.run(&health, &mut |at_us| progress.tell(at_us));
    progress.clear();
    if let Some(page) = &arguments.html {
        let title = format!("{} with {}", shown(&path), shown(&arguments.scenario));
        std::fs::write(page, report.to_page(&title))
            .with_context(|| format!("cannot write {}", page.display()))?;
    }
    match arguments.json {
        true => super::print(&format!("{:#}\n", report.to_json())),
        false => super::print(&report.to_table()),
    }
}

/// The document's upstream with the scenario; `None` after a report of what is wrong with it.
fn simulation(arguments: &Arguments, ready: &Ready) -> Option<Simulation> {
    let environment = |name: &str| std::env::var(name).ok();
    let LoadedScenario { scenario, diagnostics, sources } =
        load_scenario(&arguments.scenario, &DiskFiles, &environment);
    let report = |found: &_| eprint!("{}", tollgate_config::render(found, &sources, documents::colour()));
    report(&diagnostics);
    let chosen = Chosen {
        upstream: arguments.upstream.as_deref(),
        route: arguments.route.as_deref(),
        seed: arguments.seed,
    };
    simulate::prepare(ready, &scenario?, chosen).inspect_err(report).ok()
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// How far it is, on a terminal.
struct Progress {
    duration_us: u64,
    percent: u64,
    on: bool,
}

impl Progress {
    fn new(duration_us: u64) -> Self {
        Self { duration_us, percent: 0, on: std::io::stderr().is_terminal() }
    }

    fn tell(&mut self, at_us: u64) {
        let percent = (at_us.min(self.duration_us) / (self.duration_us / 100).max(1)).min(100);
        if self.on && percent > self.percent {
            self.percent = percent;
            let seconds = at_us / 1_000_000;
            // A terminal that cannot be written to needs no progress.
            let _ = write!(
                std::io::stderr(),
                "\rsimulated {seconds}s of {}s ({percent}%)",
                self.duration_us / 1_000_000
            );
        }
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
