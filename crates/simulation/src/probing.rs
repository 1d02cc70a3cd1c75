//! Active probes of modelled endpoints.

use std::sync::Arc;
use std::time::Duration;

use tollgate_upstream::probes::ProbeState;
use tollgate_upstream::{ProbeFailure, ProbePlan, Upstream};

use crate::chance::Chance;
use crate::events::{Events, What};
use crate::origin::Origin;
use crate::scenario::Down;

/// First probes are spread over this time, or over the interval if that is shorter.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The probes of an upstream.
#[derive(Debug)]
pub(crate) struct Probing {
    plan: ProbePlan,
    states: Vec<ProbeState>,
    chance: Chance,
}

impl Probing {
    /// Plans the first probes; `None` where the document has none.
    pub(crate) fn begin(upstream: &Upstream, seed: u64, events: &mut Events) -> Option<Self> {
        let plan = upstream.settings().probes.clone()?;
        let mut chance = Chance::new(seed);
        let within_us = plan.interval.min(FIRST_WITHIN).as_micros() as u64;
        let mut states = Vec::with_capacity(upstream.slots());
        for (endpoint, known) in upstream.endpoints() {
            states.push(ProbeState::resume(known.probe_health()));
            events.plan(chance.below(within_us + 1), What::Probes { endpoint });
        }
        Some(Self { plan, states, chance })
    }

    /// A probe begins.
    pub(crate) fn ask(&mut self, endpoint: u32, origin: &Origin, now_us: u64, events: &mut Events) {
        let timeout_us = self.plan.timeout.as_micros() as u64;
        let (took_us, passed) = match origin.probe(&mut self.chance) {
            Some((took_us, passed)) if took_us <= timeout_us => (took_us, passed),
            _ => (timeout_us, false),
        };
        events.plan(now_us + took_us, What::Probed { endpoint, passed });
    }

    /// A probe has ended.
    pub(crate) fn hear(
        &mut self,
        upstream: &Upstream,
        (endpoint, passed): (u32, bool),
        origin: &Origin,
        now_us: u64,
        events: &mut Events,
    ) {
        let Some(state) = self.states.get_mut(endpoint as usize) else { return };
        let verdict = state.observe(passed, self.plan.thresholds);
        let outcome = match (passed, origin.down) {
            (true, _) => Ok(()),
            (false, Some(Down::Refusing)) => Err(ProbeFailure::Refused),
            (false, Some(Down::Silent)) => Err(ProbeFailure::ConnectTimeout(self.plan.timeout)),
            (false, None) => Err(ProbeFailure::Status { got: 503, expected: Arc::from("a good one") }),
        };
        upstream.probed(endpoint, outcome, verdict, now_us / 1000);
        let time_us = self.plan.time(state.pace()).as_micros().max(1000) as u64;
        let jitter_us = time_us / 100 * u64::from(self.plan.jitter_percent.min(100));
        let next_us = time_us - jitter_us + self.chance.below(2 * jitter_us + 1);
        events.plan(now_us + next_us, What::Probes { endpoint });
    }
}
