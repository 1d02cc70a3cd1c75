//! Streams: those that are cancelled, those that are refused, and clients that abuse them.

use tollgate_decision::Reason;
use tollgate_testkit::http2::frames::{self, END_STREAM, PING, frame, get, headers, reset};
use tollgate_testkit::http2::{Code, Http2Client, RawHttp2};
use tollgate_testkit::{Origin, Tollgate};

use super::{FORWARD, Provoke, Row, There};

/// To an endpoint that speaks HTTP/2.
const TO_STREAMS: &str = "upstreams: { up: { endpoints: [\"{origin}\"], protocol: h2c } }\n\
                          routes: [{ name: all, path: /, to: up, retry: none }]\n";

/// Each with who ended it, and how far it had come.
pub(super) const ROWS: &[Row] = &[
    Row {
        reason: Reason::ClientReset,
        document: FORWARD,
        there: There::Origin(mute),
        provoke: Provoke::Doing(|tollgate| {
            let mut call = Http2Client::connect(tollgate.address()).ask("GET", "/cart", &[]);
            let head = call.head().unwrap();
            call.cancel();
            head.get("x-request-id").map(str::to_owned)
        }),
        cause: &["client cancelled the request's stream"],
        told: &["GET /cart", "route       all", "answered 200, then client_reset"],
    },
    Row {
        reason: Reason::UpstreamReset,
        document: TO_STREAMS,
        there: There::Origin(resetting),
        provoke: Provoke::Doing(ask),
        cause: &["endpoint cancelled the request's stream", "{origin}"],
        told: &["attempt 1 at {origin}", "502"],
    },
    Row {
        reason: Reason::UpstreamRefusedStream,
        document: TO_STREAMS,
        there: There::Origin(refusing),
        provoke: Provoke::Doing(ask),
        cause: &["endpoint refused the request's stream", "{origin}"],
        told: &["attempt 1 at {origin}", "502"],
    },
    Row {
        reason: Reason::ProtocolViolation,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            let mut raw = RawHttp2::connect(tollgate.address());
            // A stream of an even number is the server's.
            raw.send(headers(2, END_STREAM, &get("/")));
            raw.farewell();
            None
        }),
        cause: &["broke the rules of HTTP/2"],
        told: &["127.0.0.1"],
    },
    Row {
        reason: Reason::RapidReset,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            flood(tollgate, &[], |i| {
                let stream = 2 * i + 1;
                [headers(stream, END_STREAM, &get("/")), reset(stream, 8)].concat()
            })
        }),
        cause: &["reset as soon as they were opened"],
        told: &["127.0.0.1"],
    },
    Row {
        reason: Reason::ProvokedReset,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            let head = frames::block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
            flood(tollgate, &[], |i| headers(2 * i + 1, END_STREAM, &head))
        }),
        cause: &["malformed or over the limit"],
        told: &["127.0.0.1"],
    },
    Row {
        reason: Reason::FrameFlood,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| flood(tollgate, &[], |_| frame(PING, 0, 0, &[0; 8]))),
        cause: &["carry nothing came too quickly"],
        told: &["127.0.0.1"],
    },
    Row {
        reason: Reason::HeadFlood,
        document: FORWARD,
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            let start = frame(frames::HEADERS, END_STREAM, 1, &get("/"));
            flood(tollgate, &start, |_| frame(frames::CONTINUATION, 0, 1, &[]))
        }),
        cause: &["head of too many or too large parts"],
        told: &["127.0.0.1"],
    },
    Row {
        reason: Reason::DeadlineExceeded,
        document: TO_STREAMS,
        there: There::Origin(silent_streams),
        provoke: Provoke::Doing(|tollgate| {
            let fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "200m")];
            let response = Http2Client::connect(tollgate.address()).ask("POST", "/a.B/C", &fields).response();
            assert_eq!(response.get("grpc-status"), Some("4"));
            response.get("x-request-id").map(str::to_owned)
        }),
        cause: &["gRPC call whose deadline has passed"],
        told: &["attempt 1 at {origin}"],
    },
];

fn ask(tollgate: &Tollgate) -> Option<String> {
    Http2Client::connect(tollgate.address()).get("/cart").get("x-request-id").map(str::to_owned)
}

fn flood(tollgate: &Tollgate, start: &[u8], flood: impl Fn(u32) -> Vec<u8>) -> Option<String> {
    let mut raw = RawHttp2::connect(tollgate.address());
    raw.send(start);
    assert!(raw.flood(100_000, flood).code.is_some());
    None
}

/// Begins a response and leaves it at that.
fn mute() -> Origin {
    Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        connection.rest();
    })
}

fn resetting() -> Origin {
    streams(|stream| reset(stream, Code::INTERNAL_ERROR.into()))
}

fn refusing() -> Origin {
    streams(|stream| reset(stream, Code::REFUSED_STREAM.into()))
}

fn silent_streams() -> Origin {
    streams(|_| Vec::new())
}

/// An endpoint of HTTP/2 that answers each head with a frame.
fn streams(answer: fn(u32) -> Vec<u8>) -> Origin {
    Origin::start(move |connection| {
        connection.bytes(frames::PREFACE.len());
        connection.send(frames::settings(&[]));
        while let Some(head) = connection.bytes(9) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            connection.bytes(length);
            match (head[3], head[4]) {
                (frames::SETTINGS, 0) => connection.send(frame(frames::SETTINGS, frames::ACK, 0, &[])),
                (frames::HEADERS, _) => connection.send(answer(stream)),
                _ => {}
            }
        }
    })
}
