//! The connections of the provider, on a thread of its own.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::{Shared, login, tokens};

/// Bytes of a request's body that are read.
const BODY_MAX: usize = 64 * 1024;

/// What is answered.
pub(super) struct Answer(Response<Full<Bytes>>);

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: String) -> Self {
        let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
        Self(response.body(Full::from(body)).unwrap())
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string()).cached("no-store")
    }

    pub(super) fn page(status: StatusCode, body: &str) -> Self {
        Self::new(status, "text/html", format!("<!doctype html>{body}")).cached("no-store")
    }

    pub(super) fn redirect(to: &str) -> Self {
        let mut answer = Self::page(StatusCode::FOUND, "");
        answer.0.headers_mut().insert(LOCATION, to.parse().unwrap());
        answer
    }

    fn cached(mut self, control: &str) -> Self {
        self.0.headers_mut().insert(CACHE_CONTROL, control.parse().unwrap());
        self
    }
}

pub(super) fn run(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tls = tls.map(TlsAcceptor::from);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(tls.clone(), stream, shared.clone()));
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = stopped => {}
        }
    });
}

async fn connection(tls: Option<TlsAcceptor>, stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_on(stream, shared).await,
        Some(tls) => {
            // How connections end is the client's affair.
            if let Ok(stream) = tls.accept(stream).await {
                serve_on(stream, shared).await;
            }
        }
    }
}

async fn serve_on(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(|request| serve(request, shared.clone()));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn serve(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let failure = {
        let mut state = shared.state();
        *state.requests.entry(head.uri.path().to_owned()).or_default() += 1;
        state.manner.failures.pop_front()
    };
    shared.changed.notify_all();
    shared.pass().await;
    if let Some(status) = failure {
        let status = StatusCode::from_u16(status).unwrap();
        return Ok(Answer::page(status, "<h1>Something is wrong</h1>").0);
    }
    Ok(answer(&head, &String::from_utf8_lossy(&body), &shared).0)
}

fn answer(head: &Parts, body: &str, shared: &Shared) -> Answer {
    let query = head.uri.query().unwrap_or_default();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/.well-known/openid-configuration") => published(shared, &shared.description()),
        (&Method::GET, "/jwks") => {
            let keys = shared.state().keys.jwks();
            published(shared, &keys)
        }
        (&Method::GET, "/authorize") => login::authorize(shared, query),
        (&Method::POST, "/login") => login::login(shared, body),
        (&Method::GET, "/logout") => login::logout(shared, query),
        (&Method::POST, "/token") => tokens::token(shared, head, body),
        (&Method::POST, "/introspect") => tokens::introspect(shared, head, body),
        _ => Answer::page(StatusCode::NOT_FOUND, "There is nothing here."),
    }
}

fn published(shared: &Shared, value: &Value) -> Answer {
    let answer = Answer::new(StatusCode::OK, "application/json", value.to_string());
    match shared.state().manner.max_age {
        Some(seconds) => answer.cached(&format!("public, max-age={seconds}")),
        None => answer,
    }
}
