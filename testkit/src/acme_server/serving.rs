//! The connections of the server, on a thread of its own.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::mischief::Mischief;
use super::{Shared, resources};

/// Bytes of a request's body that are read.
const BODY_MAX: usize = 64 * 1024;

pub(super) fn run(listener: TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (chain, key) = shared.authority.own();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.state().counts.connections += 1;
                tokio::spawn(connection(acceptor.clone(), stream, shared.clone()));
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = stopped => {}
        }
    });
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, shared: Arc<Shared>) {
    // How connections end is the client's affair.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| serve(request, shared.clone()));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// An error ends the connection without an answer.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer is wanted")
    }
}

impl std::error::Error for NoAnswer {}

async fn serve(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let mischief = {
        let mut state = shared.state();
        state.counts.requests += 1;
        state.take_mischief(|mischief| {
            matches!(mischief, Mischief::Unavailable { .. } | Mischief::Hangup | Mischief::Silence)
        })
    };
    match mischief {
        Some(Mischief::Hangup) => return Err(NoAnswer),
        Some(Mischief::Silence) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Some(Mischief::Unavailable { retry_after }) => {
            let response = Response::builder().status(503).header("Retry-After", retry_after);
            return Ok(response.body(Full::from("<h1>Down for maintenance</h1>")).unwrap());
        }
        _ => {}
    }
    Ok(resources::answer(&head, &body, &shared))
}
