//! The probes of the upstreams in force.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};
use tollgate_runtime::{Clock, Random};
use tollgate_upstream::{Upstream, run_probes};

/// Probes the upstreams of the snapshot in force, on the runtime it is used on. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Probes {
    tasks: JoinSet<()>,
    running: HashMap<Arc<str>, (Arc<Upstream>, AbortHandle)>,
}

impl Probes {
    /// Probes these upstreams from now on. Those that are the same as before are not disturbed, and those
    /// that are gone or changed are probed no more as they were.
    pub fn adopt(&mut self, upstreams: &[Arc<Upstream>]) {
        let mut before = std::mem::take(&mut self.running);
        let mut random = Random::from_machine();
        for upstream in upstreams.iter().filter(|upstream| upstream.settings().probes.is_some()) {
            let task = match before.remove(upstream.name()) {
                Some((same, task)) if Arc::ptr_eq(&same, upstream) => task,
                other => {
                    other.inspect(|(_, task)| task.abort());
                    self.start(upstream.clone(), random.next_u64())
                }
            };
            self.running.insert(upstream.name().clone(), (upstream.clone(), task));
        }
        before.values().for_each(|(_, task)| task.abort());
        // Takes the tasks that have ended out of the set.
        while self.tasks.try_join_next().is_some() {}
    }

    fn start(&mut self, upstream: Arc<Upstream>, seed: u64) -> AbortHandle {
        let clock = Clock::new();
        self.tasks.spawn(run_probes(upstream, move || clock.now_ms(), seed, std::future::pending()))
    }
}
