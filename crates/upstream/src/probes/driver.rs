//! Runs an upstream's probes for as long as it lives.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{ProbePlan, ProbeState};
use crate::random::Random;
use crate::upstream::Upstream;

/// First probes are spread over this time, or over the interval if that is shorter.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// An interval of nothing would keep a thread busy.
const SHORTEST: Duration = Duration::from_millis(1);

/// Probes each endpoint of the upstream, each on its own, until `shutdown`; at once done where the upstream
/// has no probes. `clock` gives the milliseconds since the process started. `seed` spreads the probes in
/// time.
pub async fn run_probes(
    upstream: Arc<Upstream>,
    clock: impl Fn() -> u64 + Clone + Send + Sync + 'static,
    seed: u64,
    shutdown: impl Future<Output = ()>,
) {
    let Some(plan) = upstream.settings().probes.clone() else { return };
    let mut seeds = Random::new(seed);
    // Dropping the set ends its tasks, wherever they are.
    let mut tasks = JoinSet::new();
    for (endpoint, _) in upstream.endpoints() {
        let random = Random::new(seeds.next());
        tasks.spawn(probe_endpoint(Arc::clone(&upstream), endpoint, plan.clone(), clock.clone(), random));
    }
    tokio::select! {
        () = shutdown => {}
        () = async { while tasks.join_next().await.is_some() {} } => {}
    }
}

async fn probe_endpoint(
    upstream: Arc<Upstream>,
    index: u32,
    plan: ProbePlan,
    clock: impl Fn() -> u64,
    mut random: Random,
) {
    let Some(endpoint) = upstream.endpoint(index) else { return };
    let mut state = ProbeState::resume(endpoint.probe_health());
    sleep(part_of(plan.interval.min(FIRST_WITHIN), 0, 1000, &mut random)).await;
    loop {
        let outcome = plan.probe.run(endpoint, plan.timeout).await;
        let verdict = state.observe(outcome.is_ok(), plan.thresholds);
        upstream.probed(index, outcome, verdict, clock());
        sleep(part_of(plan.interval.max(SHORTEST), 900, 1100, &mut random)).await;
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
