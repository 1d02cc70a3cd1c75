//! The admin API: what runs and how it does, for programs, and the few things an operator changes by hand.
//! It runs on the control thread, away from the workers.
//!
//! `/metrics`, `/healthz` and `/readyz` are for machines that look after the process; everything else is
//! under `/api/v1`, a row each in [`resources`]. Who may do what is in [`access`].

pub mod access;
mod connections;
mod health;
pub mod openapi;
pub mod problem;
pub mod report;
pub mod resources;
mod scrape;
mod sent;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tokio::sync::watch;
use tollgate_control::{Instance, Process, metrics};

pub use access::{Access, Token};
use problem::Problem;

/// What the API tells of and changes.
pub struct Api {
    /// What runs.
    pub instance: Arc<Instance>,
    /// Writes a line to the process's own log: what an operator changes is told there.
    pub note: fn(&str),
    /// Takes orders to hand over to another process.
    pub handover: resources::handover::Orders,
}

impl Api {
    /// The running workers.
    pub fn process(&self) -> &Arc<Process> {
        self.instance.process()
    }
}

/// Serves the API on a listener until the other end of `ending` is dropped, and then what has begun. Streams end
/// when what they tell of does.
pub async fn serve(listener: impl Listener, api: Arc<Api>, access: Access, ending: watch::Receiver<()>) {
    connections::serve(listener, router(api, access), ending).await;
}

fn router(api: Arc<Api>, access: Access) -> Router {
    let mut router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    for resource in resources::RESOURCES {
        router = router.route(resource.path, (resource.handler)());
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(api)
        .layer(from_fn_with_state(Arc::new(access), access::admit))
}

async fn metrics_text(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, Problem> {
    let text = scrape::page(move || metrics::text(&api.instance)).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is no `{}`; /api/v1/openapi.json lists what there is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn unknown_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` does not take {method}; /api/v1/openapi.json lists what it takes", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
