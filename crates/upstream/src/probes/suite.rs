//! What holds for every probe of the registry.

use std::collections::HashSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{PROBES, ProbeFailure, ProbeTarget, probe};

#[test]
fn the_registry_is_in_order() {
    let mut names = HashSet::new();
    for row in PROBES {
        assert!(names.insert(row.name), "{} stands twice", row.name);
        assert!(row.doc.ends_with('.') && row.doc.len() > 20, "{}", row.name);
        assert_eq!(probe(row.name).map(|found| found.name), Some(row.name));
    }
    assert!(probe("icmp").is_none());
}

#[tokio::test]
async fn a_working_endpoint_passes() {
    for row in PROBES {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = ProbeTarget { name: "a".into(), address: listener.local_addr().unwrap() };
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 3];
            let _ = stream.peek(&mut start).await;
            // The preface of HTTP/2.
            if &start == b"PRI" {
                return serve_grpc(stream).await;
            }
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        });
        let outcome = (row.make)().run(&target, Duration::from_secs(60)).await;
        assert_eq!(outcome, Ok(()), "{}", row.name);
        serve.await.unwrap();
    }
}

/// Answers the health protocol: serving.
async fn serve_grpc(stream: tokio::net::TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let mut body = respond.send_response(http::Response::new(()), false).unwrap();
        body.send_data(bytes::Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).unwrap();
        let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
        body.send_trailers(trailers.into_iter().collect()).unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_fails_as_refused() {
    for row in PROBES {
        // Bound but not listening: nobody else can take the port meanwhile, and connecting is refused.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let target = ProbeTarget { name: "a".into(), address: socket.local_addr().unwrap() };
        let outcome = (row.make)().run(&target, Duration::from_secs(60)).await;
        assert_eq!(outcome, Err(ProbeFailure::Refused), "{}", row.name);
    }
}

#[tokio::test]
async fn a_silent_endpoint_does_not_hold_a_probe() {
    for row in PROBES {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = ProbeTarget { name: "a".into(), address: listener.local_addr().unwrap() };
        let timeout = Duration::from_millis(5);
        match (row.make)().run(&target, timeout).await {
            Ok(()) | Err(ProbeFailure::NoAnswer(_) | ProbeFailure::ConnectTimeout(_)) => {}
            Err(failure) => panic!("{}: {failure}", row.name),
        }
    }
}
