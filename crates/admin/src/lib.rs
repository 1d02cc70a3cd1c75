//! The admin endpoints: metrics and health. They run on the control thread, away from the workers.

use std::future::Future;
use std::io;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tollgate_control::{Process, metrics};

/// The process as the admin endpoints see it.
pub type SharedProcess = Arc<RwLock<Process>>;

/// Serves the admin endpoints until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    process: SharedProcess,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(process);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn metrics_text(State(process): State<SharedProcess>) -> impl IntoResponse {
    let text = read(&process, metrics::text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn ready(State(process): State<SharedProcess>) -> impl IntoResponse {
    if read(&process, Process::is_draining) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// Nothing panics while it holds the lock for writing, so a poisoned one is still sound.
fn read<T>(process: &SharedProcess, look: impl FnOnce(&Process) -> T) -> T {
    look(&process.read().unwrap_or_else(std::sync::PoisonError::into_inner))
}
