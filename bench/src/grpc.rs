//! The gRPC service that is called: its origin, and one call that is looked at closely.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The method that is called.
pub(crate) const PATH: &str = "/bench.Echo/Unary";
/// A message's length in a call and in its reply, without the five bytes in front (gRPC over HTTP/2,
/// Length-Prefixed-Message).
pub(crate) const MESSAGE: u32 = 128;
const PREFIX: usize = 5;
const CONTENT_TYPE: &str = "application/grpc";
/// How long the call may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Streams that may be open on one connection.
const STREAMS: u32 = 1_024;

/// The message as it is sent.
pub(crate) fn message() -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(MESSAGE.to_be_bytes());
    bytes.extend((0..MESSAGE).map(|index| b"0123456789abcdef"[index as usize % 16]));
    bytes
}

/// Serves HTTP/2 with prior knowledge until the process is ended. Says `listening ADDRESS` on stdout first.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        writeln!(io::stdout().lock(), "listening {}", listener.local_addr()?)?;
        accept(listener).await
    })
}

async fn accept(listener: TcpListener) -> Result<()> {
    loop {
        let stream = listener.accept().await?.0;
        tokio::spawn(async move {
            // A broken connection concerns its own client only, and that one counts the error.
            let _ = connection(stream).await;
        });
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn connection(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.max_concurrent_streams(STREAMS).handshake(stream).await?;
    let reply = Bytes::from(message());
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(answer(request, respond, reply.clone()));
    }
    Ok(())
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    reply: Bytes,
) -> Result<(), h2::Error> {
    let length = read(request.into_body()).await?.0;
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static(CONTENT_TYPE));
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(reply, false)?;
    let mut trailers = HeaderMap::new();
    // 3 is INVALID_ARGUMENT: the call was not what the load sends.
    let status = if length == PREFIX + MESSAGE as usize { "0" } else { "3" };
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    stream.send_trailers(trailers)
}

/// The length of a body, and the trailers behind it.
async fn read(mut body: h2::RecvStream) -> Result<(usize, Option<HeaderMap>), h2::Error> {
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len();
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok((length, body.trailers().await?))
}

/// Calls the method once, over HTTP/2 with prior knowledge: status, message and trailers must be right.
pub(crate) fn call(target: SocketAddr) -> Result<()> {
    runtime()?.block_on(async {
        tokio::time::timeout(PATIENCE, call_once(target)).await.context("no reply in time")?
    })
}

async fn call_once(target: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(target).await?;
    let (client, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{target}{PATH}"))
        .header("content-type", CONTENT_TYPE)
        .header("te", "trailers")
        .body(())?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(Bytes::from(message()), true)?;
    let response = response.await?;
    ensure!(response.status() == 200, "status {} instead of 200", response.status());
    let kind = response.headers().get("content-type").map(HeaderValue::as_bytes);
    ensure!(kind == Some(CONTENT_TYPE.as_bytes()), "the content type is {kind:?}");
    let (length, trailers) = read(response.into_body()).await?;
    ensure!(length == PREFIX + MESSAGE as usize, "a body of {length} bytes");
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    ensure!(status.is_some_and(|status| status == "0"), "the trailers are {trailers:?}");
    driver.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{accept, call_once, message, runtime};
    use tokio::net::TcpListener;

    #[test]
    fn a_call_brings_status_message_and_trailers() {
        let runtime = runtime().expect("starts");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            let address = listener.local_addr().expect("has one");
            let serving = tokio::spawn(accept(listener));
            call_once(address).await.expect("is answered");
            serving.abort();
        });
        assert_eq!(message()[..5], [0, 0, 0, 0, 128]);
    }
}
