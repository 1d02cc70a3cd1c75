//! What choosing an endpoint costs, for each balancer of the registry.

use std::hint::black_box;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use tollgate_upstream::{
    BALANCERS, Balancer, BalancerSettings, BoundedLoad, Endpoint, HealthEvents, InFlight, Loads, NotedLoads,
    Pick, PickKey, Upstream, UpstreamSettings, View,
};

/// The section of the saved results that `run` does not write: it ends them.
pub(crate) fn section(saved: &str) -> &str {
    saved.find("\n## Picks\n").map_or("", |at| &saved[at..])
}

/// How many endpoints, and what a pick may take with so many, in nanoseconds.
const SIZES: [(u32, f64); 3] = [(10, 100.0), (1_000, 1_000.0), (10_000, 1_000.0)];
/// Exchanges in flight for each endpoint, under load.
const HELD: u32 = 4;

/// What can be chosen on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many picks are timed at once
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    picks: u32,
    /// How often; the median is told
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
}

/// Prints the nanoseconds of a pick of each balancer, and says whether all are within what they may take.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    let sizes = SIZES.map(|(size, _)| format!("{size} quiet | {size} loaded"));
    writeln!(out, "| balancer | {} |", sizes.join(" | "))?;
    writeln!(out, "|---|{}", "--:|".repeat(2 * SIZES.len()))?;
    let mut met = true;
    for (name, make) in candidates() {
        write!(out, "| {name} |")?;
        for (size, target) in SIZES {
            for held in [0, HELD] {
                let ns = Trial::new(make(), size, held).measure(options);
                met &= ns < target;
                write!(out, " {ns:.0} |")?;
            }
        }
        writeln!(out)?;
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Make = Box<dyn Fn() -> Box<dyn Balancer>>;

/// Each row of the registry, those that can bound loads once more with a bound.
fn candidates() -> Vec<(String, Make)> {
    let bounded = || BalancerSettings {
        bounded_load: Some(BoundedLoad::from_percent(125)),
        ..BalancerSettings::default()
    };
    let mut all: Vec<(String, Make)> = Vec::new();
    for row in BALANCERS {
        all.push((format!("`{}`", row.name), Box::new(|| row.standard())));
        if (row.make)(&bounded()).bounds_load() {
            let make = move || (row.make)(&bounded());
            all.push((format!("`{}`, `bounded_load: 125%`", row.name), Box::new(make)));
        }
    }
    all
}

/// An upstream of endpoints of different weights, perhaps with exchanges in flight.
struct Trial {
    upstream: Upstream,
    view: View,
    noted: NotedLoads,
    state: u64,
    held: Vec<InFlight>,
}

impl Trial {
    fn new(balancer: Box<dyn Balancer>, size: u32, held: u32) -> Self {
        let endpoint = |number: u32| {
            let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 80));
            Endpoint::new(address.to_string(), address, 1 + number % 10)
        };
        let endpoints = (0..size).map(endpoint).collect();
        let settings = UpstreamSettings::default();
        let upstream = Upstream::new("u", endpoints, balancer, settings, HealthEvents::unheard());
        let mut view = View::default();
        view.refresh(&upstream, 0);
        let mut trial = Self { upstream, view, noted: NotedLoads::default(), state: 1, held: Vec::new() };
        for number in 0..u64::from(size) {
            let (latency_us, now_us) = (500 + trial.random() % 5_000, trial.random() % 1_000_000);
            trial.upstream.report_latency(number as u32, latency_us, now_us);
        }
        for turn in 0..u64::from(size * held) {
            if let Pick::Endpoint(picked) = trial.pick(turn) {
                let begun = trial.upstream.begin(picked);
                trial.held.extend(begun);
            }
        }
        trial
    }

    /// xorshift64 (Marsaglia 2003): cheap beside what is measured.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// One pick as the proxy makes it while the flight recorder is on.
    fn pick(&mut self, turn: u64) -> Pick {
        let (seed, hash) = (self.random(), Some(self.random()));
        self.noted.get_mut().clear();
        let loads = Loads::Noted(&self.noted);
        let key = PickKey { turn, seed, hash, now_us: 2_000_000, tried: &[], loads };
        self.upstream.pick(&self.view, &key)
    }

    /// The median time of a pick, in nanoseconds.
    fn measure(&mut self, options: &Options) -> f64 {
        let mut times: Vec<f64> = (0..options.times)
            .map(|_| {
                let began = cpu_time();
                for turn in 0..u64::from(options.picks) {
                    black_box(self.pick(turn));
                }
                (cpu_time() - began).as_secs_f64() * 1e9 / f64::from(options.picks)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// What this thread has had of a processor: so a busy machine does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
