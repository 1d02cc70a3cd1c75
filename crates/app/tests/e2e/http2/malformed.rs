//! Requests of HTTP/2 that have two readings, or would have them in HTTP/1.1: the origin sees nothing of them.

use tollgate_testkit::Origin;
use tollgate_testkit::http2::RawHttp2;
use tollgate_testkit::http2::frames::{self, DATA, END_STREAM, HEADERS, RST_STREAM, frame, headers, literal};

use crate::forwarding;

type Field<'a> = (&'a [u8], &'a [u8]);

const METHOD: Field<'static> = (b":method", b"GET");
const SCHEME: Field<'static> = (b":scheme", b"http");
const PATH: Field<'static> = (b":path", b"/bad");
const AUTHORITY: Field<'static> = (b":authority", b"a.example");

fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|(name, value)| literal(&mut out, name, value));
    out
}

/// What came of a head: a reset, an answer (its first bytes), or the end of the connection.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Reset,
    Answered,
    Ended,
}

fn fate(tollgate: &tollgate_testkit::Tollgate, bytes: &[u8]) -> Fate {
    let mut raw = RawHttp2::connect(tollgate.address());
    raw.send(bytes);
    loop {
        match raw.frame() {
            None => return Fate::Ended,
            Some(frame) if frame.kind == RST_STREAM && frame.stream == 1 => return Fate::Reset,
            Some(frame) if frame.kind == HEADERS && frame.stream == 1 => return Fate::Answered,
            Some(_) => {}
        }
    }
}

