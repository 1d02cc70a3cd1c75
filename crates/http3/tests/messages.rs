//! Messages both ways: bodies, trailers, lengths, cancellation, flow control.

mod client;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use client::{body, echo, finish, get, head, post, reason, response, run, send, serve, server, until};
use tollgate_decision::Reason;
use tollgate_http3::{ServerStream, Settings};
use tollgate_streams::MessageStream;

#[test]
fn many_streams_carry_bodies_and_trailers_both_ways() {
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), echo);
        let (requests, _quic) = server.http().await;
        let mut tasks = Vec::new();
        for n in 0..150_usize {
            let mut requests = requests.clone();
            tasks.push(tokio::task::spawn_local(async move {
                let sent: Vec<u8> = (0..n * n * 20).map(|at| (at * 31 + n) as u8).collect();
                let mut stream =
                    requests.send_request(post((n % 2 == 0).then_some(sent.len()))).await.unwrap();
                for part in sent.chunks(1 + n * 97) {
                    stream.send_data(Bytes::copy_from_slice(part)).await.unwrap();
                }
                if n % 3 == 0 {
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("x-check", n.into());
                    stream.send_trailers(trailers).await.unwrap();
                }
                stream.finish().await.unwrap();
                let (status, got, trailers) = response(&mut stream).await.unwrap();
                assert_eq!((status, got == sent), (200, true), "stream {n}");
                let wanted = (n % 3 == 0).then(|| n.to_string());
                assert_eq!(trailers.get("x-check").map(|value| value.to_str().unwrap().to_owned()), wanted);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

thread_local! {
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn tell(what: impl Into<String>) {
    TOLD.with_borrow_mut(|told| told.push(what.into()));
}

async fn told(n: usize) -> Vec<String> {
    until(|| TOLD.with_borrow(|told| told.len() >= n)).await;
    TOLD.with_borrow(Clone::clone)
}

/// Takes a request and tells its head, and how its body went; answers 204 behind an interim response.
async fn inspect(mut stream: ServerStream) {
    match head(&mut stream).await {
        Ok(text) => tell(text),
        Err(error) => return tell(format!("head: {}", reason(&error).code())),
    }
    match body(&mut stream).await {
        Ok(body) => tell(format!("{} bytes", body.len())),
        Err(error) => return tell(format!("body: {}", reason(&error).code())),
    }
    let _ = send(&mut stream, b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n").await;
    let _ = send(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let _ = finish(&mut stream, b"").await;
}

#[test]
fn a_head_is_the_text_that_http1_would_have() {
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), inspect);
        let (mut requests, quic) = server.http().await;
        // In one packet with its end, as clients send a request without a body.
        let (mut send, mut recv) = quic.open_bi().await.unwrap();
        send.write_all(&client::frame(1, &client::section(false, None))).await.unwrap();
        send.finish().unwrap();
        assert_eq!(told(2).await, ["GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "0 bytes"]);
        let answer = recv.read_to_end(1000).await.unwrap();
        assert_eq!(answer[0], 1, "interim and final head are frames: {answer:?}");

        let mut stream = requests.send_request(post(Some(3))).await.unwrap();
        stream.send_data(Bytes::from_static(b"abc")).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 103);
        assert_eq!(stream.recv_response().await.unwrap().status(), 204);
        let heads = told(4).await;
        assert!(heads[2].starts_with("POST /echo?x=1 HTTP/1.1\r\n"), "{}", heads[2]);
        assert!(heads[2].contains("content-length: 3\r\n") && !heads[2].contains("chunked"), "{}", heads[2]);

        let mut stream = requests.send_request(post(None)).await.unwrap();
        stream.send_data(Bytes::from_static(b"abc")).await.unwrap();
        stream.finish().await.unwrap();
        assert!(told(6).await[4].to_ascii_lowercase().contains("transfer-encoding: chunked\r\n"));
    });
}

#[test]
fn a_body_that_is_not_as_long_as_told_is_an_error() {
    type Case = (&'static str, Option<&'static str>, &'static [&'static [u8]], &'static str);
    let cases: [Case; 6] = [
        ("none of it", Some("5"), &[], "bad_content_length"),
        ("too short", Some("5"), &[b"abcd"], "bad_content_length"),
        ("too long", Some("5"), &[b"abc", b"def"], "bad_content_length"),
        ("some of none", Some("0"), &[b"a"], "bad_content_length"),
        ("not a number", Some("five"), &[b"abcde"], "bad_content_length"),
        ("right", Some("5"), &[b"ab", b"", b"cde"], "5 bytes"),
    ];
    run(async move {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), inspect);
        for (name, length, parts, outcome) in cases {
            TOLD.with_borrow_mut(Vec::clear);
            let quic = server.quic().await;
            let (mut send, mut recv) = quic.open_bi().await.unwrap();
            let mut wire = client::frame(1, &client::section(true, length));
            for part in parts {
                wire.extend_from_slice(&client::frame(0, part));
            }
            send.write_all(&wire).await.unwrap();
            send.finish().unwrap();
            until(|| TOLD.with_borrow(|told| told.last().is_some_and(|last| !last.starts_with("POST"))))
                .await;
            TOLD.with_borrow(|told| assert!(told.last().unwrap().ends_with(outcome), "{name}: {told:?}"));
            let answer = recv.read_to_end(1000).await;
            const H3_MESSAGE_ERROR: u32 = 0x10e;
            match answer {
                Ok(_) => assert_eq!(name, "right"),
                Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
                    assert_eq!(code, quinn::VarInt::from_u32(H3_MESSAGE_ERROR), "{name}");
                }
                Err(error) => panic!("{name}: {error}"),
            }
            assert_eq!(quic.close_reason(), None, "{name}: the connection goes on");
        }
    });
}

#[test]
fn a_client_that_cancels_is_heard_whatever_is_waited_for() {
    async fn wait(mut stream: ServerStream) {
        let text = head(&mut stream).await.unwrap();
        tell("head");
        if text.contains("echo") {
            let error = body(&mut stream).await.unwrap_err();
            return tell(reason(&error).code());
        }
        poll_fn(|cx| stream.poll_cancelled(cx)).await;
        poll_fn(|cx| stream.poll_cancelled(cx)).await;
        tell("cancelled");
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let error = send(&mut stream, &[0; 200_000]).await.unwrap_err();
        tell(reason(&error).code());
    }
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), wait);
        let (mut requests, quic) = server.http().await;
        let mut stream = requests.send_request(post(None)).await.unwrap();
        stream.send_data(Bytes::from_static(b"abc")).await.unwrap();
        told(1).await;
        stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
        assert_eq!(told(2).await[1], "client_reset");
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.finish().await.unwrap();
        told(3).await;
        stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
        assert_eq!(told(5).await[3..], ["cancelled", "client_reset"]);
        // A lost connection cancels, too.
        TOLD.with_borrow_mut(Vec::clear);
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.finish().await.unwrap();
        told(1).await;
        quic.close(0_u32.into(), b"");
        assert_eq!(told(2).await[1], "cancelled");
    });
}

