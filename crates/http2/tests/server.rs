//! The server's side against h2's client and raw frames.

mod support;

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::Reason as Code;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use support::{block, finish, frame, frames, preface, recv, recv_body, recv_head, run, send, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tollgate_http2::{PREFACE, Rate, Server, ServerSettings, ServerStream};
use tollgate_streams::{MessageStream, StreamFailure};

/// An h2 client whose streams have this window.
async fn h2_client(io: DuplexStream, window: u32) -> SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window);
    let (requests, connection) = builder.handshake(io).await.expect("connected");
    spawn_local(connection);
    requests
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a.example{path}")).body(()).expect("valid")
}

async fn read_all(response: Response<h2::RecvStream>) -> (Vec<u8>, Option<HeaderMap>) {
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("data");
        body.flow_control().release_capacity(chunk.len()).expect("received");
        all.extend(chunk);
    }
    (all, body.trailers().await.expect("an end"))
}

async fn respond(mut stream: ServerStream, text: &str, trailers: &str) {
    recv_head(&mut stream).await.expect("a head");
    recv_body(&mut stream).await.expect("a body");
    send(&mut stream, text.as_bytes()).await.expect("sent");
    finish(&mut stream, trailers.as_bytes()).await.expect("finished");
}

#[test]
fn head_body_and_end_leave_in_as_few_frames_as_there_can_be() {
    run(async {
        let (near, far) = duplex(65536);
        let served = serve(far, ServerSettings::default(), |stream| {
            respond(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", "")
        });
        let (mut read, mut write) = tokio::io::split(near);
        write.write_all(&[preface(), frame(1, 5, 1, &block(&[]))].concat()).await.expect("written");
        let mut got = Vec::new();
        while !got.ends_with(b"hi") {
            let mut buf = [0; 1000];
            let n = read.read(&mut buf).await.expect("read");
            got.extend(&buf[..n]);
        }
        let answer: Vec<_> = frames(&got).into_iter().filter(|(.., stream, _)| *stream == 1).collect();
        let kinds: Vec<_> = answer.iter().map(|(kind, flags, ..)| (*kind, *flags)).collect();
        assert_eq!(kinds, [(1, 4), (0, 1)]);
        drop((read, write));
        assert_eq!(served.await.expect("served"), None);
    });
}

#[test]
fn bytes_that_were_read_already_come_first() {
    for split in 0..=30 {
        run(async move {
            let (mut near, far) = duplex(65536);
            let all = [preface(), frame(1, 5, 1, &block(&[]))].concat();
            assert!(all.starts_with(PREFACE));
            let already = Bytes::copy_from_slice(&all[..split]);
            near.write_all(&all[split..]).await.expect("written");
            let server = Server::handshake(far, ServerSettings::default(), already, Rc::new(|| 0)).await;
            let mut server = server.map_err(|e| e.detail).expect("an HTTP/2 client");
            let accepted = poll_fn(|cx| server.poll_accept(cx)).await;
            let mut stream = accepted.expect("a stream").map_err(|e| e.detail).expect("a stream");
            assert_eq!(server.open_streams(), 1);
            let head = recv_head(&mut stream).await.expect("a head");
            assert_eq!(head, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(recv(&mut stream, 10).await.expect("the end"), b"");
            drop(stream);
            assert_eq!(server.open_streams(), 0);
        });
    }
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_no_offence() {
    run(async {
        let (near, far) = duplex(1);
        let (mut read, mut write) = tokio::io::split(near);
        let mut settings = ServerSettings::default();
        settings.guards.rejected_streams = Rate { burst: 0, per_second: 0 };
        let served = serve(far, settings, |stream| respond(stream, "HTTP/1.1 200 OK\r\n\r\nok", ""));
        let continued = [frame(1, 1, 1, &block(&[])), frame(9, 0, 1, b""), frame(9, 4, 1, b"")].concat();
        let bytes = [preface(), continued, frame(1, 5, 3, &block(&[]))].concat();
        let mut got = Vec::new();
        let mut sent = 0;
        while frames(&got).iter().filter(|(kind, flags, ..)| (*kind, *flags) == (0, 1)).count() < 2 {
            let mut buf = [0; 1];
            tokio::select! {
                written = write.write(&bytes[sent..]), if sent < bytes.len() => sent += written.expect("written"),
                read = read.read(&mut buf) => got.extend(&buf[..read.expect("read")]),
            }
        }
        drop((read, write));
        assert_eq!(served.await.expect("served"), None);
    });
}

#[test]
fn trailers_only_and_interim_responses() {
    run(async {
        let (near, far) = duplex(65536);
        serve(far, ServerSettings::default(), |mut stream| async move {
            let head = recv_head(&mut stream).await.expect("a head");
            if head.starts_with("GET /hints") {
                send(&mut stream, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.expect("sent");
            }
            send(&mut stream, b"HTTP/1.1 200 OK\r\nGrpc-Status: 5\r\n\r\n").await.expect("sent");
            finish(&mut stream, b"").await.expect("finished");
        });
        let mut client = h2_client(near, 65535).await;
        let (response, _) = client.send_request(get("/"), true).expect("sent");
        let response = response.await.expect("a response");
        assert!(response.body().is_end_stream());
        assert_eq!(response.headers()["grpc-status"], "5");
        let (mut response, _) = client.send_request(get("/hints"), true).expect("sent");
        let interim = poll_fn(|cx| response.poll_informational(cx)).await.expect("one").expect("valid");
        assert_eq!(interim.status(), 103);
        assert_eq!(response.await.expect("a response").status(), 200);
    });
}

#[test]
fn trailers_pass_both_ways() {
    run(async {
        let (near, far) = duplex(65536);
        serve(far, ServerSettings::default(), |mut stream| async move {
            recv_head(&mut stream).await.expect("a head");
            assert_eq!(recv_body(&mut stream).await.expect("a body"), b"ping");
            assert_eq!(stream.take_trailers(), b"x-up: 1\r\n");
            send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\npong").await.expect("sent");
            finish(&mut stream, b"x-down: 2\r\n").await.expect("finished");
        });
        let mut client = h2_client(near, 65535).await;
        let (response, mut body) = client.send_request(get("/"), false).expect("sent");
        body.send_data("ping".into(), false).expect("sent");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-up", "1".parse().expect("valid"));
        trailers.insert("content-length", "9".parse().expect("valid"));
        body.send_trailers(trailers).expect("sent");
        let (body, trailers) = read_all(response.await.expect("a response")).await;
        assert_eq!(body, b"pong");
        assert_eq!(trailers.expect("trailers")["x-down"], "2");
    });
}

#[test]
fn an_early_response_ends_the_request_without_an_error() {
    run(async {
        let (near, far) = duplex(65536);
        serve(far, ServerSettings::default(), |mut stream| async move {
            recv_head(&mut stream).await.expect("a head");
            send(&mut stream, b"HTTP/1.1 413 Too Large\r\n\r\nno").await.expect("sent");
            finish(&mut stream, b"").await.expect("finished");
        });
        let mut client = h2_client(near, 65535).await;
        let (response, mut body) = client.send_request(get("/"), false).expect("sent");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 413);
        assert_eq!(read_all(response).await.0, b"no");
        assert_eq!(poll_fn(|cx| body.poll_reset(cx)).await.expect("a reset"), Code::NO_ERROR);
    });
}

#[test]
fn resets_pass_both_ways() {
    run(async {
        let (near, far) = duplex(65536);
        let (told, hear) = oneshot::channel();
        let told = Rc::new(std::cell::RefCell::new(Some(told)));
        serve(far, ServerSettings::default(), move |mut stream| {
            let told = Rc::clone(&told);
            async move {
                let head = recv_head(&mut stream).await.expect("a head");
                if head.starts_with("GET /reset") {
                    send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nhalf").await.expect("sent");
                    stream.flush();
                    tokio::task::yield_now().await;
                    stream.reset();
                } else if head.starts_with("GET /cancelled") {
                    poll_fn(|cx| stream.poll_cancelled(cx)).await;
                    let error = recv(&mut stream, 10).await.expect_err("a reset");
                    assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Reset(8)));
                    told.borrow_mut().take().expect("once").send(()).expect("heard");
                }
            }
        });
        let mut client = h2_client(near, 65535).await;
        let (response, _) = client.send_request(get("/reset"), true).expect("sent");
        let code = match response.await {
            Ok(response) => {
                let mut body = response.into_body();
                loop {
                    match body.data().await {
                        Some(Ok(_)) => {}
                        Some(Err(error)) => break error.reason(),
                        None => panic!("half a body was presented as the whole"),
                    }
                }
            }
            Err(error) => error.reason(),
        };
        assert_eq!(code, Some(Code::INTERNAL_ERROR));
        let (response, _) = client.send_request(get("/dropped"), true).expect("sent");
        assert_eq!(response.await.expect_err("a reset").reason(), Some(Code::CANCEL));
        let (_response, mut body) = client.send_request(get("/cancelled"), false).expect("sent");
        tokio::task::yield_now().await;
        body.send_reset(Code::CANCEL);
        hear.await.expect("the cancellation arrived");
    });
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_an_error() {
    run(async {
        let (near, far) = duplex(65536);
        let (told, hear) = oneshot::channel();
        let told = Rc::new(std::cell::RefCell::new(Some(told)));
        serve(far, ServerSettings::default(), move |mut stream| {
            let told = Rc::clone(&told);
            async move {
                recv_head(&mut stream).await.expect("a head");
                let error = recv_body(&mut stream).await.expect_err("a short body");
                told.borrow_mut().take().expect("once").send(StreamFailure::of(&error)).expect("heard");
            }
        });
        let (_read, mut write) = tokio::io::split(near);
        let head = frame(1, 4, 1, &block(&[("content-length", "5")]));
        write.write_all(&[preface(), head].concat()).await.expect("written");
        tokio::task::yield_now().await;
        write.write_all(&frame(0, 1, 1, b"1234")).await.expect("written");
        assert!(matches!(hear.await.expect("told"), Some(StreamFailure::Malformed(_))));
    });
}

#[test]
fn a_drain_serves_what_is_open_and_then_ends() {
    run(async {
        let (near, far) = duplex(65536);
        let handshake = Server::handshake(far, ServerSettings::default(), Bytes::new(), Rc::new(|| 0));
        let client = spawn_local(h2_client(near, 65535));
        let mut server = handshake.await.map_err(|e| e.detail).expect("an HTTP/2 client");
        let mut client = client.await.expect("connected");
        let (response, _) = client.send_request(get("/"), true).expect("sent");
        let accepted = poll_fn(|cx| server.poll_accept(cx)).await.expect("one");
        let mut stream = accepted.map_err(|e| e.detail).expect("one");
        server.graceful_shutdown();
        let ended = spawn_local(async move {
            let outcome = poll_fn(|cx| server.poll_accept(cx)).await;
            outcome.map(|other| other.map(|_| ()))
        });
        // The client hears of it and opens no more.
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        recv_head(&mut stream).await.expect("a head");
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nlast").await.expect("sent");
        finish(&mut stream, b"").await.expect("finished");
        drop(stream);
        assert_eq!(read_all(response.await.expect("a response")).await.0, b"last");
        assert_eq!(ended.await.expect("drained"), None);
    });
}

#[test]
fn one_slow_reader_stalls_neither_the_others_nor_memory() {
    run(async {
        let (near, far) = duplex(65536);
        let accepted = Rc::new(std::cell::Cell::new(0_usize));
        let counted = Rc::clone(&accepted);
        let settings = ServerSettings { max_send_buffer: 16 * 1024, ..ServerSettings::default() };
        serve(far, settings, move |mut stream| {
            let accepted = Rc::clone(&counted);
            async move {
                let head = recv_head(&mut stream).await.expect("a head");
                if head.starts_with("GET /slow") {
                    send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.expect("sent");
                    loop {
                        let sent = poll_fn(|cx| stream.poll_send(cx, &[1; 4096])).await;
                        accepted.set(accepted.get() + sent.expect("sent"));
                    }
                }
                send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.expect("sent");
                send(&mut stream, &[2; 50_000]).await.expect("sent");
                finish(&mut stream, b"").await.expect("finished");
            }
        });
        let mut client = h2_client(near, 20_000).await;
        let (slow, _) = client.send_request(get("/slow"), true).expect("sent");
        let slow = slow.await.expect("a response");
        for _ in 0..50 {
            client = client.ready().await.expect("usable");
            let (response, _) = client.send_request(get("/fast"), true).expect("sent");
            assert_eq!(read_all(response.await.expect("a response")).await.0.len(), 50_000);
        }
        // The window, and what is held back for it.
        assert!(accepted.get() <= 20_000 + 2 * 16 * 1024, "{}", accepted.get());
        drop(slow);
    });
}

#[test]
fn a_websocket_comes_by_extended_connect() {
    run(async {
        let (near, far) = duplex(65536);
        serve(far, ServerSettings::default(), |mut stream| async move {
            assert!(stream.is_tunnel());
            let head = recv_head(&mut stream).await.expect("a head");
            assert!(head.starts_with("GET /chat HTTP/1.1\r\nhost: a.example\r\n"), "{head}");
            assert!(head.contains("upgrade: websocket\r\nsec-websocket-key: "), "{head}");
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: x\r\n\r\n";
            send(&mut stream, answer).await.expect("sent");
            stream.flush();
            loop {
                let bytes = recv(&mut stream, 100).await.expect("bytes");
                if bytes.is_empty() {
                    break;
                }
                send(&mut stream, &bytes).await.expect("sent");
                stream.flush();
            }
            send(&mut stream, b"bye").await.expect("sent");
            finish(&mut stream, b"").await.expect("finished");
        });
        let mut client = h2_client(near, 65535).await;
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = Request::connect("https://a.example/chat").body(()).expect("valid");
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut up) = client.send_request(request, false).expect("sent");
        let response = response.await.expect("accepted");
        assert_eq!(response.status(), 200);
        assert!(response.headers().is_empty());
        let mut down = response.into_body();
        up.send_data("frame".into(), false).expect("sent");
        assert_eq!(down.data().await.expect("bytes").expect("bytes"), "frame");
        up.send_data(Bytes::new(), true).expect("half closed");
        assert_eq!(down.data().await.expect("bytes").expect("bytes"), "bye");
        assert!(down.data().await.is_none());
    });
}

#[test]
fn requests_that_cannot_be_said_in_text_are_answered() {
    run(async {
        let (near, far) = duplex(65536);
        serve(far, ServerSettings::default(), |stream| respond(stream, "HTTP/1.1 200 OK\r\n\r\n", ""));
        let mut client = h2_client(near, 65535).await;
        let mut many = get("/");
        for _ in 0..101 {
            many.headers_mut().append("x", "y".parse().expect("valid"));
        }
        let (response, _) = client.send_request(many, true).expect("sent");
        assert_eq!(response.await.expect("a response").status(), 431);
        let mut differs = get("/");
        differs.headers_mut().insert("host", "b.example".parse().expect("valid"));
        let (response, _) = client.send_request(differs, true).expect("sent");
        assert_eq!(response.await.expect_err("a reset").reason(), Some(Code::PROTOCOL_ERROR));
        let (response, _) = client.send_request(get("/"), true).expect("sent");
        assert_eq!(response.await.expect("a response").status(), 200);
    });
}

/// A transport that counts writes, for what leaves together.
struct Counting {
    io: DuplexStream,
    writes: Rc<std::cell::Cell<usize>>,
}

impl tokio::io::AsyncRead for Counting {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Counting {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        std::pin::Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[test]
fn responses_of_one_turn_leave_in_one_write() {
    run(async {
        let (near, far) = duplex(1 << 20);
        let writes = Rc::new(std::cell::Cell::new(0));
        let io = Counting { io: far, writes: Rc::clone(&writes) };
        let text: &'static str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        let body = "x".repeat(1000);
        let text: &'static str = Box::leak(format!("{text}{body}").into_boxed_str());
        serve(io, ServerSettings::default(), move |stream| respond(stream, text, ""));
        let (mut read, mut write) = tokio::io::split(near);
        write.write_all(&preface()).await.expect("written");
        let mut got = vec![0; 4096];
        let _ = read.read(&mut got).await.expect("settings");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        writes.set(0);
        let requests: Vec<u8> = (0..32).flat_map(|i| frame(1, 5, 2 * i + 1, &block(&[]))).collect();
        write.write_all(&requests).await.expect("written");
        let mut all = Vec::new();
        while frames(&all).iter().filter(|(kind, flags, ..)| (*kind, *flags) == (0, 1)).count() < 32
            || all.len() < 32 * 1009
        {
            let n = read.read(&mut got).await.expect("read");
            all.extend(&got[..n]);
        }
        // The heads are let through by sixteens.
        assert!(writes.get() <= 4, "{}", writes.get());
    });
}