#[test]
fn nothing_malformed_reaches_an_origin() {
    let origin = Origin::saying("ok");
    let tollgate = forwarding(&origin);
    let good = [METHOD, SCHEME, PATH, AUTHORITY];
    assert_eq!(fate(&tollgate, &headers(1, END_STREAM, &block(&good))), Fate::Answered);
    origin.wait_for_requests(1);
    let with = |extra: &[Field<'_>]| block(&[&good[..], extra].concat());
    let long = [b'x'; 200];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a line end in a value", with(&[(b"x", b"a\r\nx-injected: 1")])),
        ("a line feed in a value", with(&[(b"x", b"a\nb")])),
        ("a NUL in a value", with(&[(b"x", b"a\0b")])),
        ("a line end in a name", with(&[(b"x\r\ny", b"a")])),
        ("a colon in a name", with(&[(b"x:y", b"a")])),
        ("a space in a name", with(&[(b"x y", b"a")])),
        ("an upper-case name", with(&[(b"X-Upper", b"a")])),
        ("an empty name", with(&[(b"", b"a")])),
        ("connection", with(&[(b"connection", b"close")])),
        ("keep-alive", with(&[(b"keep-alive", b"5")])),
        ("proxy-connection", with(&[(b"proxy-connection", b"close")])),
        ("transfer-encoding", with(&[(b"transfer-encoding", b"chunked")])),
        ("upgrade", with(&[(b"upgrade", b"h2c")])),
        ("te that is not trailers", with(&[(b"te", b"gzip")])),
        ("another host", with(&[(b"host", b"b.example")])),
        ("two hosts", with(&[(b"host", b"a.example"), (b"host", b"a.example")])),
        ("two lengths", with(&[(b"content-length", b"0"), (b"content-length", b"1")])),
        ("a length that is none", with(&[(b"content-length", b"+1")])),
        ("a length without a body", with(&[(b"content-length", b"5")])),
        ("a pseudo field behind others", block(&[METHOD, SCHEME, AUTHORITY, (b"x", b"y"), PATH])),
        ("an unknown pseudo field", with(&[(b":x", b"y")])),
        ("a response's pseudo field", with(&[(b":status", b"200")])),
        ("two methods", block(&[METHOD, METHOD, SCHEME, PATH, AUTHORITY])),
        ("two paths", block(&[METHOD, SCHEME, PATH, PATH, AUTHORITY])),
        ("no method", block(&[SCHEME, PATH, AUTHORITY])),
        ("no scheme", block(&[METHOD, PATH, AUTHORITY])),
        ("no path", block(&[METHOD, SCHEME, AUTHORITY])),
        ("an empty path", block(&[METHOD, SCHEME, (b":path", b""), AUTHORITY])),
        ("a path without a slash", block(&[METHOD, SCHEME, (b":path", b"bad"), AUTHORITY])),
        ("a space in the path", block(&[METHOD, SCHEME, (b":path", b"/bad HTTP/1.1"), AUTHORITY])),
        ("a line end in the path", block(&[METHOD, SCHEME, (b":path", b"/bad\r\nx: y"), AUTHORITY])),
        ("a space in the method", block(&[(b":method", b"GET /x HTTP/1.1\r\n"), SCHEME, PATH, AUTHORITY])),
        ("an asterisk with GET", block(&[METHOD, SCHEME, (b":path", b"*"), AUTHORITY])),
        ("a user in the authority", block(&[METHOD, SCHEME, PATH, (b":authority", b"u@a.example")])),
        ("a path in the authority", block(&[METHOD, SCHEME, PATH, (b":authority", b"a.example/x")])),
        ("a line end in the authority", block(&[METHOD, SCHEME, PATH, (b":authority", b"a\r\nb: c")])),
        ("no host", block(&[METHOD, SCHEME, PATH])),
        ("plain CONNECT", block(&[(b":method", b"CONNECT"), (b":authority", b"a.example:443")])),
        ("CONNECT with a path", block(&[(b":method", b"CONNECT"), SCHEME, PATH, AUTHORITY])),
        ("a protocol without CONNECT", with(&[(b":protocol", b"websocket")])),
        ("an encoded slash", block(&[METHOD, SCHEME, (b":path", b"/bad%2f.."), AUTHORITY])),
        ("a smuggled request", with(&[(b"x", b"y\r\n\r\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n")])),
        ("white space around a value", with(&[(b"x", b" y ")])),
        ("delete in a value", with(&[(b"x", &[0x7f, b'a'])])),
        ("a long name with a NUL", with(&[(&[&long[..], b"\0"].concat(), b"a")])),
    ];
    for (name, head) in cases {
        let fate = fate(&tollgate, &headers(1, END_STREAM, &head));
        eprintln!("{name}: {fate:?}");
    }
    // A length that the frames contradict.
    for (length, data) in [(b"1", &b"xyz"[..]), (b"9", b"xyz")] {
        let head = block(&[(b":method", b"POST"), SCHEME, PATH, AUTHORITY, (b"content-length", length)]);
        let bytes = [headers(1, 0, &head), frame(DATA, END_STREAM, 1, data)].concat();
        assert_eq!(fate(&tollgate, &bytes), Fate::Reset);
    }
    // Whole requests came for the good one only; of the last two the origin may have seen a part.
    assert_eq!(origin.requests().len(), 1, "{:?}", origin.requests());
    let received: Vec<String> =
        origin.received().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(!received.concat().contains("injected"), "{received:?}");
    assert_eq!(received.concat().matches("GET /bad").count(), 1, "{received:?}");
}

#[test]
fn trailers_that_are_malformed_fail_their_request_only() {
    let origin = Origin::saying("ok");
    let tollgate = forwarding(&origin);
    for (name, value) in [(&b"connection"[..], &b"close"[..]), (b"x", b"a\r\nb"), (b"X", b"y")] {
        let head = frames::request("POST", "/bad", &[]);
        let bytes =
            [headers(1, 0, &head), frame(DATA, 0, 1, b"x"), headers(1, END_STREAM, &block(&[(name, value)]))];
        assert_ne!(fate(&tollgate, &bytes.concat()), Fate::Answered, "{name:?}");
    }
    assert_eq!(origin.requests(), []);
}

#[test]
fn a_host_stands_in_for_an_authority_and_may_repeat_it() {
    let origin = Origin::answering(|request| {
        let told = format!("{} {}", request.get("host").unwrap_or("-"), request.all("host").len());
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()).into_bytes()
    });
    let tollgate = forwarding(&origin);
    for fields in [
        vec![METHOD, SCHEME, PATH, (b"host", b"a.example")],
        vec![METHOD, SCHEME, PATH, AUTHORITY, (b"host", b"a.example")],
    ] {
        let mut raw = RawHttp2::connect(tollgate.address());
        raw.send(headers(1, END_STREAM, &block(&fields)));
        assert_eq!(raw.frame_of(DATA).payload, b"a.example 1");
    }
}
