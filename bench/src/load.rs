//! The load generator: one thread, epoll, no pipelining, each response checked to the last byte.

mod alternate;
mod channel;
mod connection;
pub(crate) mod datagrams;
mod engine;
mod hold;
pub(crate) mod http3;
mod outcome;
mod pace;
pub(crate) mod request;
mod response;
pub(crate) mod secure;
mod timeline;

#[cfg(test)]
pub(crate) use alternate::Side;
pub(crate) use alternate::{Alternation, alternate};
pub(crate) use hold::hold;
#[cfg(test)]
pub(crate) use outcome::Held;
pub(crate) use outcome::{Errors, Fault, Handshakes, Latency, Outcome, Usage};
pub(crate) use secure::Tickets;
pub(crate) use timeline::Timeline;

use crate::sys::accounting::{CpuSample, Memory};
use anyhow::{Context, Result};
use engine::Engine;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to send where, and how to judge the answers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The proxy, or an origin.
    pub(crate) target: SocketAddr,
    /// Speak TLS with this configuration.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The request's path. `{route}` in it stands for six digits, chosen anew for each request.
    pub(crate) path: String,
    /// How many values `{route}` takes.
    pub(crate) routes: u32,
    /// Who the requests come from.
    pub(crate) identity: Identification,
    /// The body length that each response must have, in bytes.
    pub(crate) body: u64,
    /// Connections open at once.
    pub(crate) connections: usize,
    /// One request a connection: it asks to close, waits for the proxy's FIN, and then resets its own
    /// side, so that no end is left in TIME_WAIT and ports cannot run out.
    pub(crate) connection_per_request: bool,
    /// Load before the measured window.
    pub(crate) warm_up: Duration,
    /// The measured window.
    pub(crate) window: Duration,
    /// End the window early once it has so many requests.
    pub(crate) enough: Option<u64>,
    /// How long a response may take.
    pub(crate) patience: Duration,
    /// The process whose tree's CPU time and memory are sampled at the window's ends.
    pub(crate) account: Option<i32>,
    /// How it goes on over time.
    pub(crate) over_time: OverTime,
}

/// Header fields besides a browser's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identification {
    /// The fields, as `Name: value`. `{credential}` in them stands for one of `credentials`.
    pub(crate) fields: Vec<String>,
    /// What `{credential}` stands for, in turn.
    pub(crate) credentials: Arc<[String]>,
    /// Each of `credentials` is shown once at most; the load ends before there is none left.
    pub(crate) once: bool,
}

/// How the load goes on over time, and what is kept of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverTime {
    /// Requests a second that fall due whether or not the answers keep up; none to send each one when the
    /// answer before it has come.
    pub(crate) rate: Option<f64>,
    /// Keep the latencies over time.
    pub(crate) timeline: bool,
    /// End the window early once this file is gone.
    pub(crate) keep: Option<PathBuf>,
}

/// Loads the target for the warm-up and the window, and reports on the window. Errors count from the
/// start; too many end the run early.
pub(crate) fn run(settings: &Settings) -> Result<Outcome> {
    let mut engine = Engine::new(settings)?;
    engine.open_all()?;
    engine.drive_until(Instant::now() + settings.warm_up)?;

    let memory = resident(settings.account)?;
    let before = sample(settings.account)?;
    let start = engine.begin_window();
    engine.drive_until(start + settings.window)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = sample(settings.account)?;

    let mut outcome = engine.outcome(seconds);
    outcome.usage = usage(settings.account, before, after)?;
    if let (Some(usage), Some(before), Some(after)) =
        (&mut outcome.usage, memory, resident(settings.account)?)
    {
        usage.grown_kib = after - before;
    }
    Ok(outcome)
}

/// What the accounted processes used between two samples.
fn usage(account: Option<i32>, before: Option<CpuSample>, after: Option<CpuSample>) -> Result<Option<Usage>> {
    match (account, before, after) {
        (Some(root), Some(before), Some(after)) => Ok(Some(Usage::between(root, &before, &after)?)),
        _ => Ok(None),
    }
}

/// Resident user memory of the accounted processes, in KiB.
fn resident(account: Option<i32>) -> Result<Option<f64>> {
    let memory = account.map(Memory::of_tree).transpose()?;
    Ok(memory.map(|memory| memory.resident_kib as f64))
}

fn sample(account: Option<i32>) -> Result<Option<CpuSample>> {
    let sample = account.map(CpuSample::of_tree).transpose();
    sample.context("cannot read the CPU time of the accounted processes: did one end?")
}
