//! Sessions: exchanges of one client that go on at the endpoint where they began, whatever the balancer would choose.

use crate::balancers::PickKey;
use crate::endpoint::Endpoint;
use crate::tables::identity;
use crate::upstream::Upstream;
use crate::view::View;

/// The endpoint that an exchange's session is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferred {
    /// Its index.
    pub endpoint: u32,
    /// Whether the session stays there although the operator has drained it.
    pub though_drained: bool,
}

impl Preferred {
    /// Whether the session may go on there, as far as the view knows: the endpoint gets exchanges, or is out for new
    /// ones only.
    pub fn is_there(self, view: &View) -> bool {
        let drained = view.drained_since_ms(self.endpoint).is_some();
        view.may_keep(self.endpoint) && (self.though_drained || !drained)
    }
}

/// The endpoints of an upstream by the numbers that stand for them in tokens of sessions: in the order of the numbers.
/// Also those that were removed, whose indexes are not given again.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionNumbers {
    sorted: Vec<(u64, u32)>,
}

impl SessionNumbers {
    /// Of all endpoints of an upstream.
    pub(crate) fn of(upstream: &Upstream) -> Self {
        let mut numbers = Self::default();
        numbers.catch_up(upstream);
        numbers
    }

    /// Takes in the endpoints that have come since.
    pub(crate) fn catch_up(&mut self, upstream: &Upstream) {
        let known = self.sorted.len();
        let number = |(index, endpoint): (u32, &Endpoint)| (number_of(endpoint), index);
        self.sorted.extend(upstream.endpoints().skip(known).map(number));
        // Mostly in order already, which this kind of sorting is quick with.
        self.sorted.sort();
    }

    /// How many endpoints it knows.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The endpoints that a number stands for: several of which all but one were removed, or that stand there twice.
    pub(crate) fn find(&self, number: u64) -> impl Iterator<Item = u32> {
        let start = self.sorted.partition_point(|(known, _)| *known < number);
        self.sorted[start..]
            .iter()
            .take_while(move |(known, _)| *known == number)
            .map(|(_, endpoint)| *endpoint)
    }
}

fn number_of(endpoint: &Endpoint) -> u64 {
    identity(endpoint.name(), endpoint.address())
}

impl Upstream {
    /// The number that stands for an endpoint in tokens of sessions: the same wherever an upstream has an endpoint of
    /// this name and address, and for as long as there are tokens.
    pub fn session_number(&self, endpoint: u32) -> Option<u64> {
        self.endpoint(endpoint).map(number_of)
    }

    /// The endpoint of the exchange's session, if it can have it now: it may go on there, and would not find it full.
    pub(crate) fn kept(&self, view: &View, key: &PickKey<'_>) -> Option<u32> {
        let preferred = key.preferred.filter(|preferred| preferred.is_there(view))?;
        let full = || key.load(self, view, preferred.endpoint).is_some_and(|load| load.full);
        let capped = self.admission().is_some_and(|admission| admission.caps_endpoints());
        (!capped || !full()).then_some(preferred.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::Preferred;
    use crate::admission::AdmissionSettings;
    use crate::balancers::{BALANCERS, Pick, PickKey};
    use crate::endpoint::Endpoint;
    use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
    use crate::loads::{Loads, NotedLoads, RecordedLoads};
    use crate::members::Member;
    use crate::probes::ProbeFailure;
    use crate::random::Random;
    use crate::upstream::{Upstream, UpstreamSettings};
    use crate::view::{Exclusion, View};

    fn upstream(count: u32, balancer: usize, cap: Option<u32>) -> Upstream {
        let endpoint = |number| {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000 + number as u16));
            Endpoint::new(format!("e{number}"), address, 1 + number % 3)
        };
        let outliers =
            OutlierSettings { consecutive_5xx: 1, max_ejected_percent: 100, ..OutlierSettings::default() };
        let admission = AdmissionSettings { endpoint: cap, ..AdmissionSettings::default() };
        let settings = UpstreamSettings { outliers, admission, ..UpstreamSettings::default() };
        let endpoints = (0..count).map(endpoint).collect();
        Upstream::new("app", endpoints, BALANCERS[balancer].standard(), settings, HealthEvents::unheard())
    }

    fn view_of(upstream: &Upstream) -> View {
        let mut view = View::default();
        view.refresh(upstream, 0);
        view
    }

    #[test]
    fn numbers_find_their_endpoints_in_any_order_and_instance() {
        let (one, other) = (upstream(50, 0, None), upstream(80, 0, None));
        let (view, other_view) = (view_of(&one), view_of(&other));
        let mut numbers: Vec<u64> = (0..80).filter_map(|e| other.session_number(e)).collect();
        for (endpoint, number) in (0..80).zip(&numbers) {
            assert_eq!(other_view.session_endpoint(&other, *number), Some(endpoint));
            assert_eq!(view.session_endpoint(&one, *number), (endpoint < 50).then_some(endpoint));
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 80);
        assert_eq!(view.session_endpoint(&one, 1), None);
    }

