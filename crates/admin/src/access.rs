//! Who may ask for what.
//!
//! The file permissions of a unix socket say who may open it, so whoever has may do everything. Over TCP
//! the three paths that monitoring needs are open and the rest needs the token. A browser that was lured to the API
//! sends no token by itself; so that it cannot be used to read the open paths either, requests from pages
//! of another origin are refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::Next;
use crate::problem::Problem;

/// What needs no token over TCP.
const OPEN: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// Who reaches the API by a listener.
#[derive(Debug)]
pub enum Access {
    /// Whoever may open the unix socket: everything is allowed.
    Everything,
    /// Anybody on the network: the open paths, and with the token everything.
    Network {
        /// The token; without one there is no API over the network.
        token: Option<Token>,
    },
}

/// By which way a request has come, for what the network may not have even with the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The unix socket.
    Socket,
    /// The network.
    Network,
}

/// What a client of the network proves itself with. Never printed.
pub struct Token(Box<[u8]>);

impl Token {
    /// The token of this text; `None` for an empty one, which would protect nothing.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.as_bytes().into()))
    }

    /// Takes the same time for each wrong token of the right length, so that it cannot be found byte by
    /// byte.
    fn is(&self, sent: &[u8]) -> bool {
        self.0.ct_eq(sent).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Lets a request through or answers it.
pub(crate) async fn admit(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(match *access {
        Access::Everything => By::Socket,
        Access::Network { .. } => By::Network,
    });
    match judge(&access, request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// A page of another origin made the browser send it.
    OtherOrigin,
    /// There is no token, so nobody can have it.
    NoApi,
    /// It came without a token.
    TokenMissing,
    /// It came with another token.
    TokenWrong,
}

fn judge(access: &Access, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let Access::Network { token } = access else { return Ok(()) };
    if !is_own_origin(headers) {
        return Err(Refusal::OtherOrigin);
    }
    if OPEN.contains(&path) {
        return Ok(());
    }
    let token = token.as_ref().ok_or(Refusal::NoApi)?;
    let sent = headers.get(AUTHORIZATION).and_then(bearer).ok_or(Refusal::TokenMissing)?;
    if token.is(sent) { Ok(()) } else { Err(Refusal::TokenWrong) }
}

/// Whether a browser did not send it, or for a page that came from here.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

/// The token of an `Authorization` field; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    const SCHEME: usize = "Bearer ".len();
    let (scheme, token) = value.as_bytes().split_at_checked(SCHEME)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::OtherOrigin => (StatusCode::FORBIDDEN, "requests from pages of another origin are refused"),
            Self::NoApi => (
                StatusCode::FORBIDDEN,
                "the API is served on the unix socket only; to have it here, set admin.token in the document",
            ),
            Self::TokenMissing => {
                (StatusCode::UNAUTHORIZED, "send the token of the document: `Authorization: Bearer TOKEN`")
            }
            Self::TokenWrong => (StatusCode::UNAUTHORIZED, "this is not the token of the document"),
        };
        let mut response = Problem::new(status, detail).into_response();
        let challenge = match self {
            Self::TokenMissing => Some("Bearer realm=\"tollgate\""),
            Self::TokenWrong => Some("Bearer realm=\"tollgate\", error=\"invalid_token\""),
            Self::OtherOrigin | Self::NoApi => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Refusal, Token, judge};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn judged(access: &Access, path: &str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        judge(access, path, &headers)
    }

    #[test]
    fn over_the_network_the_token_opens_what_is_not_open() {
        let with_token = Access::Network { token: Token::new("s3cret") };
        let (api, metrics) = ("/api/v1/status", "/metrics");
        for (path, fields, expected) in [
            (metrics, &[][..], Ok(())),
            (api, &[], Err(Refusal::TokenMissing)),
            ("/", &[], Err(Refusal::TokenMissing)),
            ("/metrics/../api", &[], Err(Refusal::TokenMissing)),
            (api, &[("authorization", "Bearer s3cret")], Ok(())),
            (api, &[("authorization", "bearer  s3cret")], Ok(())),
            (api, &[("authorization", "Bearer s3cre")], Err(Refusal::TokenWrong)),
            (api, &[("authorization", "Bearer s3cretx")], Err(Refusal::TokenWrong)),
            (api, &[("authorization", "Bearer ")], Err(Refusal::TokenWrong)),
            (api, &[("authorization", "Basic s3cret")], Err(Refusal::TokenMissing)),
            (api, &[("authorization", "B")], Err(Refusal::TokenMissing)),
        ] {
            assert_eq!(judged(&with_token, path, fields), expected, "{path} {fields:?}");
        }
        let without = Access::Network { token: Token::new("") };
        assert_eq!(judged(&without, metrics, &[]), Ok(()));
        for fields in [&[][..], &[("authorization", "Bearer ")]] {
            assert_eq!(judged(&without, api, fields), Err(Refusal::NoApi));
        }
    }

    #[test]
    fn pages_of_another_origin_are_refused_even_with_the_token() {
        let access = Access::Network { token: Token::new("s3cret") };
        for (origin, expected) in [
            ("http://127.0.0.1:9901", Ok(())),
            ("http://127.0.0.1:9902", Err(Refusal::OtherOrigin)),
            ("https://evil.example", Err(Refusal::OtherOrigin)),
            ("null", Err(Refusal::OtherOrigin)),
            ("", Err(Refusal::OtherOrigin)),
        ] {
            let fields = [("host", "127.0.0.1:9901"), ("origin", origin), ("authorization", "Bearer s3cret")];
            for path in ["/api/v1/status", "/metrics"] {
                assert_eq!(judged(&access, path, &fields), expected, "{origin}");
            }
        }
        assert_eq!(judged(&access, "/metrics", &[("origin", "http://a")]), Err(Refusal::OtherOrigin));
    }

    #[test]
    fn whoever_opened_the_socket_may_do_everything() {
        assert_eq!(judged(&Access::Everything, "/api/v1/status", &[]), Ok(()));
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", Token::new("s3cret")).contains("s3cret"));
    }
}
