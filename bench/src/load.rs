//! The load generator: one thread, epoll, no pipelining, each response checked to the last byte.

mod alternate;
mod connection;
mod engine;
mod hold;
mod outcome;
mod pace;
mod request;
mod response;
mod timeline;

#[cfg(test)]
pub(crate) use alternate::Side;
pub(crate) use alternate::{Alternation, alternate};
pub(crate) use hold::hold;
#[cfg(test)]
pub(crate) use outcome::Held;
pub(crate) use outcome::{Errors, Fault, Latency, Outcome, Usage};
pub(crate) use timeline::Timeline;

use crate::sys::accounting::CpuSample;
use anyhow::{Context, Result};
use engine::Engine;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to send where, and how to judge the answers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The proxy, or an origin.
    pub(crate) target: SocketAddr,
    /// The request's path. `{route}` in it stands for six digits, chosen anew for each request.
    pub(crate) path: String,
    /// How many values `{route}` takes.
    pub(crate) routes: u32,
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

    let before = sample(settings)?;
    let start = engine.begin_window();
    engine.drive_until(start + settings.window)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = sample(settings)?;

    let mut outcome = engine.outcome(seconds);
    outcome.usage = match (settings.account, before, after) {
        (Some(root), Some(before), Some(after)) => Some(Usage::between(root, &before, &after)?),
        _ => None,
    };
    Ok(outcome)
}

fn sample(settings: &Settings) -> Result<Option<CpuSample>> {
    let sample = settings.account.map(CpuSample::of_tree).transpose();
    sample.context("cannot read the CPU time of the accounted processes: did one end?")
}
