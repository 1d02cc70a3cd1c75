//! Endpoints that an operator adds and removes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_config::EndpointAddress;
use tollgate_control::membership::NotChanged;
use tollgate_upstream::Member;

use super::endpoints::{Changed, Place, check_weight, find, find_endpoints, told_of};
use crate::Api;
use crate::problem::Problem;
use crate::sent::{Answer, Json, Sent};

/// An endpoint to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Host and port. Of a name all addresses that it has now are added, each as an endpoint.
    pub address: String,
    /// Its share of the exchanges relative to the others', 0 to 65535; 1 if left out. For one that the operator had
    /// removed, the weight that it is listed with if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 65_535))]
    pub weight: Option<u32>,
}

/// An upstream as a path names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Whose {
    upstream: String,
}

/// Adds.
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Path(Whose { upstream }): Path<Whose>,
    Sent(NewEndpoint { address, weight }): Sent<NewEndpoint>,
) -> Answer<Changed> {
    check_weight(weight)?;
    // Before names are asked for.
    find(&api.process().current(), &upstream)?;
    let members = members(&api, &address, weight.unwrap_or(1)).await?;
    let change = match api.instance.membership().add(&upstream, &members, weight) {
        Ok(change) => change,
        Err(NotChanged::Unchosen(never)) => match never {},
        Err(NotChanged::NoUpstream) => return Err(gone(&upstream)),
        Err(NotChanged::Refused(refused)) => {
            let detail = format!("cannot add `{address}` to `{upstream}`: {refused}");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
    };
    changed(&api, &upstream, &change.added)
}

/// Removes.
pub(crate) async fn remove(State(api): State<Arc<Api>>, Path(place): Path<Place>) -> Answer<Changed> {
    let Place { upstream, endpoint } = place;
    find(&api.process().current(), &upstream)?;
    let removed = api.instance.membership().remove(&upstream, |upstream| find_endpoints(upstream, &endpoint));
    match removed {
        Ok(change) => changed(&api, &upstream, &change.removed),
        Err(NotChanged::Unchosen(problem)) => Err(problem),
        Err(NotChanged::NoUpstream) => Err(gone(&upstream)),
        Err(NotChanged::Refused(refused)) => {
            let detail = format!("cannot remove `{endpoint}` from `{upstream}`: {refused}");
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
}

/// The endpoints that an address means, each with this weight.
async fn members(api: &Api, address: &str, weight: u32) -> Result<Vec<Member>, Problem> {
    let unfit = |problem: &str| {
        let detail = format!("`{address}` is no address of an endpoint: {problem}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    };
    if address.contains("://") {
        return Err(unfit("host and port are enough, the upstream says how it is spoken to"));
    }
    let parsed: EndpointAddress = address.parse().map_err(|error| unfit(&format!("{error}")))?;
    let name: Arc<str> = parsed.authority().into();
    let addresses = match parsed.socket() {
        Some(socket) => vec![socket],
        None => api.instance.resolve(parsed.host(), parsed.port()).await.map_err(|error| {
            let detail = format!("the name `{}` cannot be resolved: {error}", parsed.host());
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })?,
    };
    Ok(addresses.into_iter().map(|address| Member::new(name.clone(), address, weight)).collect())
}

/// A document without it was put into force this moment.
fn gone(upstream: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no upstream `{upstream}` any more"))
}

fn changed(api: &Api, upstream: &str, endpoints: &[u32]) -> Answer<Changed> {
    let current = api.process().current();
    let index = find(&current, upstream)?;
    let endpoints_told = told_of(&current, index, endpoints);
    Ok(Json(Changed { changed: !endpoints.is_empty(), endpoints: endpoints_told }))
}
