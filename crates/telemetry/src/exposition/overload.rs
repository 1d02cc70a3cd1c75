//! Overload of upstreams: places, queues, circuit breakers.

use super::Writer;
use crate::families;

/// An upstream that limits how many requests it takes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacesState {
    /// How many may be at it now; `None` for any number.
    pub cap: Option<u32>,
    /// How many are.
    pub taken: u32,
    /// How many wait, by priority.
    pub waiting: Vec<(&'static str, u32)>,
    /// How many got no place, by cause.
    pub refused: Vec<(&'static str, u64)>,
    /// Upper bounds of waits in milliseconds, and how many were between the one before and this.
    pub waits: Vec<(u64, u64)>,
    /// How many waits were longer than all bounds.
    pub longer_waits: u64,
    /// The sum of all waits, in microseconds.
    pub waited_us: u64,
}

/// An upstream's circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitState {
    /// Its state.
    pub state: &'static str,
    /// How many requests it refused, or would have.
    pub refused: u64,
}

/// What one upstream does about overload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverloadState {
    /// The upstream's name.
    pub upstream: String,
    /// Its places, where they are limited.
    pub places: Option<PlacesState>,
    /// Its circuit breaker, if it has one.
    pub circuit: Option<CircuitState>,
}

/// Writes the figures of the upstreams that do anything about overload.
pub fn write_overload(writer: &mut Writer, upstreams: &[OverloadState]) {
    let places: Vec<_> =
        upstreams.iter().filter_map(|state| Some((&*state.upstream, state.places.as_ref()?))).collect();
    writer.family(&families::UPSTREAM_CAP);
    for (upstream, places) in &places {
        if let Some(cap) = places.cap {
            writer.series(&families::UPSTREAM_CAP, &[("upstream", upstream)], cap);
        }
    }
    writer.family(&families::UPSTREAM_TAKEN);
    for (upstream, places) in places.iter().filter(|(_, places)| places.cap.is_some()) {
        writer.series(&families::UPSTREAM_TAKEN, &[("upstream", upstream)], places.taken);
    }
    writer.family(&families::QUEUE_LENGTH);
    for (upstream, places) in &places {
        for (priority, waiting) in &places.waiting {
            let labels = [("upstream", *upstream), ("priority", *priority)];
            writer.series(&families::QUEUE_LENGTH, &labels, waiting);
        }
    }
    writer.family(&families::QUEUE_WAIT);
    for (upstream, places) in &places {
        let labels = [("upstream", *upstream)];
        writer.waits(&families::QUEUE_WAIT, &labels, &places.waits, places.longer_waits, places.waited_us);
    }
    writer.family(&families::QUEUE_REFUSED);
    for (upstream, places) in &places {
        for (cause, refused) in &places.refused {
            writer.series(&families::QUEUE_REFUSED, &[("upstream", *upstream), ("cause", *cause)], refused);
        }
    }
    write_circuits(writer, upstreams);
}

fn write_circuits(writer: &mut Writer, upstreams: &[OverloadState]) {
    let circuits = || upstreams.iter().filter_map(|state| Some((&*state.upstream, state.circuit.as_ref()?)));
    writer.family(&families::CIRCUIT);
    for (upstream, circuit) in circuits() {
        for state in ["closed", "half_open", "open"] {
            let labels = [("upstream", upstream), ("state", state)];
            writer.series(&families::CIRCUIT, &labels, u8::from(state == circuit.state));
        }
    }
    writer.family(&families::CIRCUIT_REFUSED);
    for (upstream, circuit) in circuits() {
        writer.series(&families::CIRCUIT_REFUSED, &[("upstream", upstream)], circuit.refused);
    }
}

#[cfg(test)]
mod tests {
    use super::{CircuitState, OverloadState, PlacesState, write_overload};
    use crate::exposition::Writer;

    #[test]
    fn an_upstream_that_limits_has_its_series_and_another_has_none() {
        let places = PlacesState {
            cap: Some(20),
            taken: 20,
            waiting: vec![("normal", 7)],
            refused: vec![("queue_full", 3)],
            waits: vec![(1, 4), (10, 2)],
            longer_waits: 1,
            waited_us: 1_500_000,
        };
        let circuit = Some(CircuitState { state: "half_open", refused: 9 });
        let mut writer = Writer::default();
        let upstream = |upstream: &str, places, circuit| OverloadState {
            upstream: upstream.to_owned(),
            places,
            circuit,
        };
        write_overload(&mut writer, &[upstream("api", Some(places), circuit), upstream("shop", None, None)]);
        let text = writer.finish();
        assert!(!text.contains("shop"), "{text}");
        for line in [
            "tollgate_upstream_concurrency_limit{upstream=\"api\"} 20",
            "tollgate_upstream_concurrency_used{upstream=\"api\"} 20",
            "tollgate_upstream_queue_length{upstream=\"api\",priority=\"normal\"} 7",
            "tollgate_upstream_queue_wait_seconds_bucket{upstream=\"api\",le=\"0.001\"} 4",
            "tollgate_upstream_queue_wait_seconds_bucket{upstream=\"api\",le=\"0.01\"} 6",
            "tollgate_upstream_queue_wait_seconds_bucket{upstream=\"api\",le=\"+Inf\"} 7",
            "tollgate_upstream_queue_wait_seconds_sum{upstream=\"api\"} 1.5",
            "tollgate_upstream_queue_refused_total{upstream=\"api\",cause=\"queue_full\"} 3",
            "tollgate_upstream_circuit{upstream=\"api\",state=\"half_open\"} 1",
            "tollgate_upstream_circuit{upstream=\"api\",state=\"open\"} 0",
            "tollgate_upstream_circuit_refused_total{upstream=\"api\"} 9",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in:\n{text}");
        }
    }
}
