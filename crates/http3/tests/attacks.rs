//! What hostile clients send: the connection ends with the right error, and others do not notice.

mod client;

use std::time::Duration;

use client::{body, echo, endings, frame, get, head, response, run, section, serve, server};
use tollgate_decision::Reason;
use tollgate_http3::{ServerStream, Settings};
use tollgate_streams::MessageStream;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn garbage_datagrams_do_no_harm() {
    run(async {
        let server = server(Settings::default());
        serve(server.endpoint.clone(), echo);
        // A real first packet, to be cut and mangled.
        let relay = client::client_socket();
        let endpoint = client::client_endpoint();
        let to = relay.local_addr().unwrap();
        let connecting = endpoint.connect_with(server.identity.client(b"h3"), to, "localhost").unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut buf = vec![0; 2000];
            let length = relay.recv(&mut buf).unwrap();
            buf.truncate(length);
            buf
        });
        let first = first.await.unwrap();
        drop(connecting);
        let socket = client::client_socket();
        for seed in 0..3000_u64 {
            let mut dice = Dice(seed);
            let mut packet = match seed % 4 {
                0 => (0..dice.roll(1500)).map(|_| dice.roll(256) as u8).collect(),
                1 => first[..dice.roll(first.len() as u64 + 1) as usize].to_vec(),
                // An unknown version, a stateless reset, a retry, a version negotiation: all but random.
                2 => {
                    let mut packet: Vec<u8> = (0..1200).map(|_| dice.roll(256) as u8).collect();
                    packet[0] = [0x40, 0x80, 0xc0, 0xf0][dice.roll(4) as usize];
                    packet[1..5]
                        .copy_from_slice(&[[0, 0, 0, 0], [0, 0, 0, 1], [9, 9, 9, 9]][dice.roll(3) as usize]);
                    packet[5] = dice.roll(25) as u8;
                    packet
                }
                _ => first.clone(),
            };
            for _ in 0..dice.roll(4) {
                if !packet.is_empty() {
                    let at = dice.roll((packet.len() as u64).min(60)) as usize;
                    packet[at] = dice.roll(256) as u8;
                }
            }
            socket.send_to(&packet, server.address).unwrap();
            if seed % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let (mut requests, _quic) = server.http().await;
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(response(&mut stream).await.unwrap().0, 200);
    });
}

/// Sends `wire` on a request stream of a new connection; tells the code and the reason that the connection ends with.
async fn ends_with(
    server: &client::Server,
    ended: &client::Endings,
    wire: &[u8],
    uni: bool,
) -> (u64, Reason) {
    let before = ended.borrow().len();
    let quic = server.quic().await;
    let mut streams = Vec::new();
    if uni {
        let mut send = quic.open_uni().await.unwrap();
        let _ = send.write_all(wire).await;
        streams.push((send, None));
    } else {
        let (mut send, recv) = quic.open_bi().await.unwrap();
        let _ = send.write_all(wire).await;
        let _ = send.finish();
        streams.push((send, Some(recv)));
    }
    let code = match quic.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        error => panic!("{error}"),
    };
    (code, endings(ended, before + 1).await[before].reason)
}

