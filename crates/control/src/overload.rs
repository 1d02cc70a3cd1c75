//! What upstreams do about overload, as figures.

use tollgate_proxy::Snapshot;
use tollgate_telemetry::exposition::{CircuitState, OverloadState, PlacesState};
use tollgate_upstream::admission::{WAIT_BOUNDS_MS, Why};
use tollgate_upstream::{AdmissionStatus, Class};

/// The figures of each upstream of a snapshot.
pub(crate) fn states(snapshot: &Snapshot, now_ms: u64) -> Vec<OverloadState> {
    let state = |upstream: &std::sync::Arc<tollgate_upstream::Upstream>| OverloadState {
        upstream: upstream.name().to_string(),
        places: upstream.admission().map(|admission| places(&admission.status())),
        circuit: upstream.breaker().map(|breaker| {
            let status = breaker.status(now_ms);
            CircuitState { state: status.circuit.word(), refused: status.refused }
        }),
    };
    snapshot.upstreams.iter().map(state).collect()
}

fn places(status: &AdmissionStatus) -> PlacesState {
    PlacesState {
        cap: status.cap,
        taken: status.taken,
        waiting: Class::ALL.into_iter().map(Class::word).zip(status.waiting).collect(),
        refused: Why::ALL.into_iter().map(Why::word).zip(status.refused).collect(),
        waits: WAIT_BOUNDS_MS.into_iter().zip(status.waits).collect(),
        longer_waits: status.waits[WAIT_BOUNDS_MS.len()],
        waited_us: status.waited_us,
    }
}
