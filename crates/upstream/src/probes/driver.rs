//! Runs an upstream's probes for as long as it lives.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::{ProbePlan, ProbeState, ProbeTarget};
use crate::random::Random;
use crate::upstream::Upstream;

/// First probes are spread over this time, over so much an endpoint if that is longer, or over the interval if that is
/// shorter.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
const FIRST_EACH: Duration = Duration::from_millis(1);

/// An interval of nothing would keep a thread busy.
const SHORTEST: Duration = Duration::from_millis(1);

/// How many probes may run at once, over all upstreams that share it. It bounds their sockets and memory; what finds no
/// room waits in line, so that then probes come later than their interval has it.
#[derive(Clone, Debug)]
pub struct ProbeRoom(Arc<Semaphore>);

impl ProbeRoom {
    /// Room for so many, at least one.
    pub fn new(probes: usize) -> Self {
        Self(Arc::new(Semaphore::new(probes.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

/// Probes each endpoint that the upstream has, each on its own, until `shutdown`; at once done where the upstream
/// has no probes. Follows the set as endpoints come and go. `clock` gives the milliseconds since the process started. `seed` spreads the probes in
/// time.
pub async fn run_probes(
    upstream: Arc<Upstream>,
    room: ProbeRoom,
    clock: impl Fn() -> u64 + Clone + Send + Sync + 'static,
    seed: u64,
    shutdown: impl Future<Output = ()>,
) {
    let Some(plan) = upstream.settings().probes.clone() else { return };
    let mut seeds = Random::new(seed);
    // Dropping the set ends its tasks, wherever they are.
    let mut tasks = JoinSet::new();
    let count = upstream.endpoints().count() as u32;
    let within = plan.interval.min(FIRST_WITHIN.max(FIRST_EACH.saturating_mul(count)));
    let mut probed: HashMap<u32, AbortHandle> = HashMap::new();
    let follow = async {
        loop {
            for (endpoint, known) in upstream.endpoints() {
                match (known.is_removed(), probed.contains_key(&endpoint)) {
                    (false, false) => {
                        let mut random = Random::new(seeds.next());
                        let wait = part_of(within, 0, 1000, &mut random);
                        let (upstream, plan, room, clock) =
                            (Arc::clone(&upstream), plan.clone(), room.clone(), clock.clone());
                        let probing = async move {
                            sleep(wait).await;
                            probe_endpoint(upstream, endpoint, plan, room, clock, random).await;
                        };
                        probed.insert(endpoint, tasks.spawn(probing));
                    }
                    (true, true) => drop(probed.remove(&endpoint).inspect(AbortHandle::abort)),
                    _ => {}
                }
            }
            // Takes the tasks that have ended out of the set.
            while tasks.try_join_next().is_some() {}
            upstream.members_changed().await;
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = follow => {}
    }
}

async fn probe_endpoint(
    upstream: Arc<Upstream>,
    index: u32,
    plan: ProbePlan,
    room: ProbeRoom,
    clock: impl Fn() -> u64,
    mut random: Random,
) {
    let Some(endpoint) = upstream.endpoint(index) else { return };
    let target = ProbeTarget::new(endpoint, plan.port);
    let mut state = ProbeState::resume(endpoint.probe_health());
    let (least, most) = (1000 - plan.jitter_percent.min(100) * 10, 1000 + plan.jitter_percent.min(100) * 10);
    loop {
        // Nobody closes it.
        let Ok(permit) = room.0.acquire().await else { return };
        let outcome = plan.probe.run(&target, plan.timeout).await;
        drop(permit);
        let verdict = state.observe(outcome.is_ok(), plan.thresholds);
        upstream.probed(index, outcome, verdict, clock());
        let time = plan.time(state.pace()).max(SHORTEST);
        sleep(part_of(time, least, most, &mut random)).await;
    }
}

/// From `least` to `most` thousandths of a time, at random.
fn part_of(time: Duration, least: u32, most: u32, random: &mut Random) -> Duration {
    let part = least + random.below(u64::from(most - least) + 1) as u32;
    time.saturating_mul(part) / 1000
}

#[cfg(test)]
#[path = "driver/tests.rs"]
mod tests;
