//! Upstreams that limit how many requests are at them, or are spared: how that stands.

use tollgate_admin::report::{CircuitStatus, EndpointStatus, UpstreamStatus};

use crate::terminal::Tone;
use crate::terminal::figures::{age, count};
use crate::terminal::table::{Side, Table};

/// Those of the upstreams that do anything about overload.
pub(super) fn table(upstreams: &[UpstreamStatus]) -> Table {
    let mut table = Table::new(&[
        ("UPSTREAM", Side::Left),
        ("CIRCUIT", Side::Left),
        ("AT ONCE", Side::Right),
        ("WAITING", Side::Right),
        ("HELD", Side::Right),
        ("REFUSED", Side::Right),
    ]);
    let told = |upstream: &&UpstreamStatus| {
        upstream.places.is_some() || upstream.circuit.is_some() || upstream.held > 0
    };
    for upstream in upstreams.iter().filter(told) {
        let places = upstream.places.as_ref();
        let at_once = places.and_then(|places| {
            let found = if places.adaptive { " (found)" } else { "" };
            Some(format!("{} of {}{found}", count(places.used.into()), count(places.limit?.into())))
        });
        let waiting = places.map_or(0, |places| places.waiting);
        let refused = places.map_or(0, |p| p.refused) + upstream.circuit.as_ref().map_or(0, |c| c.refused);
        table.row([
            (upstream.name.clone(), Tone::Plain),
            upstream.circuit.as_ref().map_or_else(nothing, circuit),
            at_once.map_or_else(nothing, |told| (told, Tone::Plain)),
            (count(waiting.into()), doubtful_if(waiting > 0)),
            (count(upstream.held.into()), doubtful_if(upstream.held > 0)),
            (count(refused), Tone::Plain),
        ]);
    }
    table
}

/// How many requests are at an endpoint, and of how many that may be.
pub(super) fn in_flight(endpoint: &EndpointStatus) -> (String, Tone) {
    let now = count(endpoint.in_flight.into());
    match endpoint.limit {
        None => (now, Tone::Plain),
        Some(limit) => {
            (format!("{now} of {}", count(limit.into())), doubtful_if(endpoint.in_flight >= limit))
        }
    }
}

/// What an operator should know first.
pub(super) fn warning(upstream: &UpstreamStatus) -> Option<String> {
    let circuit = upstream.circuit.as_ref().filter(|circuit| circuit.refuses())?;
    let name = &upstream.name;
    Some(match circuit.open_for_ms {
        0 => format!("{name} is spared: its circuit is {}, and a few requests try it", circuit.state),
        left_ms => format!("{name} is spared: its circuit is open for another {}", age(left_ms)),
    })
}

fn circuit(circuit: &CircuitStatus) -> (String, Tone) {
    let shadow = if circuit.shadow { " (in shadow)" } else { "" };
    let (sign, tone) = match circuit.state.as_str() {
        "closed" => ("●", Tone::Good),
        "half_open" => ("○", Tone::Doubtful),
        _ => ("✗", Tone::Bad),
    };
    (format!("{sign} {}{shadow}", circuit.state), tone)
}

fn nothing() -> (String, Tone) {
    ("–".to_owned(), Tone::Quiet)
}

fn doubtful_if(is_so: bool) -> Tone {
    if is_so { Tone::Doubtful } else { Tone::Plain }
}
