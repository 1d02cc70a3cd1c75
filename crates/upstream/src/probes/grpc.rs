//! Asks by the gRPC health protocol, over HTTP/2.

mod message;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use http::{HeaderMap, Method, Request, Version};
use tokio::time::{Instant, timeout_at};

use super::dial::{Dial, ProbeStream, TcpDial, dial};
use super::{Probe, ProbeAnswer, ProbeFailure, ProbeTarget};
use message::ServingStatus;

/// Largest answer that is read; a right one has seven bytes.
const MAX_ANSWER: usize = 4096;
/// Largest head or trailers.
const MAX_HEAD: u32 = 16 * 1024;

/// Passes when `grpc.health.v1.Health/Check` answers that the service is serving. HTTP/2 is spoken at once, without
/// asking: by prior knowledge, or over connections that agreed on it. Each probe has its own connection.
#[derive(Clone, Debug)]
pub struct GrpcProbe {
    service: Box<str>,
    /// The scheme of the request and of what is behind [`Self::dial`].
    scheme: &'static str,
    authority: Option<Box<str>>,
    dial: Arc<dyn Dial>,
}

impl Default for GrpcProbe {
    /// The endpoint as a whole.
    fn default() -> Self {
        Self::new("")
    }
}

impl GrpcProbe {
    /// Asks about a service; the empty one is the endpoint as a whole.
    pub fn new(service: impl Into<Box<str>>) -> Self {
        Self { service: service.into(), scheme: "http", authority: None, dial: Arc::new(TcpDial) }
    }

    /// The same probe over connections that are encrypted, or of another kind else.
    #[must_use]
    pub fn over(self, dial: Arc<dyn Dial>, encrypted: bool) -> Self {
        Self { dial, scheme: if encrypted { "https" } else { "http" }, ..self }
    }

    /// The same probe with another `:authority` than the endpoint's name.
    #[must_use]
    pub fn authority(self, authority: impl Into<Box<str>>) -> Self {
        Self { authority: Some(authority.into()), ..self }
    }

    fn request(&self, target: &ProbeTarget) -> Option<Request<()>> {
        let authority = self.authority.as_deref().unwrap_or(&target.name);
        let uri = format!("{}://{authority}/grpc.health.v1.Health/Check", self.scheme);
        let request = Request::builder().method(Method::POST).uri(uri).version(Version::HTTP_2);
        let request = request.header("te", "trailers").header("content-type", "application/grpc+proto");
        request.header("user-agent", "tollgate-probe").body(()).ok()
    }

    async fn ask(&self, stream: Box<dyn ProbeStream>, target: &ProbeTarget) -> Result<(), ProbeFailure> {
        let handshake = client::Builder::new().max_header_list_size(MAX_HEAD).handshake(stream).await;
        let (requests, connection) = handshake.map_err(|error| failure(&error))?;
        let request = self.request(target).ok_or(ProbeFailure::NotGrpc("the endpoint has no host name"))?;
        // The connection is driven here, so that it ends with the probe.
        tokio::select! {
            verdict = call(requests, request, message::request(&self.service)) => verdict,
            ended = connection => Err(ended.err().map_or(ProbeFailure::Closed, |error| failure(&error))),
        }
    }
}

async fn call(
    requests: SendRequest<Bytes>,
    request: Request<()>,
    message: Vec<u8>,
) -> Result<(), ProbeFailure> {
    let mut requests = requests.ready().await.map_err(|error| failure(&error))?;
    let (answer, mut body) = requests.send_request(request, false).map_err(|error| failure(&error))?;
    body.send_data(message.into(), true).map_err(|error| failure(&error))?;
    judge(answer).await
}

async fn judge(answer: ResponseFuture) -> Result<(), ProbeFailure> {
    let (head, mut body) = answer.await.map_err(|error| failure(&error))?.into_parts();
    if head.status.as_u16() != 200 {
        return Err(ProbeFailure::Status { got: head.status.as_u16(), expected: "200".into() });
    }
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(|error| failure(&error))?;
        if message.len() + part.len() > MAX_ANSWER {
            return Err(ProbeFailure::NotGrpc("the answer is too large"));
        }
        let _ = body.flow_control().release_capacity(part.len());
        message.extend_from_slice(&part);
    }
    let trailers = body.trailers().await.map_err(|error| failure(&error))?;
    // Of an answer without a message, the status is in the head.
    match status(trailers.as_ref()).or_else(|| status(Some(&head.headers))) {
        Some(0) => {}
        Some(code) => return Err(ProbeFailure::GrpcStatus(code)),
        None => return Err(ProbeFailure::NotGrpc("the answer has no `grpc-status`")),
    }
    match message::answer(&message) {
        Some(ServingStatus::SERVING) => Ok(()),
        Some(status) => Err(ProbeFailure::NotServing(status.name())),
        None => Err(ProbeFailure::NotGrpc("the answer is no HealthCheckResponse")),
    }
}

fn status(fields: Option<&HeaderMap>) -> Option<u32> {
    fields?.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn failure(error: &h2::Error) -> ProbeFailure {
    match (error.get_io(), error.reason()) {
        (Some(error), _) => ProbeFailure::from_exchange(error),
        (None, Some(h2::Reason::NO_ERROR)) => ProbeFailure::Closed,
        (None, Some(reason)) => ProbeFailure::NotHttp2(reason.description().into()),
        (None, None) => ProbeFailure::NotHttp2("the connection is not as HTTP/2 has it".into()),
    }
}

impl Probe for GrpcProbe {
    fn run<'a>(&'a self, target: &'a ProbeTarget, timeout: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let stream = dial(&*self.dial, target, timeout, deadline).await?;
            let verdict = timeout_at(deadline, self.ask(stream, target)).await;
            verdict.unwrap_or(Err(ProbeFailure::NoAnswer(timeout)))
        })
    }
}

#[cfg(test)]
#[path = "grpc/tests.rs"]
mod tests;
