//! What clients send, read within bounds and refused in words.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

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
        let mut body = request.into_body();
        let bytes = match Limited::new(&mut body, MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                discard(body).await;
                let detail = format!("the body is larger than {MAX} bytes");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            Err(error) => {
                let detail = format!("the body did not come whole: {error}");
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not the JSON that is wanted: {error}"))
        })
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
