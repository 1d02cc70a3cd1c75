//! Exchanges as they end, as a stream of lines.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_telemetry::tail::{Filter, Subscription};

use crate::Api;
use crate::problem::Problem;
use crate::sent::Asked;

/// The media type of the lines.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// How many bytes of lines go into one piece of the stream.
const PIECE: usize = 16 << 10;

/// Which exchanges are told: keys may come more than once, then one of their values must fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Query {
    /// Those that end for this reason.
    pub reason: Option<String>,
    /// Those of the route of this name.
    pub route: Option<String>,
    /// Those of the upstream of this name.
    pub upstream: Option<String>,
    /// Those with this status, or one of these: `404`, `5xx`, `400-499`.
    pub status: Option<String>,
    /// Those where this side is at fault: `nobody`, `client`, `upstream` or `proxy`.
    pub side: Option<String>,
    /// Those that took at least so long, such as `250ms`.
    pub slow: Option<String>,
    /// Those for this path, or one below it.
    pub path: Option<String>,
}

/// Tells them until the client goes or the process ends.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let filter = Filter::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let subscription = api
        .process()
        .logs()
        .tail()
        .subscribe(filter)
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], Body::new(Lines { subscription })).into_response())
}

/// The lines of a subscription. What the client does not take waits in the subscription, which is bounded and
/// says what it has lost.
struct Lines {
    subscription: Subscription,
}

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            match self.subscription.poll_next(cx) {
                Poll::Ready(Some(line)) if piece.is_empty() => piece = line,
                Poll::Ready(Some(line)) => piece.extend_from_slice(&line),
                // The end is told again when it is asked for again.
                Poll::Ready(None) if piece.is_empty() => return Poll::Ready(None),
                Poll::Pending if piece.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}
