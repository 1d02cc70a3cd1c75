//! Random exchanges through a client and a server of this crate come out as they went in.

mod support;

use proptest::prelude::*;
use support::{client, finish, recv_body, recv_head, run, send, serve};
use tokio::task::spawn_local;
use tollgate_http2::{ClientSettings, ServerSettings};
use tollgate_streams::MessageStream;

#[derive(Clone, Debug)]
struct Exchange {
    request: Vec<u8>,
    response: Vec<u8>,
    with_length: bool,
    request_trailers: bool,
    response_trailers: bool,
    /// The response is begun before the request has been read.
    early: bool,
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 1..300),
        (1_usize..200_000, any::<u8>()).prop_map(|(len, seed)| {
            (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
        }),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (body(), body(), any::<[bool; 4]>()).prop_map(|(request, response, flags)| Exchange {
        request,
        response,
        with_length: flags[0],
        request_trailers: flags[1],
        response_trailers: flags[2],
        early: flags[3],
    })
}

const TRAILERS: &[u8] = b"x-sum: 1\r\n";

fn trailers(with: bool) -> &'static [u8] {
    if with { TRAILERS } else { b"" }
}

fn framing(with_length: bool, body: &[u8]) -> String {
    if with_length { format!("content-length: {}\r\n", body.len()) } else { String::new() }
}

async fn answer(mut stream: impl MessageStream, exchanges: Vec<Exchange>) {
    let head = recv_head(&mut stream).await.expect("a head");
    let index = head["POST /".len()..head.find(" HTTP").expect("a request line")].parse::<usize>();
    let exchange = &exchanges[index.expect("a number")];
    let has_body = !exchange.request.is_empty() || exchange.request_trailers;
    assert_eq!(head.contains("transfer-encoding: chunked"), has_body && !exchange.with_length, "{head}");
    let response = format!("HTTP/1.1 200 OK\r\n{}\r\n", framing(exchange.with_length, &exchange.response));
    if exchange.early {
        send(&mut stream, response.as_bytes()).await.expect("sent");
        stream.flush();
    }
    assert!(recv_body(&mut stream).await.expect("a body") == exchange.request);
    assert_eq!(stream.take_trailers(), trailers(exchange.request_trailers));
    if !exchange.early {
        send(&mut stream, response.as_bytes()).await.expect("sent");
    }
    send(&mut stream, &exchange.response).await.expect("sent");
    finish(&mut stream, trailers(exchange.response_trailers)).await.expect("finished");
}

async fn ask(mut stream: impl MessageStream, index: usize, exchange: Exchange) {
    let framing_line = framing(exchange.with_length, &exchange.request);
    let head = format!("POST /{index} HTTP/1.1\r\nHost: a.example\r\n{framing_line}\r\n");
    send(&mut stream, head.as_bytes()).await.expect("sent");
    send(&mut stream, &exchange.request).await.expect("sent");
    finish(&mut stream, trailers(exchange.request_trailers)).await.expect("finished");
    let head = recv_head(&mut stream).await.expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 \r\n"), "{head}");
    assert!(recv_body(&mut stream).await.expect("a body") == exchange.response);
    assert_eq!(stream.take_trailers(), trailers(exchange.response_trailers));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn exchanges_come_out_as_they_went_in(
        exchanges in proptest::collection::vec(exchange(), 1..12),
        window in prop_oneof![Just(1_u32), 10_u32..2000, Just(65_535)],
        pipe in prop_oneof![Just(100_usize), Just(4096), Just(1 << 20)],
    ) {
        // A window of a few bytes is enough to try with short bodies.
        let window = if exchanges.iter().any(|e| e.request.len() + e.response.len() > 1000) { window.max(1000) } else { window };
        run(async move {
            let (near, far) = tokio::io::duplex(pipe);
            let mut server = ServerSettings { initial_stream_window: window, ..ServerSettings::default() };
            server.guards.idle_frames.burst = 1_000_000;
            let given = exchanges.clone();
            let served = serve(far, server, move |stream| answer(stream, given.clone()));
            let settings = ClientSettings { initial_stream_window: window, ..ClientSettings::default() };
            let connection = client(near, settings).await;
            let mut asked = Vec::new();
            for (index, exchange) in exchanges.into_iter().enumerate() {
                let stream = connection.open().expect("room");
                asked.push(spawn_local(ask(stream, index, exchange)));
            }
            for task in asked {
                task.await.expect("an exchange as it went in");
            }
            assert_eq!(connection.open_streams(), 0);
            drop(connection);
            assert_eq!(served.await.expect("served"), None);
        });
    }
}
