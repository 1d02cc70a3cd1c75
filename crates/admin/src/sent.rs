//! What clients send, read within bounds and refused in words.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Problem;

/// How long a client may take to send a body. What is then done with it takes as long as it takes: a change
/// may wait for another, and a trial watches exchanges before it begins.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes of JSON a client may send. What the API takes are a few words.
const BODY_MAX: usize = 64 << 10;
/// How much of a body that is too large is read all the same: a client that still sends would lose the answer.
const DISCARDED_MAX: usize = 4 << 20;

/// The JSON of a body of at most so many bytes.
#[derive(Debug)]
pub(crate) struct Sent<T, const MAX: usize = BODY_MAX>(pub T);

impl<T: DeserializeOwned, S: Sync, const MAX: usize> FromRequest<S> for Sent<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the request did not come whole in time");
        let bytes = timeout(BODY_TIMEOUT, read::<MAX>(request.into_body())).await.map_err(late)??;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not the JSON that is wanted: {error}"))
        })
    }
}

async fn read<const MAX: usize>(mut body: Body) -> Result<Bytes, Problem> {
    match Limited::new(&mut body, MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body).await;
            let detail = format!("the body is larger than {MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(error) => {
            let detail = format!("the body did not come whole: {error}");
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

async fn discard(mut body: Body) {
    let mut left = DISCARDED_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// The values of a query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(value)| Self(value)).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("the query cannot be understood: {}", error.body_text()),
            )
        })
    }
}

/// What a resource answers: JSON, or a problem.
pub(crate) type Answer<T> = Result<Json<T>, Problem>;

/// A value as a JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::{Body, Bytes, HttpBody};
    use axum::extract::{FromRequest, Request};
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use hyper::body::Frame;
    use serde_json::Value;
    use tokio::time::Instant;

    use super::{BODY_TIMEOUT, Sent};

    /// A body of which nothing ever comes.
    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let began = Instant::now();
        let sent = Sent::<Value>::from_request(Request::new(Body::new(Never)), &()).await;
        let status = sent.unwrap_err().into_response().status();
        assert_eq!((status, began.elapsed()), (StatusCode::REQUEST_TIMEOUT, BODY_TIMEOUT));
    }
}