/// A name, what is sent, whether on a unidirectional stream, and how the connection must end.
type Case = (&'static str, Vec<u8>, bool, u64, Reason);

fn broken_frames() -> Vec<Case> {
    const FRAME_UNEXPECTED: u64 = 0x105;
    const FRAME_ERROR: u64 = 0x106;
    const EXCESSIVE_LOAD: u64 = 0x107;
    const MISSING_SETTINGS: u64 = 0x10a;
    const DECOMPRESSION_FAILED: u64 = 0x200;
    let request = || frame(1, &section(true, None));
    let truncated = [request(), frame(0, b"body")[..7].to_vec()].concat();
    let flood = [request(), frame(0, b"").repeat(1200)].concat();
    let unknown = [request(), frame(0x21, b"").repeat(1200)].concat();
    let long_unknown = [vec![0], frame(4, b""), frame(0x21, &[0; 5000])].concat();
    let many_unknown = [vec![0], frame(4, b""), frame(0x21, b"").repeat(1200)].concat();
    vec![
        ("a body first", frame(0, b"x"), false, FRAME_UNEXPECTED, Reason::ProtocolViolation),
        (
            "settings on a request",
            [request(), frame(4, b"")].concat(),
            false,
            FRAME_UNEXPECTED,
            Reason::ProtocolViolation,
        ),
        ("an end inside a frame", truncated, false, FRAME_ERROR, Reason::ProtocolViolation),
        (
            "a section that refers to a table",
            frame(1, &[5, 0x80, 0x80]),
            false,
            DECOMPRESSION_FAILED,
            Reason::ProtocolViolation,
        ),
        (
            "a section that is cut",
            frame(1, &[0, 0, 0x50, 200]),
            false,
            DECOMPRESSION_FAILED,
            Reason::ProtocolViolation,
        ),
        ("a section that is empty", frame(1, &[]), false, DECOMPRESSION_FAILED, Reason::ProtocolViolation),
        ("empty bodies without end", flood, false, EXCESSIVE_LOAD, Reason::FrameFlood),
        ("unknown frames without end", unknown, false, EXCESSIVE_LOAD, Reason::FrameFlood),
        ("a long frame of control", long_unknown, true, EXCESSIVE_LOAD, Reason::FrameFlood),
        ("control frames without end", many_unknown, true, EXCESSIVE_LOAD, Reason::FrameFlood),
        (
            "control without settings",
            [vec![0], frame(7, &[0])].concat(),
            true,
            MISSING_SETTINGS,
            Reason::ProtocolViolation,
        ),
        (
            "a body on control",
            [vec![0], frame(4, b""), frame(0, b"x")].concat(),
            true,
            FRAME_UNEXPECTED,
            Reason::ProtocolViolation,
        ),
    ]
}

#[test]
fn broken_frames_end_the_connection_with_their_code() {
    async fn swallow(mut stream: ServerStream) {
        let _ = head(&mut stream).await;
        let _ = body(&mut stream).await;
    }
    run(async move {
        let server = server(Settings::default());
        let ended = serve(server.endpoint.clone(), swallow);
        for (name, wire, uni, code, reason) in broken_frames() {
            assert_eq!(
                ends_with(&server, &ended, &wire, uni).await,
                (code, reason),
                "{name}: {:?}",
                ended.borrow().last()
            );
        }
        assert_eq!(server.endpoint.counts().open, 0);
    });
}

#[test]
fn streams_of_any_bytes_do_no_harm() {
    run(async {
        let server = server(Settings { max_cancelled: 10_000, ..Settings::default() });
        let ended = serve(server.endpoint.clone(), echo);
        let mut quic = server.quic().await;
        for seed in 0..1500_u64 {
            let mut dice = Dice(seed);
            let mut wire: Vec<u8> = match seed % 3 {
                0 => (0..dice.roll(80)).map(|_| dice.roll(256) as u8).collect(),
                1 => frame(1, &(0..dice.roll(80)).map(|_| dice.roll(256) as u8).collect::<Vec<_>>()),
                _ => [
                    frame(1, &section(true, None)),
                    frame(0, b"body"),
                    frame(1, &[0, 0, 0x23, b'x', b'-', b'y', 1, b'z']),
                ]
                .concat(),
            };
            for _ in 0..dice.roll(3) {
                if !wire.is_empty() {
                    let at = dice.roll(wire.len() as u64) as usize;
                    wire[at] ^= 1 << dice.roll(8);
                }
            }
            let sent = async {
                if seed % 7 == 0 {
                    let mut send = quic.open_uni().await?;
                    send.write_all(&wire).await?;
                    return Ok(());
                }
                let (mut send, mut recv) = quic.open_bi().await?;
                send.write_all(&wire).await?;
                let _ = send.finish();
                let _ = tokio::time::timeout(Duration::from_millis(200), recv.read_to_end(5000)).await;
                Ok::<(), quinn::WriteError>(())
            };
            let sent = tokio::time::timeout(Duration::from_secs(1), sent).await;
            if !matches!(sent, Ok(Ok(()))) || quic.close_reason().is_some() {
                quic.close(0_u32.into(), b"");
                quic = server.quic().await;
            }
        }
        for ended in ended.borrow().iter() {
            let known = [
                Reason::ProtocolViolation,
                Reason::ConnectionEnded,
                Reason::ClientClosed,
                Reason::FrameFlood,
            ];
            assert!(known.contains(&ended.reason), "{ended}");
        }
    });
}

#[test]
fn who_only_cancels_is_cut_off() {
    async fn wait(mut stream: ServerStream) {
        if head(&mut stream).await.is_ok() {
            std::future::poll_fn(|cx| stream.poll_cancelled(cx)).await;
        }
    }
    run(async {
        let server = server(Settings { max_cancelled: 100, ..Settings::default() });
        let ended = serve(server.endpoint.clone(), wait);
        let quic = server.quic().await;
        let mut opened = 0;
        while let Ok((mut send, mut recv)) = quic.open_bi().await {
            opened += 1;
            assert!(opened < 2000, "{opened} streams were cancelled");
            let _ = send.write_all(&frame(1, &section(false, None))).await;
            let _ = send.reset(0x10c_u32.into());
            let _ = recv.stop(0x10c_u32.into());
        }
        let ended = endings(&ended, 1).await;
        assert_eq!(ended[0].reason, Reason::RapidReset, "{}", ended[0]);
    });
}

#[test]
fn who_only_sends_malformed_requests_is_cut_off() {
    run(async {
        let server = server(Settings { max_cancelled: 50, ..Settings::default() });
        let ended = serve(server.endpoint.clone(), echo);
        let quic = server.quic().await;
        let mut opened = 0;
        while let Ok((mut send, mut recv)) = quic.open_bi().await {
            opened += 1;
            assert!(opened < 1000, "{opened} streams were malformed");
            let _ = send.write_all(&frame(1, &section(true, Some("x")))).await;
            let _ = recv.read_to_end(100).await;
        }
        assert_eq!(endings(&ended, 1).await[0].reason, Reason::ProvokedReset);
    });
}

#[test]
fn who_serves_many_may_cancel_some() {
    run(async {
        let server = server(Settings { max_cancelled: 20, ..Settings::default() });
        serve(server.endpoint.clone(), echo);
        let (mut requests, quic) = server.http().await;
        for n in 0..200 {
            let mut stream = requests.send_request(client::post(None)).await.unwrap();
            if n % 3 == 0 {
                stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
                continue;
            }
            stream.finish().await.unwrap();
            response(&mut stream).await.unwrap();
        }
        assert_eq!(quic.close_reason(), None);
    });
}