    #[test]
    fn an_address_that_stands_twice_is_found() {
        let endpoint = || Endpoint::new("e", "127.0.0.1:80".parse().unwrap(), 1);
        let settings = UpstreamSettings { ..UpstreamSettings::default() };
        let endpoints = vec![endpoint(), endpoint()];
        let twice =
            Upstream::new("app", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
        assert_eq!(view_of(&twice).session_endpoint(&twice, twice.session_number(1).unwrap()), Some(0));
    }

    #[test]
    fn an_endpoint_that_came_later_is_found_and_one_that_left_is_not() {
        let upstream = upstream(3, 0, None);
        let mut view = std::sync::Arc::new(View::default());
        View::refresh_shared(&mut view, &upstream, 0);
        let held = view.clone();
        let late = [Member::new("late", "127.0.0.1:9".parse().unwrap(), 1)];
        let added = |now_ms| upstream.operator_add(&late, None, now_ms).unwrap().added[0];
        let first = added(1);
        View::refresh_shared(&mut view, &upstream, 1);
        let number = upstream.session_number(first).unwrap();
        assert_eq!(
            (held.session_endpoint(&upstream, number), view.session_endpoint(&upstream, number)),
            (None, Some(first))
        );
        assert_eq!(view.session_endpoint(&upstream, upstream.session_number(2).unwrap()), Some(2));
        upstream.operator_remove(&[first], 2).unwrap();
        View::refresh_shared(&mut view, &upstream, 2);
        assert_eq!(view.session_endpoint(&upstream, number), None);
        let again = added(3);
        View::refresh_shared(&mut view, &upstream, 3);
        assert_eq!(view.session_endpoint(&upstream, number), Some(again));
    }

    /// With any balancer: who may be kept is, who may not never is, and a pick can be made again.
    #[test]
    fn a_session_stays_where_it_may_and_nowhere_else() {
        for seed in 0..4000 {
            let mut random = Random::new(seed);
            let count = 1 + random.below(8) as u32;
            let cap = (random.below(3) == 0).then_some(1 + random.below(2) as u32);
            let upstream = upstream(count, random.below(BALANCERS.len() as u64) as usize, cap);
            let mut in_flight = Vec::new();
            for _ in 0..random.below(12) {
                let endpoint = random.below(u64::from(count)) as u32;
                match random.below(5) {
                    0 => drop(upstream.set_drained(endpoint, true)),
                    1 => drop(upstream.set_weight(endpoint, Some(0))),
                    2 => upstream.probed(endpoint, Err(ProbeFailure::Refused), Some(ProbeHealth::Down), 5),
                    3 => drop(upstream.report_failure(endpoint, Failure::Status(500), 5, seed)),
                    _ => in_flight.extend(upstream.try_begin(endpoint)),
                }
            }
            let mut view = View::default();
            view.refresh(&upstream, 10);
            let preferred = Preferred {
                endpoint: random.below(u64::from(count) + 1) as u32,
                though_drained: seed % 2 == 0,
            };
            let noted = NotedLoads::default();
            let key = PickKey {
                turn: random.next(),
                seed,
                preferred: Some(preferred),
                loads: Loads::Noted(&noted),
                ..PickKey::default()
            };
            let picked = upstream.pick(&view, &key);
            let endpoint = upstream.endpoint(preferred.endpoint);
            let member = view.members().contains(&preferred.endpoint);
            let healthy = endpoint.is_some_and(|e| e.health(10) == crate::health::Health::Usable);
            let held_out = match view.exclusion(preferred.endpoint) {
                Some(Exclusion::Drained) => preferred.though_drained,
                Some(Exclusion::WeightZero) => true,
                _ => false,
            };
            let may = member || endpoint.is_some() && healthy && held_out;
            let full = endpoint.is_some_and(Endpoint::is_full);
            assert_eq!(preferred.is_there(&view), may, "seed {seed}: {preferred:?} {view:?}");
            match may && !full {
                true => assert_eq!(picked, Pick::Endpoint(preferred.endpoint), "seed {seed}"),
                false => assert_ne!(picked, Pick::Endpoint(preferred.endpoint), "seed {seed}"),
            }
            let loads = noted.to_vec();
            let recorded = RecordedLoads::new(&loads);
            let again = PickKey { loads: Loads::Recorded(&recorded), ..key };
            assert_eq!(upstream.pick(&view, &again), picked, "seed {seed}");
            assert!(recorded.are_used_up(), "seed {seed}");
        }
    }

    #[test]
    fn a_view_knows_since_when_an_endpoint_is_drained() {
        let upstream = upstream(2, 0, None);
        let mut view = std::sync::Arc::new(View::default());
        View::refresh_shared(&mut view, &upstream, 0);
        upstream.set_drained(1, true);
        View::refresh_shared(&mut view, &upstream, 40);
        let held = view.clone();
        upstream.set_weight(0, Some(7));
        View::refresh_shared(&mut view, &upstream, 90);
        assert_eq!((held.drained_since_ms(1), view.drained_since_ms(1)), (Some(40), Some(40)));
        assert_eq!((view.may_keep(1), view.may_keep(2)), (true, false));
        upstream.set_drained(1, false);
        View::refresh_shared(&mut view, &upstream, 95);
        upstream.set_drained(1, true);
        View::refresh_shared(&mut view, &upstream, 99);
        assert_eq!((view.drained_since_ms(1), view.drained_since_ms(0)), (Some(99), None));
    }
}