#[test]
fn a_response_that_is_cut_is_never_taken_for_whole() {
    async fn cut(mut stream: ServerStream) {
        let text = head(&mut stream).await.unwrap();
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nsome of it").await.unwrap();
        if text.starts_with("POST") {
            stream.reset();
        }
        // Dropped without an end.
    }
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), cut);
        let (mut requests, _quic) = server.http().await;
        for request in [get(), post(None)] {
            let mut stream = requests.send_request(request).await.unwrap();
            stream.finish().await.unwrap();
            let outcome = response(&mut stream).await;
            assert!(outcome.is_err(), "{outcome:?}");
        }
    });
}

#[test]
fn a_slow_reader_stalls_neither_memory_nor_others() {
    thread_local! {
        static TAKEN: Rc<RefCell<usize>> = Rc::default();
    }
    /// Sends without end to one, and answers the others.
    async fn pour(mut stream: ServerStream) {
        if head(&mut stream).await.unwrap().starts_with("GET") {
            send(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            return finish(&mut stream, b"").await.unwrap();
        }
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        for _ in 0..400 {
            send(&mut stream, &[7; 10_000]).await.unwrap();
            TAKEN.with(|taken| *taken.borrow_mut() += 10_000);
        }
        finish(&mut stream, b"x-end: yes\r\n").await.unwrap();
    }
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), pour);
        let mut config = server.identity.client(b"h3");
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(100_000_u32.into());
        config.transport_config(transport.into());
        let endpoint = client::client_endpoint();
        let quic = endpoint.connect_with(config, server.address, "localhost").unwrap().await.unwrap();
        let mut requests = client::http(&quic).await;
        let mut slow = requests.send_request(post(None)).await.unwrap();
        slow.finish().await.unwrap();
        assert_eq!(slow.recv_response().await.unwrap().status(), 200);
        for _ in 0..50 {
            let mut other = requests.send_request(get()).await.unwrap();
            other.finish().await.unwrap();
            assert_eq!(response(&mut other).await.unwrap().0, 204);
        }
        let held = TAKEN.with(|taken| *taken.borrow());
        assert!(held <= 100_000 + 80_000, "{held} bytes were taken for a client that reads none");
        let mut got = 0;
        while let Some(part) = slow.recv_data().await.unwrap() {
            got += bytes::Buf::remaining(&part);
        }
        assert_eq!(got, 4_000_000);
        assert_eq!(slow.recv_trailers().await.unwrap().unwrap()["x-end"], "yes");
    });
}

