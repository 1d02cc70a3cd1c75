//! The whole state, for `tollgate status` and whoever wants to show it otherwise.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Api;
use crate::report::{RouteChoice, Status};
use crate::sent::{Answer, Asked, Json};

/// How many routes are told of at most, if nothing is asked for.
const ROUTES: usize = 1000;

/// Which routes are told of. There may be very many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Which routes; those that had a request if left out.
    #[serde(default)]
    pub routes: RouteChoice,
    /// At most so many, the busiest; 1000 if left out.
    pub limit: Option<usize>,
}

/// Tells it.
pub(crate) async fn get(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Status> {
    Ok(Json(Status::of(&api, query.routes, query.limit.unwrap_or(ROUTES))))
}
