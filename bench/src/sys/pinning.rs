//! Cores and descriptor limits, for this process and what it starts.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Enough for any number of connections that this program takes.
const GENEROUS: u64 = 65_536;

/// Keeps this thread, and every thread and process it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    ensure!(core < CpuSet::MAX_CPU, "there is no core {core}");
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Makes sure that at least `needed` descriptors may be open at once, and raises the limits further where
/// that is allowed. Children inherit them.
pub(crate) fn allow_descriptors(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|maximum| maximum.max(GENEROUS));
    let raised =
        [Rlimit { current: maximum, maximum }, Rlimit { current: limit.maximum, maximum: limit.maximum }];
    // Raising the hard limit takes a privilege; raising the soft one up to it takes none.
    let allowed = raised.into_iter().any(|limit| setrlimit(Resource::Nofile, limit).is_ok());
    let now = getrlimit(Resource::Nofile).current;
    ensure!(
        now.is_none_or(|now| now >= needed),
        "{needed} open files are needed{}: raise the limit (ulimit -Hn {needed}) or ask for fewer connections",
        if allowed { "" } else { " and the limit cannot be changed" }
    );
    Ok(())
}
