//! Each flood, frame by frame: the connection ends with the right reason and GOAWAY, before it costs much.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use support::{block, finish, frame, frames, preface, recv_body, recv_head, run, send, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tollgate_decision::Reason;
use tollgate_http2::{Ended, ServerSettings, ServerStream};

const ENHANCE_YOUR_CALM: u32 = 0xb;
const PROTOCOL_ERROR: u32 = 0x1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What came of a flood.
struct Seen {
    ended: Option<Ended>,
    /// The error code of the last GOAWAY.
    code: Option<u32>,
    requests: usize,
}

/// Writes `flood(i)` for i from 0 on until the server has had enough, and reads all it says.
async fn attack(start: Vec<u8>, limit: u32, flood: impl Fn(u32) -> Vec<u8>) -> Seen {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let requests = Rc::new(Cell::new(0));
    let counted = Rc::clone(&requests);
    let served = serve(far, ServerSettings::default(), move |mut stream: ServerStream| {
        counted.set(counted.get() + 1);
        async move {
            // An endpoint that takes its time: answers when the request is whole.
            if recv_head(&mut stream).await.is_ok() && recv_body(&mut stream).await.is_ok() {
                tokio::task::yield_now().await;
                std::future::poll_fn(|cx| tollgate_streams::MessageStream::poll_cancelled(&mut stream, cx))
                    .await;
            }
        }
    });
    let (mut read, mut write) = tokio::io::split(near);
    let reading = tokio::task::spawn_local(async move {
        let mut all = Vec::new();
        let _ = read.read_to_end(&mut all).await;
        all
    });
    let _ = write.write_all(&[preface(), start].concat()).await;
    for i in 0..limit {
        if write.write_all(&flood(i)).await.is_err() || served.is_finished() || reading.is_finished() {
            break;
        }
        // Now and then the other side runs, as it does over a network.
        if i % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let _ = write.shutdown().await;
    drop(write);
    let all = reading.await.expect("read");
    let ended = served.await.expect("served");
    let goaway = frames(&all).into_iter().rfind(|(kind, ..)| *kind == 7);
    let code =
        goaway.map(|(.., payload)| u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
    Seen { ended, code, requests: requests.get() }
}

fn check(seen: &Seen, reason: Reason, code: u32) {
    assert_eq!(seen.ended.as_ref().map(|e| e.reason), Some(reason), "{:?}", seen.ended);
    assert_eq!(seen.code, Some(code), "{:?}", seen.ended);
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags, stream, block)
}

#[test]
fn frames_that_carry_nothing() {
    let open = headers(1, END_HEADERS, &block(&[]));
    for (name, bytes) in [
        ("ping", frame(6, 0, 0, &[0; 8])),
        ("ping answers", frame(6, 1, 0, &[0; 8])),
        ("settings", frame(4, 0, 0, &[])),
        ("large settings", frame(4, 0, 0, &[0, 4, 0, 0, 1, 0].repeat(1000))),
        ("priority", frame(2, 0, 1, &[0, 0, 0, 0, 1])),
        ("window updates", frame(8, 0, 1, &[0, 0, 0, 1])),
        ("unknown", frame(0xbe, 0, 1, &[1; 10])),
        ("empty data", frame(0, 0, 1, &[])),
        ("padded empty data", frame(0, 8, 1, &[3, 0, 0, 0])),
    ] {
        let seen = run(attack(open.clone(), 100_000, |_| bytes.clone()));
        check(&seen, Reason::FrameFlood, ENHANCE_YOUR_CALM);
        assert!(seen.requests <= 1, "{name}");
    }
}

#[test]
fn rapid_resets() {
    let pair = |i: u32| {
        let stream = 2 * i + 1;
        [headers(stream, END_HEADERS | END_STREAM, &block(&[])), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let seen = run(attack(Vec::new(), 10_000, pair));
    check(&seen, Reason::RapidReset, ENHANCE_YOUR_CALM);
    assert!(seen.requests <= 16, "{}", seen.requests);
    // All at once, in one write.
    let seen = run(attack((0..1000).flat_map(pair).collect(), 0, |_| Vec::new()));
    check(&seen, Reason::RapidReset, ENHANCE_YOUR_CALM);
    assert!(seen.requests <= 16, "{}", seen.requests);
}

#[test]
fn resets_that_the_client_provokes() {
    for provoke in [
        // A window update of nothing, a window that overflows, and more data than was announced.
        |stream| frame(8, 0, stream, &[0; 4]),
        |stream| frame(8, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
    ] {
        let seen = run(attack(Vec::new(), 10_000, |i| {
            let stream = 2 * i + 1;
            [headers(stream, END_HEADERS, &block(&[])), provoke(stream)].concat()
        }));
        assert!(seen.requests <= 16, "{}", seen.requests);
        assert!(seen.code.is_some_and(|code| code != 0), "{:?}", seen.ended);
        assert!(matches!(
            seen.ended.map(|e| e.reason),
            Some(Reason::ProvokedReset | Reason::ProtocolViolation | Reason::FrameFlood)
        ));
    }
    let seen = run(attack(Vec::new(), 10_000, |i| {
        let stream = 2 * i + 1;
        let head = headers(stream, END_HEADERS, &block(&[("content-length", "1")]));
        [head, frame(0, END_STREAM, stream, b"too long")].concat()
    }));
    check(&seen, Reason::ProvokedReset, ENHANCE_YOUR_CALM);
    assert!(seen.requests <= 16, "{}", seen.requests);
}

#[test]
fn malformed_heads() {
    let seen = run(attack(Vec::new(), 10_000, |i| {
        headers(2 * i + 1, END_HEADERS | END_STREAM, &block(&[("connection", "close")]))
    }));
    check(&seen, Reason::ProvokedReset, ENHANCE_YOUR_CALM);
    assert_eq!(seen.requests, 0);
    let seen = run(attack(Vec::new(), 10_000, |i| {
        headers(2 * i + 1, END_HEADERS | END_STREAM, &block(&[("host", "b")]))
    }));
    check(&seen, Reason::ProvokedReset, ENHANCE_YOUR_CALM);
    assert_eq!(seen.requests, 0);
}

#[test]
fn continuations_without_end() {
    let start = headers(1, 0, &block(&[]));
    for payload in [&b""[..], b"\x00\x01a\x01b"] {
        let seen = run(attack(start.clone(), 100_000, |_| frame(9, 0, 1, payload)));
        check(&seen, Reason::HeadFlood, ENHANCE_YOUR_CALM);
        assert_eq!(seen.requests, 0);
    }
}

#[test]
fn heads_that_grow_when_they_are_decoded() {
    // One field of 4000 bytes goes into the table; each byte that follows means it again.
    let mut bomb = block(&[]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0x80 + 0x21, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 12_000]);
    let seen = run(attack(Vec::new(), 10_000, |i| headers(2 * i + 1, END_HEADERS | END_STREAM, &bomb)));
    check(&seen, Reason::HeadFlood, ENHANCE_YOUR_CALM);
    assert_eq!(seen.requests, 0);
}

#[test]
fn cookie_crumbs_by_index_with_no_window() {
    // The window of each stream is 0, so that answered streams would stay.
    let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut crumbs = block(&[]);
    crumbs.extend([0x40, 6]);
    crumbs.extend(b"cookie");
    crumbs.extend([3, b'a', b'=', b'1']);
    crumbs.extend([0xbe; 600]);
    let seen = run(attack(no_window, 10_000, |i| headers(2 * i + 1, END_HEADERS | END_STREAM, &crumbs)));
    check(&seen, Reason::HeadFlood, ENHANCE_YOUR_CALM);
    assert_eq!(seen.requests, 0);
}

#[test]
fn dribbled_windows() {
    // A response is taken a byte at a time.
    let (near, far) = tokio::io::duplex(64 * 1024);
    let ended = run(async move {
        let served = serve(far, ServerSettings::default(), |mut stream: ServerStream| async move {
            let _ = recv_head(&mut stream).await;
            let _ = send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = send(&mut stream, &[7; 100_000]).await;
            let _ = finish(&mut stream, b"").await;
        });
        dribble(near).await;
        served.await.expect("served")
    });
    assert_eq!(ended.map(|e| e.reason), Some(Reason::FrameFlood));
}

async fn dribble(mut io: DuplexStream) {
    let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let start = [preface(), no_window, headers(1, END_HEADERS | END_STREAM, &block(&[]))].concat();
    io.write_all(&start).await.expect("written");
    let mut scratch = [0; 4096];
    for _ in 0..100_000 {
        if io.write_all(&frame(8, 0, 1, &[0, 0, 0, 1])).await.is_err() {
            return;
        }
        if io.read(&mut scratch).await.map_or(true, |read| read == 0) {
            return;
        }
    }
}

#[test]
fn what_breaks_the_rules() {
    for (name, bytes) in [
        ("data on no stream", frame(0, 0, 0, b"x")),
        ("an even stream", headers(2, END_HEADERS | END_STREAM, &block(&[]))),
        ("a window update of the connection by nothing", frame(8, 0, 0, &[0; 4])),
        ("a continuation of nothing", frame(9, END_HEADERS, 1, b"")),
        ("a push", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("broken compression", headers(1, END_HEADERS, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f])),
    ] {
        let seen = run(attack(bytes, 0, |_| Vec::new()));
        assert_eq!(seen.ended.as_ref().map(|e| e.reason), Some(Reason::ProtocolViolation), "{name}");
        assert_eq!(seen.code, Some(PROTOCOL_ERROR), "{name}");
        assert_eq!(seen.requests, 0, "{name}");
    }
}

#[test]
fn a_frame_that_is_too_large() {
    let seen = run(attack(vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1], 0, |_| Vec::new()));
    assert_eq!(seen.ended.map(|e| e.reason), Some(Reason::ProtocolViolation));
    assert_eq!(seen.code, Some(0x6));
}

#[test]
fn a_client_that_leaves_is_no_flood() {
    // The empty writes let the request begin before the client leaves.
    let seen = run(attack(headers(1, END_HEADERS | END_STREAM, &block(&[])), 30, |_| Vec::new()));
    assert_eq!(seen.ended.map(|e| e.reason), Some(Reason::ClientClosed));
    let seen = run(attack(Vec::new(), 0, |_| Vec::new()));
    assert_eq!(seen.ended, None);
}
