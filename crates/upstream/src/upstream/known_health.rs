//! What one process knows of the health of endpoints, for another that takes its place.

use super::Upstream;
use crate::health::ProbeHealth;

/// What is known of an endpoint's health and outlives a process. Times are told from now on, since processes count
/// them from their own starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownHealth {
    /// What its probes say; `None` without a verdict.
    pub is_up: Option<bool>,
    /// How much longer it is ejected, in milliseconds; `None` if it is not.
    pub ejected_ms: Option<u64>,
    /// Number of the latest ejection: the next one is longer for it.
    pub ejections: u32,
}

impl Upstream {
    /// What is known of an endpoint's health; `None` where there is nothing to tell, or no such endpoint.
    pub fn known_health(&self, endpoint: u32, now_ms: u64) -> Option<KnownHealth> {
        let endpoint = self.endpoint(endpoint)?;
        let is_up = match endpoint.probe_health() {
            ProbeHealth::Up => Some(true),
            ProbeHealth::Down => Some(false),
            ProbeHealth::Unknown | ProbeHealth::Awaited => None,
        };
        let until_ms = endpoint.ejection().until_ms().filter(|until_ms| *until_ms > now_ms);
        let ejected_ms = until_ms.map(|until_ms| until_ms - now_ms);
        let known = KnownHealth { is_up, ejected_ms, ejections: endpoint.ejection().number() };
        (known != KnownHealth::default()).then_some(known)
    }

    /// Goes on from what is known of endpoints, as far as this upstream has probes and ejects: nobody would ever
    /// correct it otherwise. Only while nothing else uses this upstream.
    pub fn go_on_from(&self, known: impl IntoIterator<Item = (u32, KnownHealth)>, now_ms: u64) {
        let (probes, outliers) = (self.settings.probes.is_some(), &self.settings.outliers);
        for (endpoint, known) in known {
            let Some(endpoint) = self.endpoint(endpoint) else { continue };
            match known.is_up {
                Some(true) if probes => endpoint.set_probe_health(ProbeHealth::Up),
                Some(false) if probes => endpoint.set_probe_health(ProbeHealth::Down),
                _ => {}
            }
            if outliers.ejects() {
                // A new document may eject for less long.
                let left_ms = known.ejected_ms.map(|left_ms| left_ms.min(outliers.max_ejection_ms));
                endpoint.ejection().go_on(left_ms.map(|left_ms| now_ms + left_ms), known.ejections);
            }
        }
        self.outliers.recount(self.endpoints().map(|(_, e)| e));
        self.version.rise();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::KnownHealth;
    use crate::balancers::BALANCERS;
    use crate::endpoint::Endpoint;
    use crate::health::{Failure, Health, HealthEvents, OutlierSettings, ProbeHealth};
    use crate::probes::{ProbeFailure, ProbePlan, TcpProbe};
    use crate::upstream::{Upstream, UpstreamSettings};

    fn upstream(probes: bool, ejects: bool) -> Upstream {
        let endpoint = |n: u8| Endpoint::new(format!("e{n}"), ([10, 0, 0, n], 80).into(), 1);
        let outliers = match ejects {
            true => OutlierSettings {
                consecutive_5xx: 1,
                max_ejected_percent: 100,
                base_ejection_ms: 1000,
                ..OutlierSettings::default()
            },
            false => OutlierSettings::off(),
        };
        let probes = probes.then(|| ProbePlan::new(Arc::new(TcpProbe::default())));
        let settings = UpstreamSettings { probes, outliers, ..UpstreamSettings::default() };
        let endpoints = (0..4).map(endpoint).collect();
        Upstream::new("u", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard())
    }

    #[test]
    fn who_was_down_stays_down_and_who_was_ejected_stays_so_for_the_rest_of_its_time() {
        let before = upstream(true, true);
        before.probed(0, Err(ProbeFailure::Refused), Some(ProbeHealth::Down), 5);
        before.probed(1, Ok(()), Some(ProbeHealth::Up), 5);
        before.report_failure(2, Failure::Status(500), 10_000, 1);
        let until_ms = before.endpoint(2).unwrap().ejection().until_ms().unwrap();
        let known: Vec<_> = (0..4).filter_map(|e| Some((e, before.known_health(e, 10_100)?))).collect();
        assert_eq!(known.iter().map(|(e, _)| *e).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(
            known[2].1,
            KnownHealth { is_up: None, ejected_ms: Some(until_ms - 10_100), ejections: 1 }
        );
        let after = upstream(true, true);
        after.go_on_from(known.iter().copied(), 50);
        let health = |upstream: &Upstream, e, now_ms| upstream.endpoint(e).unwrap().health(now_ms);
        assert_eq!(health(&after, 0, 60), Health::Down);
        assert_eq!(after.endpoint(1).unwrap().probe_health(), ProbeHealth::Up);
        let until_ms = 50 + until_ms - 10_100;
        assert_eq!(health(&after, 2, 60), Health::Ejected { until_ms });
        after.settle(until_ms);
        assert_eq!(health(&after, 2, until_ms), Health::Usable);
        // Its cap on ejections counts what it has gone on from.
        assert!(!after.outliers.any());
    }

    #[test]
    fn what_nobody_would_correct_is_not_gone_on_from() {
        let after = upstream(false, false);
        let known = KnownHealth { is_up: Some(false), ejected_ms: Some(60_000), ejections: 3 };
        after.go_on_from([(0, known), (9, known)], 50);
        assert_eq!(after.endpoint(0).unwrap().health(60), Health::Usable);
        assert_eq!(after.known_health(0, 60), None);
    }
}
