//! What asks and compares the endpoints of the upstreams in force.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tollgate_runtime::{Clock, Random, process};
use tollgate_upstream::probes::ProbeRoom;
use tollgate_upstream::{Upstream, run_probes};

/// Probes that run at once, at most; fewer where they would take more than an eighth of the files that the process may
/// open.
const PROBES_MAX: u64 = 1024;

/// Probes the upstreams of the snapshot in force and ends the intervals of their outlier detection, on the runtime it is
/// used on. Dropping it ends that.
#[derive(Debug)]
pub struct Probes {
    tasks: JoinSet<()>,
    running: HashMap<Arc<str>, (Arc<Upstream>, AbortHandle)>,
    room: ProbeRoom,
}

impl Default for Probes {
    fn default() -> Self {
        let room = process::max_files().map_or(PROBES_MAX, |most| (most / 8).clamp(16, PROBES_MAX));
        Self { tasks: JoinSet::new(), running: HashMap::new(), room: ProbeRoom::new(room as usize) }
    }
}

impl Probes {
    /// Looks after these upstreams from now on. Those that are the same as before are not disturbed, and those
    /// that are gone or changed are looked after no more as they were.
    pub fn adopt(&mut self, upstreams: &[Arc<Upstream>]) {
        let mut before = std::mem::take(&mut self.running);
        let mut random = Random::from_machine();
        for upstream in upstreams.iter().filter(|upstream| is_looked_after(upstream)) {
            let task = match before.remove(upstream.name()) {
                Some((same, task)) if Arc::ptr_eq(&same, upstream) => task,
                other => {
                    other.inspect(|(_, task)| task.abort());
                    self.start(upstream.clone(), &mut random)
                }
            };
            self.running.insert(upstream.name().clone(), (upstream.clone(), task));
        }
        before.values().for_each(|(_, task)| task.abort());
        // Takes the tasks that have ended out of the set.
        while self.tasks.try_join_next().is_some() {}
    }

    fn start(&mut self, upstream: Arc<Upstream>, random: &mut Random) -> AbortHandle {
        let clock = Clock::new();
        let (seed, room) = (random.next_u64(), self.room.clone());
        let probes = run_probes(upstream.clone(), room, move || clock.now_ms(), seed, std::future::pending());
        let comparing = compare_endpoints(upstream, random.next_u64());
        self.tasks.spawn(async move {
            tokio::join!(probes, comparing);
        })
    }
}

fn is_looked_after(upstream: &Upstream) -> bool {
    upstream.settings().probes.is_some() || upstream.settings().outliers.compares()
}

/// Ends the intervals of the rules that compare endpoints, as long as there are any.
async fn compare_endpoints(upstream: Arc<Upstream>, mut seed: u64) {
    let outliers = &upstream.settings().outliers;
    if !outliers.compares() {
        return;
    }
    let interval = Duration::from_millis(outliers.interval_ms.max(1));
    let clock = Clock::new();
    loop {
        tokio::time::sleep(interval).await;
        upstream.compare_endpoints(clock.now_ms(), seed);
        seed = seed.wrapping_add(1 << 32);
    }
}
