//! What idle connections cost: many of them, each left open after one exchange.

use super::engine::Engine;
use super::outcome::{Held, Outcome};
use super::{Settings, sample};
use crate::sys::accounting::Memory;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Time for all connections to be opened.
const OPENING: Duration = Duration::from_secs(60);
/// Freed buffers of the last exchanges go back within this.
const SETTLING: Duration = Duration::from_millis(500);

/// Warms the target up with a few busy connections, notes its memory, opens `count` connections with one
/// exchange each, and notes its memory again while they are open and silent.
pub(crate) fn hold(settings: &Settings, count: usize) -> Result<Outcome> {
    let root =
        settings.account.context("idle connections are measured on a process: name it with --account")?;
    warm_up(settings)?;
    let (before, cpu_before) = (Memory::of_tree(root)?, sample(settings.account)?);

    let mut engine = Engine::new(settings)?;
    let start = Instant::now();
    let idle = engine.hold(count, start + OPENING)?;
    let seconds = start.elapsed().as_secs_f64();
    engine.drive_until(Instant::now() + SETTLING)?;
    let (after, cpu_after) = (Memory::of_tree(root)?, sample(settings.account)?);

    let mut outcome = engine.outcome(seconds);
    anyhow::ensure!(
        idle == count,
        "only {idle} of {count} connections were held; errors: {}",
        outcome.errors
    );
    if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
        outcome.usage = Some(super::Usage::between(root, &before, &after)?);
    }
    let grown_kib = after.resident_kib as f64 - before.resident_kib as f64;
    outcome.held = Some(Held { connections: idle as u64, grown_kib });
    Ok(outcome)
}

fn warm_up(settings: &Settings) -> Result<()> {
    let mut engine = Engine::new(settings)?;
    engine.open_all()?;
    engine.drive_until(Instant::now() + settings.warm_up)?;
    let errors = engine.outcome(0.0).errors;
    anyhow::ensure!(errors.total() == 0, "errors while warming up: {errors}");
    Ok(())
}
