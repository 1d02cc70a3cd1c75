use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

use super::GrpcProbe;
use crate::probes::{Probe, ProbeFailure, ProbeTarget};

/// What an endpoint answers: its status, its message, and its `grpc-status` (`None`: none, in the head if it has no
/// message).
#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    message: Option<&'static [u8]>,
    grpc: Option<&'static str>,
}

const SERVING: Answer = Answer { status: 200, message: Some(&[0, 0, 0, 0, 2, 8, 1]), grpc: Some("0") };

/// Runs the probe against an endpoint. Gives the outcome, the path, authority and message of the request.
async fn probed(probe: GrpcProbe, answer: Answer) -> (Result<(), ProbeFailure>, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = ProbeTarget { name: "calls.example:9000".into(), address: listener.local_addr().unwrap() };
    let serve = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut asked = (String::new(), Vec::new());
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            asked.0 = format!("{} {} {:?}", request.method(), request.uri(), request.headers()["te"]);
            let mut body = request.into_body();
            let read = async {
                let mut bytes = Vec::new();
                while let Some(Ok(part)) = body.data().await {
                    bytes.extend_from_slice(&part);
                }
                bytes
            };
            // The connection must be driven while the body comes.
            tokio::select! {
                bytes = read => asked.1 = bytes,
                _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return asked,
            }
            let mut head =
                Response::builder().status(answer.status).header("content-type", "application/grpc");
            if let (None, Some(status)) = (answer.message, answer.grpc) {
                head = head.header("grpc-status", status);
            }
            let mut out = respond.send_response(head.body(()).unwrap(), answer.message.is_none()).unwrap();
            if let Some(message) = answer.message {
                out.send_data(Bytes::from_static(message), answer.grpc.is_none()).unwrap();
                if let Some(status) = answer.grpc {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", status.parse().unwrap());
                    out.send_trailers(trailers).unwrap();
                }
            }
        }
        asked
    });
    let outcome = probe.run(&target, Duration::from_secs(60)).await;
    let (head, message) = serve.await.unwrap();
    (outcome, head, message)
}

#[tokio::test]
async fn the_request_asks_about_the_service() {
    let (outcome, head, message) = probed(GrpcProbe::new("shop.Orders"), SERVING).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(head, "POST http://calls.example:9000/grpc.health.v1.Health/Check \"trailers\"");
    assert_eq!(message, [&[0, 0, 0, 0, 13, 0x0a, 11][..], b"shop.Orders"].concat());
    let (outcome, head, message) = probed(GrpcProbe::default().authority("internal"), SERVING).await;
    assert_eq!((outcome, message), (Ok(()), vec![0; 5]));
    assert!(head.contains("http://internal/"), "{head}");
}

#[tokio::test]
async fn the_answer_decides() {
    let outcome = async |answer| probed(GrpcProbe::default(), answer).await.0;
    let message = |message| Answer { message: Some(message), ..SERVING };
    assert_eq!(outcome(message(&[0, 0, 0, 0, 2, 8, 2])).await, Err(ProbeFailure::NotServing("NOT_SERVING")));
    assert_eq!(outcome(message(&[0, 0, 0, 0, 0])).await, Err(ProbeFailure::NotServing("UNKNOWN")));
    assert!(matches!(outcome(message(&[1])).await, Err(ProbeFailure::NotGrpc(_))));
    // A service that is not known: the status stands in the head, without a message.
    let unknown = Answer { message: None, grpc: Some("5"), ..SERVING };
    assert_eq!(outcome(unknown).await, Err(ProbeFailure::GrpcStatus(5)));
    assert!(matches!(outcome(Answer { grpc: None, ..SERVING }).await, Err(ProbeFailure::NotGrpc(_))));
    assert!(matches!(outcome(Answer { grpc: Some("x"), ..SERVING }).await, Err(ProbeFailure::NotGrpc(_))));
    assert!(matches!(
        outcome(Answer { status: 404, ..SERVING }).await,
        Err(ProbeFailure::Status { got: 404, .. })
    ));
    assert!(matches!(outcome(message(&[0; 5000])).await, Err(ProbeFailure::NotGrpc(_))));
}

#[tokio::test]
async fn who_does_not_speak_http2_fails() {
    use tokio::io::AsyncWriteExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = ProbeTarget { name: "a:1".into(), address: listener.local_addr().unwrap() };
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let outcome = GrpcProbe::default().run(&target, Duration::from_secs(60)).await;
    assert!(matches!(outcome, Err(ProbeFailure::NotHttp2(_))), "{outcome:?}");
    drop(serve.await.unwrap());
}
