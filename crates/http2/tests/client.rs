//! The client's side against h2's server.

mod support;

use std::future::poll_fn;

use bytes::Bytes;
use h2::Reason as Code;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use support::{client, finish, recv_body, recv_head, run, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::spawn_local;
use tollgate_http2::{ClientSettings, ClientStream, Connection};
use tollgate_streams::{MessageStream, StreamFailure};

type Served = (Request<h2::RecvStream>, SendResponse<Bytes>);

/// Serves with h2, each request by `handler` in a task.
fn h2_server<H, F>(io: DuplexStream, max_streams: u32, handler: H)
where
    H: Fn(Served) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    spawn_local(async move {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(max_streams);
        let mut server = builder.handshake::<_, Bytes>(io).await.expect("a client");
        while let Some(Ok(request)) = server.accept().await {
            spawn_local(handler(request));
        }
    });
}

async fn ask(connection: &Connection, head: &str, trailers: &str) -> (ClientStream, std::io::Result<String>) {
    let mut stream = connection.open().expect("room");
    send(&mut stream, head.as_bytes()).await.expect("sent");
    finish(&mut stream, trailers.as_bytes()).await.expect("finished");
    let head = recv_head(&mut stream).await;
    (stream, head)
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_arrives_as_fields_and_the_response_as_text() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 10, |(request, mut respond)| async move {
            assert_eq!(request.uri(), "https://a.example/a?b");
            assert_eq!(request.headers().len(), 1);
            assert!(request.body().is_end_stream());
            let response = Response::builder().status(404).header("x", "y").body(()).expect("valid");
            let mut body = respond.send_response(response, false).expect("sent");
            body.send_data("gone".into(), false).expect("sent");
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "5".parse().expect("valid"));
            body.send_trailers(trailers).expect("sent");
        });
        let connection = client(near, ClientSettings { https: true, ..ClientSettings::default() }).await;
        let (mut stream, head) = ask(&connection, GET, "").await;
        assert_eq!(head.expect("a head"), "HTTP/1.1 404 \r\nx: y\r\n\r\n");
        assert_eq!(recv_body(&mut stream).await.expect("a body"), b"gone");
        assert_eq!(stream.take_trailers(), b"grpc-status: 5\r\n");
        assert_eq!(connection.open_streams(), 1);
        drop(stream);
        assert_eq!(connection.open_streams(), 0);
    });
}

#[test]
fn interim_responses_come_before_the_final_one() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 10, |(_, mut respond)| async move {
            for status in [100, 103] {
                let interim = Response::builder().status(status).body(()).expect("valid");
                respond.send_informational(interim).expect("sent");
            }
            respond.send_response(Response::new(()), true).expect("sent");
        });
        let connection = client(near, ClientSettings::default()).await;
        let (mut stream, head) = ask(&connection, GET, "").await;
        assert_eq!(head.expect("a head"), "HTTP/1.1 100 \r\n\r\n");
        assert_eq!(recv_head(&mut stream).await.expect("a head"), "HTTP/1.1 103 \r\n\r\n");
        assert_eq!(recv_head(&mut stream).await.expect("a head"), "HTTP/1.1 200 \r\n\r\n");
        assert_eq!(recv_body(&mut stream).await.expect("no body"), b"");
    });
}

#[test]
fn a_refused_stream_is_safe_to_retry_and_a_reset_one_is_not() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 10, |(request, mut respond)| async move {
            match request.uri().path() {
                "/refused" => respond.send_reset(Code::REFUSED_STREAM),
                _ => respond.send_reset(Code::INTERNAL_ERROR),
            }
        });
        let connection = client(near, ClientSettings::default()).await;
        for (path, expected) in [("/refused", StreamFailure::Refused), ("/x", StreamFailure::Reset(2))] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (mut stream, head) = ask(&connection, &head, "").await;
            let failure = StreamFailure::of(&head.expect_err("a reset")).expect("typed");
            assert_eq!(failure, expected);
            assert_eq!(failure.is_safe_to_retry(), path == "/refused");
            poll_fn(|cx| stream.poll_cancelled(cx)).await;
        }
        assert!(connection.is_usable());
    });
}

#[test]
fn a_goaway_refuses_what_was_not_looked_at_and_ends_the_use_of_the_connection() {
    run(async {
        let (near, mut far) = duplex(65536);
        far.write_all(&support::frame(4, 0, 0, &[])).await.expect("settings");
        let connection = client(near, ClientSettings::default()).await;
        let mut stream = connection.open().expect("room");
        send(&mut stream, GET.as_bytes()).await.expect("sent");
        finish(&mut stream, b"").await.expect("finished");
        let mut scratch = [0; 1000];
        far.read_exact(&mut scratch[..24]).await.expect("the preface");
        // No stream was looked at.
        let goaway = support::frame(7, 0, 0, &[0; 8]);
        far.write_all(&goaway).await.expect("written");
        let error = recv_head(&mut stream).await.expect_err("refused");
        assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Refused));
        assert!(!connection.is_usable());
        assert!(connection.open().is_err());
    });
}

