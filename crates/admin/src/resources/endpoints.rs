//! Endpoints, and what an operator sets at them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::process::Current;
use tollgate_runtime::Clock;
use tollgate_upstream::Upstream;

use crate::Api;
use crate::problem::Problem;
use crate::report::EndpointStatus;
use crate::sent::{Answer, Asked, Json, Sent};

/// The largest weight, as in the document.
const WEIGHT_MAX: u32 = 65_535;
/// How many names an answer lists when the one asked for is not among them.
const NAMES_MAX: usize = 10;

/// Which endpoints are told of.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The upstream; all if left out.
    pub upstream: Option<String>,
}

/// Endpoints with their state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// The endpoints, in the document's order.
    pub endpoints: Vec<EndpointStatus>,
}

/// What a change has led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Whether anything is different now.
    pub changed: bool,
    /// The endpoints that were meant: several where a name has several addresses.
    pub endpoints: Vec<EndpointStatus>,
}

/// A weight to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// 0 to 65535; null for the document's weight.
    #[schemars(range(max = 65_535))]
    pub weight: Option<u32>,
}

/// Tells of endpoints.
pub(crate) async fn list(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Endpoints> {
    let current = api.process().current();
    let only = query.upstream.map(|name| find(&current, &name)).transpose()?;
    let chosen = (0..current.snapshot.upstreams.len()).filter(|index| only.is_none_or(|only| only == *index));
    let endpoints = chosen.flat_map(|index| told(&current, index)).map(|(_, status)| status);
    Ok(Json(Endpoints { endpoints: endpoints.collect() }))
}

/// The endpoints of an upstream with their indexes.
fn told(current: &Current, upstream: usize) -> Vec<(u32, EndpointStatus)> {
    let now_ms = Clock::new().now_ms();
    EndpointStatus::all(&current.snapshot.upstreams[upstream], upstream, &current.shards, now_ms)
}

/// Drains.
pub(crate) async fn drain(State(api): State<Arc<Api>>, Path(place): Path<Place>) -> Answer<Changed> {
    change(&api, &place, "drained", |upstream, endpoint| upstream.set_drained(endpoint, true))
}

/// Undrains.
pub(crate) async fn undrain(State(api): State<Arc<Api>>, Path(place): Path<Place>) -> Answer<Changed> {
    change(&api, &place, "undrained", |upstream, endpoint| upstream.set_drained(endpoint, false))
}

/// Sets the weight.
pub(crate) async fn weight(
    State(api): State<Arc<Api>>,
    Path(place): Path<Place>,
    Sent(Weight { weight }): Sent<Weight>,
) -> Answer<Changed> {
    check_weight(weight)?;
    let what = weight.map_or("given the document's weight".to_owned(), |w| format!("given the weight {w}"));
    change(&api, &place, &what, |upstream, endpoint| upstream.set_weight(endpoint, weight))
}

pub(super) fn check_weight(weight: Option<u32>) -> Result<(), Problem> {
    let Some(weight) = weight.filter(|weight| *weight > WEIGHT_MAX) else { return Ok(()) };
    let detail = format!("the weight {weight} is too large: at most {WEIGHT_MAX}");
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
}

/// An endpoint as a path names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(super) upstream: String,
    pub(super) endpoint: String,
}

/// Applies `set` to the endpoints that `place` names, and says so in the process's log if it changed anything.
fn change(
    api: &Api,
    place: &Place,
    what: &str,
    set: impl Fn(&Upstream, u32) -> Option<bool>,
) -> Answer<Changed> {
    let current = api.process().current();
    let index = find(&current, &place.upstream)?;
    let upstream = &current.snapshot.upstreams[index];
    let meant = find_endpoints(upstream, &place.endpoint)?;
    let mut changed = false;
    for endpoint in &meant {
        changed |= set(upstream, *endpoint).unwrap_or(false);
    }
    if changed {
        (api.note)(&format!("{} {} {what} by the operator", place.upstream, place.endpoint));
    }
    Ok(Json(Changed { changed, endpoints: told_of(&current, index, &meant) }))
}

/// Those endpoints of an upstream.
pub(super) fn told_of(current: &Current, upstream: usize, endpoints: &[u32]) -> Vec<EndpointStatus> {
    let told = told(current, upstream).into_iter().filter(|(index, _)| endpoints.contains(index));
    told.map(|(_, status)| status).collect()
}

/// The index of an upstream.
pub(super) fn find(current: &Current, name: &str) -> Result<usize, Problem> {
    let upstreams = &current.snapshot.upstreams;
    upstreams.iter().position(|upstream| **upstream.name() == *name).ok_or_else(|| {
        let names = listed(upstreams.iter().map(|upstream| &**upstream.name()));
        Problem::new(StatusCode::NOT_FOUND, format!("there is no upstream `{name}`; there are {names}"))
    })
}

/// By the name in the document, which may have several addresses, or by one address.
pub(super) fn find_endpoints(upstream: &Upstream, name: &str) -> Result<Vec<u32>, Problem> {
    let endpoints = || upstream.live_endpoints();
    let by_name: Vec<u32> = endpoints().filter(|(_, e)| **e.name() == *name).map(|(i, _)| i).collect();
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let by_address: Vec<u32> =
        endpoints().filter(|(_, e)| e.address().to_string() == name).map(|(i, _)| i).collect();
    if !by_address.is_empty() {
        return Ok(by_address);
    }
    let names = listed(upstream.live_endpoints().map(|(_, endpoint)| &**endpoint.name()));
    let detail = format!("the upstream `{}` has no endpoint `{name}`; it has {names}", upstream.name());
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > NAMES_MAX => {
            format!("{} and {} more", names[..NAMES_MAX].join(", "), count - NAMES_MAX)
        }
        _ => names.join(", "),
    }
}
