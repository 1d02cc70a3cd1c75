//! The admin endpoints: metrics and health. They run on the control thread, away from the workers.

mod health;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tollgate_control::{Process, metrics};

/// Serves the admin endpoints until `shutdown`.
pub async fn serve(
    listener: impl Listener<Addr: std::fmt::Debug>,
    process: Arc<Process>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(process);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn metrics_text(State(process): State<Arc<Process>>) -> impl IntoResponse {
    let text = metrics::text(&process);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