#[test]
fn a_connection_that_breaks_is_told_apart() {
    run(async {
        let (near, mut far) = duplex(65536);
        far.write_all(&support::frame(4, 0, 0, &[])).await.expect("settings");
        let connection = client(near, ClientSettings::default()).await;
        let mut stream = connection.open().expect("room");
        send(&mut stream, GET.as_bytes()).await.expect("sent");
        finish(&mut stream, b"").await.expect("finished");
        let mut scratch = [0; 1000];
        far.read_exact(&mut scratch[..24]).await.expect("the preface");
        drop(far);
        let error = recv_head(&mut stream).await.expect_err("lost");
        assert_eq!(StreamFailure::of(&error), Some(StreamFailure::ConnectionLost));
        assert!(!connection.is_usable());
    });
}

#[test]
fn the_smaller_limit_of_streams_counts() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 3, |(_, mut respond)| async move {
            respond.send_response(Response::new(()), true).expect("sent");
        });
        let connection = client(near, ClientSettings { max_streams: 5, ..ClientSettings::default() }).await;
        // As many as the endpoint allows, before the first is opened.
        assert_eq!(connection.capacity(), 3);
        let (stream, head) = ask(&connection, GET, "").await;
        head.expect("a head");
        drop(stream);
        assert_eq!(connection.capacity(), 3);
        let streams: Vec<_> = (0..3).map(|_| connection.open().expect("room")).collect();
        assert_eq!(connection.open().map(|_| ()), Err(StreamFailure::Refused));
        drop(streams);
        assert!(connection.open().is_ok());
    });
}

#[test]
fn an_early_response_is_read_though_the_request_goes_on() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 10, |(_, mut respond)| async move {
            let mut body = respond.send_response(Response::new(()), false).expect("sent");
            body.send_data("early".into(), true).expect("sent");
        });
        let connection = client(near, ClientSettings::default()).await;
        let mut stream = connection.open().expect("room");
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        send(&mut stream, head.as_bytes()).await.expect("sent");
        send(&mut stream, b"some").await.expect("sent");
        stream.flush();
        assert!(recv_head(&mut stream).await.expect("a head").starts_with("HTTP/1.1 200"));
        assert_eq!(recv_body(&mut stream).await.expect("a body"), b"early");
    });
}

/// A server that answers early asks for no more of the request with a reset, which comes at once.
#[test]
fn a_response_that_is_followed_by_a_reset_is_read() {
    run(async {
        let (near, far) = duplex(65536);
        h2_server(far, 10, |(request, mut respond)| async move {
            let response = Response::builder().status(501).body(()).expect("valid");
            let mut body = respond.send_response(response, false).expect("sent");
            body.send_data("no".into(), true).expect("sent");
            drop(request);
        });
        let connection = client(near, ClientSettings::default()).await;
        let mut stream = connection.open().expect("room");
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        send(&mut stream, head.as_bytes()).await.expect("sent");
        stream.flush();
        // Until the response and the reset are both there.
        poll_fn(|cx| stream.poll_cancelled(cx)).await;
        assert_eq!(recv_head(&mut stream).await.expect("a head"), "HTTP/1.1 501 \r\n\r\n");
        assert_eq!(recv_body(&mut stream).await.expect("a body"), b"no");
    });
}

#[test]
fn a_dropped_stream_is_cancelled_and_a_dropped_connection_ends() {
    run(async {
        let (near, far) = duplex(65536);
        let (told, hear) = tokio::sync::oneshot::channel();
        let told = std::cell::RefCell::new(Some(told));
        h2_server(far, 10, move |(_, mut respond)| {
            let told = told.borrow_mut().take();
            async move {
                let reason = poll_fn(|cx| respond.poll_reset(cx)).await.expect("a reset");
                told.expect("one request").send(reason).expect("heard");
            }
        });
        let (connection, driver) =
            tollgate_http2::connect(near, ClientSettings::default()).await.expect("connected");
        let driver = spawn_local(driver);
        connection.settled().await;
        let mut stream = connection.open().expect("room");
        send(&mut stream, GET.as_bytes()).await.expect("sent");
        stream.flush();
        tokio::task::yield_now().await;
        drop(stream);
        assert_eq!(hear.await.expect("told"), Code::CANCEL);
        drop(connection);
        driver.await.expect("not panicked").expect("an orderly end");
    });
}

#[test]
fn a_request_that_is_none_is_not_sent() {
    run(async {
        let (near, mut far) = duplex(65536);
        far.write_all(&support::frame(4, 0, 0, &[])).await.expect("settings");
        let connection = client(near, ClientSettings::default()).await;
        let mut stream = connection.open().expect("room");
        let error = send(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.expect_err("no host");
        assert!(matches!(StreamFailure::of(&error), Some(StreamFailure::Unsendable(_))));
    });
}
