//! One question over HTTP (RFC 6960 appendix A): bounded in time and size, without redirects.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// For all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// Posts a question to a responder, which is at an `http` URL, and returns its answer.
pub(super) async fn post(url: &str, question: Vec<u8>) -> Result<Vec<u8>, String> {
    tokio::time::timeout(TIMEOUT, exchange(url, question))
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {} s", TIMEOUT.as_secs())))
}

async fn exchange(url: &str, question: Vec<u8>) -> Result<Vec<u8>, String> {
    let uri: Uri = url.parse().map_err(|_| "malformed URL".to_owned())?;
    let host = uri.host().ok_or("there is no host in the URL")?;
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(text)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority)
        .header(CONTENT_TYPE, "application/ocsp-request")
        .body(Full::new(Bytes::from(question)))
        .map_err(text)?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string())
    };
    tokio::pin!(answering);
    tokio::pin!(connection);
    // The connection does its work while it is polled, and ends with the answer.
    tokio::select! {
        answer = &mut answering => answer,
        ended = &mut connection => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(text(error)),
        },
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
