//! Changes of endpoints' health.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_runtime::{Clock, date};
use tollgate_upstream::{Cause, HealthEvent};

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

/// A change of an endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number: 1 for the first since the process started.
    pub number: u64,
    /// When, by RFC 3339.
    pub at: String,
    /// The upstream.
    pub upstream: String,
    /// The endpoint.
    pub endpoint: String,
    /// What it was: `usable`, `ejected` or `down`.
    pub from: String,
    /// What it is; as before where an ejection was not made because outlier detection runs in shadow.
    pub to: String,
    /// The rule that ejected it, or `ejection_over`, `probe_passed`, `probe_failed`.
    pub cause: String,
    /// Outlier detection runs in shadow, so that nothing was done.
    pub shadow: bool,
    /// What has happened, in words.
    pub what: String,
}

impl Event {
    fn of(number: u64, event: &HealthEvent, started_at: Duration) -> Self {
        Self {
            number,
            at: date::rfc3339(started_at + Duration::from_millis(event.at_ms)),
            upstream: event.upstream.to_string(),
            endpoint: event.endpoint.to_string(),
            from: event.from.label().to_owned(),
            to: event.to.label().to_owned(),
            cause: event.cause.label().to_owned(),
            shadow: matches!(&event.cause, Cause::Ejected(cause) if cause.shadow),
            what: event.cause.to_string(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: ", self.at, self.upstream, self.endpoint)?;
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
    let wanted = |event: &HealthEvent| query.upstream.as_deref().is_none_or(|name| name == &*event.upstream);
    let kept = api.instance.health_events();
    // Asked for first, so that whoever goes on from there misses none.
    let latest = kept.latest();
    let events = kept.since(query.since.unwrap_or(0), query.limit.unwrap_or(MOST).min(MOST), wanted);
    let events = events.iter().filter(|(number, _)| *number <= latest);
    Ok(Json(Events { latest, events: events.map(|(n, event)| Event::of(*n, event, started_at)).collect() }))
}
