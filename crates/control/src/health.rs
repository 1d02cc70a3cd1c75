//! Whether the process lives, and whether it wants traffic.

use std::fmt::Write;

use tollgate_runtime::Clock;
use tollgate_telemetry::pulse::STUCK_AFTER_MS;

use crate::metrics;
use crate::process::Process;

/// What a probe is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all that matters is well.
    pub passes: bool,
    /// Why, a line each: `[+]` is well, `[-]` is not, `[i]` is told and does not matter to the verdict.
    pub lines: String,
}

impl Verdict {
    fn new() -> Self {
        Self { passes: true, lines: String::new() }
    }

    fn tell(&mut self, sign: char, what: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.lines, "[{sign}] {what}");
    }

    fn demand(&mut self, holds: bool, what: std::fmt::Arguments<'_>) {
        self.passes &= holds;
        self.tell(if holds { '+' } else { '-' }, what);
    }
}

/// Whether the process lives: each worker has given a sign of life in the last five seconds, or has ended
/// because of a drain. What does not will not get better by itself.
pub fn alive(process: &Process) -> Verdict {
    let now_ms = Clock::new().now_ms();
    let mut verdict = Verdict::new();
    for (worker, shard) in process.current().shards.iter().enumerate() {
        let silent = shard.pulse.silent_ms(now_ms) as f64 / 1e3;
        match shard.pulse.is_stuck(now_ms) {
            false => verdict.tell('+', format_args!("worker {worker}: runs")),
            true => {
                let limit = STUCK_AFTER_MS / 1_000;
                verdict.demand(
                    false,
                    format_args!("worker {worker}: no sign of life for {silent:.1}s, allowed are {limit}s"),
                );
            }
        }
    }
    verdict
}

/// Whether the process wants traffic: it has a document, its listeners are bound, it does not drain. Upstreams
/// that nobody can be picked of are told, but other routes may be well.
pub fn ready(process: &Process) -> Verdict {
    let mut verdict = Verdict::new();
    let current = process.current();
    let snapshot = &current.snapshot;
    let number = process.metrics.reload().number;
    let (routes, upstreams) = (snapshot.routes.len(), snapshot.upstreams.len());
    verdict.demand(
        number > 0,
        format_args!("document: number {number}, {routes} routes, {upstreams} upstreams"),
    );
    for listener in &current.listeners {
        verdict
            .demand(true, format_args!("listener {}: bound to {}", listener.settings.name, listener.address));
    }
    match process.is_draining() {
        false => verdict.demand(true, format_args!("drain: not draining")),
        true => verdict.demand(false, format_args!("drain: draining")),
    }
    let endpoints = metrics::endpoints(snapshot, Clock::new().now_ms());
    for upstream in endpoints.chunk_by(|a, b| a.upstream_index == b.upstream_index) {
        let (all, name) = (upstream.len(), &upstream[0].upstream);
        let usable = upstream.iter().filter(|e| e.healthy && e.weight > 0).count();
        verdict.tell('i', format_args!("upstream {name}: {usable} of {all} endpoints usable"));
    }
    verdict
}