#[test]
fn a_body_that_nobody_takes_stays_with_the_client() {
    async fn stall(mut stream: ServerStream) {
        head(&mut stream).await.unwrap();
        tell("head");
        poll_fn(|cx| stream.poll_cancelled(cx)).await;
    }
    run(async {
        let settings = Settings { stream_window: 50_000, ..Settings::default() };
        let server = server(settings);
        serve(server.endpoint.clone(), stall);
        let quic = server.quic().await;
        let (mut send, _recv) = quic.open_bi().await.unwrap();
        send.write_all(&client::frame(1, &client::section(true, None))).await.unwrap();
        told(1).await;
        let mut sent = 0;
        let body = client::frame(0, &[1; 10_000]);
        // Each write takes what the window has room for; the first that waits for more shows it full.
        while let Ok(written) =
            tokio::time::timeout(std::time::Duration::from_millis(300), send.write(&body)).await
        {
            sent += written.unwrap();
            assert!(sent <= 120_000, "{sent} bytes of a body that nobody takes were sent");
        }
        assert!(sent >= 49_000, "only {sent} bytes were sent");
    });
}

#[test]
fn what_is_held_for_want_of_a_window_goes_when_there_is_one() {
    async fn trickle(mut stream: ServerStream) {
        head(&mut stream).await.unwrap();
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        send(&mut stream, &[7; 60_000]).await.unwrap();
        // Nothing more to send: only a wait for the client, as for an endpoint that is silent.
        poll_fn(|cx| stream.poll_cancelled(cx)).await;
    }
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), trickle);
        let mut config = server.identity.client(b"h3");
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(5_000_u32.into());
        config.transport_config(transport.into());
        let endpoint = client::client_endpoint();
        let quic = endpoint.connect_with(config, server.address, "localhost").unwrap().await.unwrap();
        let mut requests = client::http(&quic).await;
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.recv_response().await.unwrap();
        let mut got = 0;
        while got < 60_000 {
            got += bytes::Buf::remaining(&stream.recv_data().await.unwrap().unwrap());
        }
    });
}

#[test]
fn requests_that_are_too_large_are_answered() {
    run(async {
        let server = server(Settings { max_head: 2000, ..Settings::default() });
        let endings = serve(server.endpoint.clone(), inspect);
        let quic = server.quic().await;
        // Within the limit when compressed, beyond it by what fields cost.
        let mut many = client::section(false, None);
        many.extend([0xdd; 300]);
        // Beyond it at once; most of it never comes.
        let mut long = vec![1, 0x80, 0x10, 0, 0];
        long.extend_from_slice(&[0; 100]);
        for (n, wire) in [client::frame(1, &many), long].into_iter().enumerate() {
            let (mut send, mut recv) = quic.open_bi().await.unwrap();
            send.write_all(&wire).await.unwrap();
            assert_eq!(told(n + 1).await[n], "head: head_too_large");
            let answer = recv.read_to_end(1000).await.unwrap();
            // A literal :status with a name of the static table, or an indexed one.
            assert!(answer[0] == 1 && answer.len() > 5, "{answer:?}");
        }
        assert!(endings.borrow().is_empty());
        assert_eq!(quic.close_reason(), None);
    });
}

#[test]
fn what_http3_forbids_ends_its_stream_only() {
    let upper = [&client::section(false, None)[..], &[0x23, b'F', b'o', b'o', 1, b'x']].concat();
    let connection = [&client::section(false, None)[..], &[0x27, 3], b"connection", &[5], b"close"].concat();
    let line_end =
        [&client::section(false, None)[..], &[0x23, b'f', b'o', b'o', 3, b'a', b'\n', b'b']].concat();
    let cases = [
        ("an upper-case name", upper),
        ("a field of the connection", connection),
        ("a line end", line_end),
        ("no fields", vec![0, 0]),
    ];
    run(async move {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), inspect);
        let quic = server.quic().await;
        for (n, (name, section)) in cases.into_iter().enumerate() {
            let (mut send, mut recv) = quic.open_bi().await.unwrap();
            send.write_all(&client::frame(1, &section)).await.unwrap();
            send.finish().unwrap();
            assert!(told(n + 1).await[n].starts_with("head: bad_"), "{name}: {:?}", told(n + 1).await);
            assert!(recv.read_to_end(1000).await.is_err(), "{name}");
        }
        assert_eq!(quic.close_reason(), None);
        assert_eq!(Reason::from_code("bad_field_value"), Some(Reason::BadFieldValue));
    });
}
