//! The API's own description.

use crate::openapi;
use crate::sent::{Answer, Json};

/// Tells it.
pub(crate) async fn get() -> Answer<serde_json::Value> {
    Ok(Json(openapi::document()))
}
