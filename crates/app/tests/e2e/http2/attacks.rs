//! Attacks over real sockets: each connection ends with the right error before it has cost much, the endpoint sees
//! next to nothing of it, and other clients are served meanwhile.

use tollgate_testkit::http2::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, SETTINGS, frame, get,
    headers, reset, window_update,
};
use tollgate_testkit::http2::{Farewell, Http2Origin, RawHttp2};
use tollgate_testkit::{Origin, Tollgate};

use super::client;
use crate::launch;

const PROTOCOL_ERROR: u32 = 0x1;
const CALM: u32 = 0xb;
const COMPRESSION_ERROR: u32 = 0x9;
/// Streams that an attack may cost the endpoint.
const REQUESTS_MAX: usize = 16;
/// KiB that an attack may cost the process.
const GROWTH_MAX: u64 = 16 * 1024;

/// A program in front of an endpoint of HTTP/1.1 that answers `/slow` never.
struct Plaza {
    tollgate: Tollgate,
    origin: Origin,
}

impl Plaza {
    fn new() -> Self {
        let origin = Origin::start(|connection| {
            while let Some(request) = connection.request() {
                if request.target().starts_with("/slow") {
                    connection.rest();
                    return;
                }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let document = "admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n";
        let tollgate = launch(document, &[("origin", &origin.address())]);
        // What only the first connection of all costs.
        assert_eq!(client(&tollgate).get("/").text(), "ok");
        Self { tollgate, origin }
    }

    /// How many requests for `/slow` have come to the endpoint.
    fn cost(&self) -> usize {
        let text = self.origin.received().concat();
        text.windows(9).filter(|window| *window == b"GET /slow").count()
    }

    fn ended(&self, reason: &str) -> f64 {
        self.tollgate.metric(&format!("tollgate_exchanges_total{{reason=\"{reason}\",side=\"client\"}}"))
    }

    /// Runs a flood on a connection that began with `start`, and holds it to what every attack is held to.
    fn attack(
        &self,
        name: &str,
        start: &[u8],
        limit: u32,
        flood: impl Fn(u32) -> Vec<u8> + Send,
    ) -> Farewell {
        let (before, _) = self.tollgate.memory_kib();
        let (spent, others) = (self.cost(), client(&self.tollgate));
        let mut raw = RawHttp2::connect(self.tollgate.address());
        raw.send(start);
        let farewell = std::thread::scope(|scope| {
            let flooding = scope.spawn(|| raw.flood(limit, flood));
            loop {
                assert_eq!(others.get("/").text(), "ok", "{name}");
                if flooding.is_finished() {
                    break;
                }
            }
            flooding.join().unwrap()
        });
        let (after, _) = self.tollgate.memory_kib();
        assert!(after < before + GROWTH_MAX, "{name}: {before} KiB before, {after} KiB after");
        let cost = self.cost() - spent;
        assert!(cost <= REQUESTS_MAX, "{name}: {cost} requests");
        farewell
    }
}

fn open(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &get("/slow"))
}

/// A stream whose request goes on.
fn begin(stream: u32) -> Vec<u8> {
    headers(stream, 0, &frames::request("POST", "/slow", &[]))
}

#[test]
fn rapid_resets() {
    let plaza = Plaza::new();
    let pair = |i: u32| [open(2 * i + 1), reset(2 * i + 1, 8)].concat();
    let farewell = plaza.attack("one by one", &[], 100_000, pair);
    assert_eq!(farewell.code, Some(CALM));
    let farewell = plaza.attack("all at once", &(0..1000).flat_map(pair).collect::<Vec<_>>(), 0, pair);
    assert_eq!(farewell.code, Some(CALM));
    // A hundred are opened, then all are reset.
    let waves = |i: u32| {
        let streams = (0..100).map(|n| 2 * (100 * i + n) + 1);
        let opened = streams.clone().flat_map(open);
        opened.chain(streams.flat_map(|stream| reset(stream, 8))).collect()
    };
    let farewell = plaza.attack("in waves", &[], 1_000, waves);
    assert_eq!(farewell.code, Some(CALM));
    assert_eq!(plaza.ended("rapid_reset"), 3.0);
}

#[test]
fn resets_that_are_provoked() {
    let plaza = Plaza::new();
    /// The frames that make a stream fail.
    type Offence = fn(u32) -> Vec<u8>;
    let variants: [(&str, Offence); 7] = [
        ("a window update of nothing", |s| [open(s), window_update(s, 0)].concat()),
        ("a window that overflows", |s| [open(s), window_update(s, 0x7fff_ffff)].concat()),
        ("data behind the end", |s| [open(s), frame(DATA, 0, s, b"x")].concat()),
        ("a second head without an end", |s| {
            [begin(s), headers(s, 0, &frames::block(&[("a", "b")]))].concat()
        }),
        ("more than the announced length", |s| {
            let head = frames::request("POST", "/slow", &[("content-length", "1")]);
            [headers(s, 0, &head), frame(DATA, 0, s, b"xyz")].concat()
        }),
        ("less than the announced length", |s| {
            let head = frames::request("POST", "/slow", &[("content-length", "9")]);
            [headers(s, 0, &head), frame(DATA, END_STREAM, s, b"xyz")].concat()
        }),
        ("a stream that depends on itself", |s| {
            [open(s), frame(PRIORITY, 0, s, &[&s.to_be_bytes()[..], &[1]].concat())].concat()
        }),
    ];
    for (name, variant) in variants {
        let farewell = plaza.attack(name, &[], 100_000, |i| variant(2 * i + 1));
        assert!(matches!(farewell.code, Some(CALM | PROTOCOL_ERROR | 5 | 3)), "{name}: {:?}", farewell.code);
    }
}

#[test]
fn malformed_heads_again_and_again() {
    let plaza = Plaza::new();
    let head =
        frames::block(&[(":method", "GET"), (":scheme", "http"), (":path", "/slow"), ("Upper", "case")]);
    let farewell = plaza.attack("malformed heads", &[], 100_000, |i| headers(2 * i + 1, END_STREAM, &head));
    assert!(farewell.code.is_some());
    assert_eq!(plaza.ended("provoked_reset") + plaza.ended("protocol_violation"), 1.0);
}

#[test]
fn frames_that_carry_nothing() {
    let plaza = Plaza::new();
    let start = begin(1);
    let floods = [
        ("ping", frame(PING, 0, 0, &[0; 8])),
        ("ping answers", frame(PING, ACK, 0, &[0; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("large settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0].repeat(1000))),
        ("priority", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("priority of idle streams", frame(PRIORITY, 0, 1001, &[0, 0, 0, 0, 1])),
        ("window updates of a stream", window_update(1, 1)),
        ("window updates", window_update(0, 1)),
        ("unknown frames", frame(0xbe, 0, 1, &[1; 10])),
        ("empty data", frame(DATA, 0, 1, &[])),
        ("padded empty data", frame(DATA, 8, 1, &[3, 0, 0, 0])),
    ];
    let count = floods.len();
    for (name, bytes) in floods {
        let farewell = plaza.attack(name, &start, 200_000, |_| bytes.repeat(10));
        assert_eq!(farewell.code, Some(CALM), "{name}");
    }
    assert_eq!(plaza.ended("frame_flood"), count as f64);
}

#[test]
fn heads_without_an_end() {
    let plaza = Plaza::new();
    let begun = frame(HEADERS, END_STREAM, 1, &get("/slow"));
    let field = frames::block(&[("x", "y")]);
    for (name, part) in
        [("empty", Vec::new()), ("small", field), ("large", frames::block(&[("x", &"y".repeat(10_000))]))]
    {
        let farewell = plaza.attack(name, &begun, 100_000, |_| frame(CONTINUATION, 0, 1, &part));
        assert!(matches!(farewell.code, Some(CALM | COMPRESSION_ERROR)), "{name}: {:?}", farewell.code);
    }
    assert_eq!(plaza.cost(), 0);
    assert_eq!(plaza.ended("head_flood"), 3.0);
}

#[test]
fn heads_that_unfold() {
    let plaza = Plaza::new();
    // A field of 4000 bytes in the table, then a byte for each time that it is said again.
    let mut first = get("/");
    frames::kept_literal(&mut first, b"x-bomb", &[b'a'; 4000]);
    let start = headers(1, END_STREAM, &first);
    let mut bomb = get("/slow");
    bomb.extend([0xbe; 10_000]);
    let farewell = plaza.attack("a large field", &start, 10_000, |i| headers(2 * i + 3, END_STREAM, &bomb));
    assert!(farewell.code.is_some());
    // Crumbs of cookies, which become one field.
    let mut first = get("/");
    frames::kept_literal(&mut first, b"cookie", b"a=b");
    let start = headers(1, END_STREAM, &first);
    let farewell = plaza.attack("crumbs", &start, 10_000, |i| headers(2 * i + 3, END_STREAM, &bomb));
    assert!(farewell.code.is_some());
    assert_eq!(plaza.cost(), 0);
}

#[test]
fn windows_that_never_open() {
    const CLIENTS: u64 = 5;
    const STREAMS: u64 = 50;
    /// What a stream may hold of a response: as much again waits in its exchange.
    const HELD_KIB: u64 = 64;
    let block = "x".repeat(200_000);
    let origin = Http2Origin::saying(&block);
    let tollgate = super::before_http2(&origin, "timeouts: { write: 500ms }", "");
    assert_eq!(client(&tollgate).get("/").body.len(), 200_000);
    let (before, _) = tollgate.memory_kib();
    let others = client(&tollgate);
    let stall = || {
        let mut stalled: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut raw = RawHttp2::with_settings(tollgate.address(), &[(4, 0)]);
                for i in 0..STREAMS as u32 {
                    raw.send(headers(2 * i + 1, END_STREAM, &get("/")));
                }
                raw
            })
            .collect();
        assert_eq!(others.get("/").body.len(), 200_000);
        for raw in &mut stalled {
            for _ in 0..STREAMS {
                assert_eq!(raw.frame_of(frames::RST_STREAM).stream % 2, 1);
            }
        }
    };
    stall();
    // The most that there was at any time: what is there afterwards depends on when the allocator gives it back.
    let (_, peak) = tollgate.memory_kib();
    let held = CLIENTS * STREAMS * 2 * HELD_KIB;
    assert!(peak < before + held + GROWTH_MAX, "{before} KiB before, {peak} KiB at the peak");
    // Whoever comes later finds what those before held, but for what the allocator has not given back yet.
    (0..8).for_each(|_| stall());
    let (_, after) = tollgate.memory_kib();
    assert!(after < peak + GROWTH_MAX, "{peak} KiB at the first peak, {after} KiB at the ninth");
    assert_eq!(others.get("/").body.len(), 200_000);
}

#[test]
fn data_behind_a_reset_is_thrown_away() {
    let plaza = Plaza::new();
    let mut raw = RawHttp2::connect(plaza.tollgate.address());
    raw.send([begin(1), reset(1, 8)].concat());
    for _ in 0..4 {
        raw.send(frame(DATA, 0, 1, &[b'x'; 10_000]));
    }
    raw.send(headers(3, END_STREAM, &get("/")));
    let answer = raw.frame_of(HEADERS);
    assert_eq!((answer.stream, answer.payload[0], answer.flags & END_HEADERS), (3, 0x88, END_HEADERS));
}

#[test]
fn more_streams_than_are_allowed() {
    let plaza = Plaza::new();
    let mut raw = RawHttp2::connect(plaza.tollgate.address());
    let announced = raw.frame_of(SETTINGS);
    let max = announced.payload.chunks(6).find(|setting| setting[..2] == [0, 3]);
    let max = u32::from_be_bytes(max.expect("a limit is announced")[2..].try_into().unwrap());
    for i in 0..max + 20 {
        raw.send(open(2 * i + 1));
    }
    for _ in 0..20 {
        let refused = raw.frame_of(frames::RST_STREAM);
        assert_eq!(refused.number(0), 7, "REFUSED_STREAM");
    }
    drop(raw);
    let farewell = plaza_floods_with_streams(&plaza);
    assert!(farewell.code.is_some());
}

/// Streams without end that are never reset: all but the allowed ones are refused.
fn plaza_floods_with_streams(plaza: &Plaza) -> Farewell {
    let raw = RawHttp2::connect(plaza.tollgate.address());
    let farewell = raw.flood(100_000, |i| open(2 * i + 1));
    assert_eq!(client(&plaza.tollgate).get("/").text(), "ok");
    farewell
}
