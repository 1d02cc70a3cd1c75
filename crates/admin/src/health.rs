//! What orchestrators and load balancers ask: whether the process lives, and whether it wants traffic.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tollgate_control::health::{self, Verdict};

use crate::Api;

/// `/healthz`: the process lives, and its workers.
pub async fn alive(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    told(&health::alive(api.process()), query.as_deref(), ["ok\n", "stuck\n"])
}

/// `/readyz`: it wants traffic.
pub async fn ready(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let no = if api.process().is_draining() { "draining\n" } else { "not ready\n" };
    told(&health::ready(api.process()), query.as_deref(), ["ready\n", no])
}

/// The verdict in a word, or with its reasons where the query asks for them by `verbose`.
fn told(verdict: &Verdict, query: Option<&str>, [yes, no]: [&str; 2]) -> (StatusCode, String) {
    let (status, word) =
        if verdict.passes { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) };
    let keys = query.unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let reasons = if keys.into_iter().any(|key| key == "verbose") { verdict.lines.as_str() } else { "" };
    (status, format!("{reasons}{word}"))
}
