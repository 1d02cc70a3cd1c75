//! Changes of endpoints' health and of upstreams' circuits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_runtime::{Clock, date};
use tollgate_upstream::{BreakerEvent, Cause, HealthEvent, UpstreamEvent};

use crate::Api;
use crate::sent::{Answer, Asked, Json};

/// How many events an answer has, unless asked for fewer; as many as are kept.
const MOST: usize = tollgate_upstream::health::events::KEPT;

/// Which events are told.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Those with a number above this one.
    pub since: Option<u64>,
    /// Those of the upstream of this name.
    pub upstream: Option<String>,
    /// The newest so many, at most 1000.
    pub limit: Option<usize>,
}

/// Events, oldest first. The newest 1000 are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The number of the latest event of all: what to ask `since` for next.
    pub latest: u64,
    /// The events.
    pub events: Vec<Event>,
}

/// A change of an endpoint's health, or of what an upstream's circuit breaker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number: 1 for the first since the process started.
    pub number: u64,
    /// When, by RFC 3339.
    pub at: String,
    /// The upstream.
    pub upstream: String,
    /// The endpoint; null where the upstream as a whole is meant.
    pub endpoint: Option<String>,
    /// What it was: `usable`, `ejected` or `down`; of a circuit `closed`, `half_open` or `open`.
    pub from: String,
    /// What it is; as before where an ejection was not made because outlier detection runs in shadow.
    pub to: String,
    /// The rule that ejected it, or `ejection_over`, `probe_passed`, `probe_failed`; of a circuit `tripped`, `tries_again`,
    /// `trial_failed`, `recovered`.
    pub cause: String,
    /// What decided runs in shadow, so that nothing was done.
    pub shadow: bool,
    /// What has happened, in words.
    pub what: String,
}

impl Event {
    fn of(number: u64, event: &UpstreamEvent, started_at: Duration) -> Self {
        let at = |at_ms| date::rfc3339(started_at + Duration::from_millis(at_ms));
        match event {
            UpstreamEvent::Health(HealthEvent { upstream, endpoint, from, to, cause, at_ms }) => Self {
                number,
                at: at(*at_ms),
                upstream: upstream.to_string(),
                endpoint: Some(endpoint.to_string()),
                from: from.label().to_owned(),
                to: to.label().to_owned(),
                cause: cause.label().to_owned(),
                shadow: matches!(cause, Cause::Ejected(cause) if cause.shadow),
                what: cause.to_string(),
            },
            UpstreamEvent::Circuit(BreakerEvent { upstream, turn, shadow, at_ms }) => Self {
                number,
                at: at(*at_ms),
                upstream: upstream.to_string(),
                endpoint: None,
                from: turn.from().word().to_owned(),
                to: turn.to().word().to_owned(),
                cause: turn.label().to_owned(),
                shadow: *shadow,
                what: turn.to_string(),
            },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shadow = if self.endpoint.is_none() && self.shadow { " (in shadow)" } else { "" };
        let what = self.endpoint.as_deref().unwrap_or("circuit");
        write!(f, "{} {} {what}{shadow}: ", self.at, self.upstream)?;
        if self.from != self.to {
            write!(f, "{} -> {}: ", self.from, self.to)?;
        }
        f.write_str(&self.what)
    }
}

/// Tells of them.
pub(crate) async fn get(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Events> {
    let clock = Clock::new();
    let started_at = clock.wall().saturating_sub(Duration::from_millis(clock.now_ms()));
    let wanted =
        |event: &UpstreamEvent| query.upstream.as_deref().is_none_or(|name| name == &**event.upstream());
    let kept = api.instance.health_events();
    // Asked for first, so that whoever goes on from there misses none.
    let latest = kept.latest();
    let events = kept.since(query.since.unwrap_or(0), query.limit.unwrap_or(MOST).min(MOST), wanted);
    let events = events.iter().filter(|(number, _)| *number <= latest);
    Ok(Json(Events { latest, events: events.map(|(n, event)| Event::of(*n, event, started_at)).collect() }))
}
