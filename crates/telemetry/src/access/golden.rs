//! What each format looks like, byte for byte.

use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use tollgate_decision::Reason;

use super::*;
use crate::log_writer::Destination;

/// An exchange that went well.
pub(crate) fn entry(captured: &Captured) -> Entry<'_> {
    Entry {
        time: TimeCache::default().at(Duration::from_millis(784_111_777_042)),
        request_id: b"0192-ab",
        client: [203, 0, 113, 9].into(),
        request: RequestLine {
            method: b"GET",
            path: b"/a/b",
            host: b"shop.example",
            version: "1.1",
            carried: "",
            consumer: "",
            captured,
        },
        flow: None,
        status: 200,
        reason: Reason::Forwarded,
        route: "shop",
        upstream: "shop",
        endpoint: "10.0.0.1:80",
        attempts: 1,
        bytes: Bytes { sent: 5120, received: 7 },
        timings: Timings { queue_us: 0, connect_us: 512, first_byte_us: 11_034, total_us: 12_345 },
        trace: None,
        seed: 1,
    }
}

fn rules(format: Format) -> LogRules {
    LogRules::new(Destination::Stdout, format)
}

/// What a client sends that wants to break the log: quotes, control characters, other scripts.
const WILD: &[u8] = b"a\"b\\c\td\x1b[31m\xc3\xa9\n";

/// The line for an entry; `change` makes it another than the usual one.
fn line(rules: LogRules, change: impl Fn(&mut Entry<'_>)) -> String {
    let plan = LogPlan::new(vec![rules]);
    let mut captured = Captured::default();
    captured.request(&Rc::new(plan.headers().clone()), Some(b"q=1&token=s3cret"), |name| match name {
        "referer" => Some(b"http://a.example/x?token=s3cret"),
        "user-agent" => Some(WILD),
        "authorization" => Some(b"Bearer s3cret"),
        _ => None,
    });
    captured.response(|name| (name == "location").then_some(&b"/next?token=s3cret"[..]));
    let mut entry = entry(&captured);
    change(&mut entry);
    let mut out = Vec::new();
    plan.logs()[0].write(&mut out, &entry);
    String::from_utf8(out).unwrap()
}

fn failed(entry: &mut Entry<'_>) {
    entry.status = 504;
    entry.reason = Reason::FirstByteTimeout;
    entry.attempts = 3;
    entry.bytes.sent = 0;
    entry.timings.queue_us = 50_001;
}

fn unread(entry: &mut Entry<'_>) {
    entry.status = 400;
    entry.reason = Reason::BadRequestLine;
    entry.request.method = b"";
    entry.request.path = b"";
    entry.request.host = b"";
    entry.request_id = b"";
    entry.route = "";
    entry.upstream = "";
    entry.endpoint = "";
    entry.attempts = 0;
}

#[test]
fn json() {
    assert_eq!(
        line(rules(Format::Json), |_| {}),
        "{\"time\":\"1994-11-06T08:49:37.042Z\",\"request_id\":\"0192-ab\",\"client.address\":\"203.0.113.9\",\
         \"http.request.method\":\"GET\",\"url.path\":\"/a/b\",\"server.address\":\"shop.example\",\
         \"network.protocol.version\":\"1.1\",\"http.response.status_code\":200,\"reason\":\"forwarded\",\
         \"end\":\"nobody\",\"route\":\"shop\",\"upstream\":\"shop\",\"endpoint\":\"10.0.0.1:80\",\"attempts\":1,\
         \"bytes_sent\":5120,\"bytes_received\":7,\"t.queue\":0.000,\"t.connect\":0.512,\"t.ttfb\":11.034,\
         \"t.total\":12.345}\n"
    );
    let wanted = rules(Format::Json)
        .query(QueryRule::Names)
        .request_header("User-Agent")
        .request_header("Authorization")
        .request_header("X-Absent")
        .response_header("Location");
    let full = line(wanted, |entry| {
        failed(entry);
        entry.trace = Some(TraceIds { trace: [0xab; 16], span: [0x01; 8] });
    });
    for part in [
        "\"url.path\":\"/a/b\",\"url.query\":\"q=***&token=***\",\"server.address\"",
        "\"reason\":\"first_byte_timeout\",\"end\":\"upstream\"",
        "\"t.queue\":50.001,",
        "\"trace_id\":\"abababababababababababababababab\",\"span_id\":\"0101010101010101\",\
         \"http.request.header.user-agent\":\"a\\\"b\\\\c\\u0009d\\u001b[31m\\u00c3\\u00a9\\u000a\",\
         \"http.request.header.authorization\":\"***\",\"http.response.header.location\":\"/next?token=***\"}\n",
    ] {
        assert!(full.contains(part), "{part}\n{full}");
    }
    assert!(!full.contains("s3cret"));
}

#[test]
fn common() {
    assert_eq!(
        line(rules(Format::Common), |_| {}),
        "203.0.113.9 - - [06/Nov/1994:08:49:37 +0000] \"GET /a/b HTTP/1.1\" 200 5120\n"
    );
    let shown = line(rules(Format::Common).query(QueryRule::Keep), |entry| {
        failed(entry);
        entry.request.path = b"/\"\\\xff";
        entry.client = "2001:db8::1".parse().unwrap();
    });
    assert_eq!(
        shown,
        "2001:db8::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /\\\"\\\\\\xff?q=1&token=s3cret HTTP/1.1\" 504 -\n"
    );
    let gone = line(rules(Format::Common), |entry| {
        unread(entry);
        entry.status = 0;
    });
    assert_eq!(gone, "203.0.113.9 - - [06/Nov/1994:08:49:37 +0000] \"-\" 000 5120\n");
}

#[test]
fn combined() {
    assert_eq!(
        line(rules(Format::Combined), |_| {}),
        "203.0.113.9 - - [06/Nov/1994:08:49:37 +0000] \"GET /a/b HTTP/1.1\" 200 5120 \"http://a.example/x\" \
         \"a\\\"b\\\\c\\td\\x1b[31m\\xc3\\xa9\\n\"\n"
    );
    let captured = Captured::default();
    let plan = LogPlan::new(vec![rules(Format::Combined)]);
    let mut out = Vec::new();
    plan.logs()[0].write(&mut out, &entry(&captured));
    assert!(out.ends_with(b"5120 \"-\" \"-\"\n"), "{}", String::from_utf8_lossy(&out));
}

#[test]
fn pretty() {
    assert_eq!(
        line(rules(Format::Pretty { colour: false }), |_| {}),
        "08:49:37.042 200 GET shop.example/a/b 12.3ms 5.0KiB from 203.0.113.9 route shop to shop at 10.0.0.1:80\n"
    );
    assert_eq!(
        line(
            rules(Format::Pretty { colour: false }).request_header("User-Agent").query(QueryRule::Names),
            failed
        ),
        "08:49:37.042 504 GET shop.example/a/b?q=***&token=*** 12.3ms 0B from 203.0.113.9 route shop to shop at \
         10.0.0.1:80 3 attempts first_byte_timeout (upstream) user-agent=\"a\\\"b\\\\c\\td\\x1b[31m\\xc3\\xa9\\n\"\n"
    );
    assert_eq!(
        line(rules(Format::Pretty { colour: true }), unread),
        "\x1b[2m08:49:37.042\x1b[0m \x1b[33m400\x1b[0m - 12.3ms 5.0KiB\x1b[2m from 203.0.113.9\x1b[0m \
         \x1b[31mbad_request_line (client)\x1b[0m\n"
    );
}

#[test]
fn a_flow_is_told_with_its_datagrams() {
    fn flow(entry: &mut Entry<'_>) {
        let captured = entry.request.captured;
        entry.request = RequestLine {
            carried: "udp",
            consumer: "",
            method: b"",
            path: b"",
            host: b"",
            version: "",
            captured,
        };
        entry.flow = Some(FlowLine { listener: "dns", port: 5353, datagrams_sent: 3, datagrams_received: 2 });
        (entry.status, entry.route, entry.reason) = (0, "", Reason::ConnectionIdle);
    }
    let json = line(rules(Format::Json), flow);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["network.transport"].as_str(), Some("udp"));
    assert!(
        json.contains(
            ",\"listener\":\"dns\",\"client.port\":5353,\
             \"datagrams_sent\":3,\"datagrams_received\":2,\"t.queue\""
        ),
        "{json}"
    );
    assert_eq!(
        (value["reason"].as_str(), value["bytes_sent"].as_u64()),
        (Some("connection_idle"), Some(5120))
    );
    assert_eq!(
        line(rules(Format::Pretty { colour: false }), flow),
        "08:49:37.042 000 udp 12.3ms 5.0KiB from 203.0.113.9 to shop at 10.0.0.1:80\n"
    );
}

#[test]
fn template() {
    let template = |text: &str| rules(Format::Template(Template::compile(text).unwrap()));
    assert_eq!(
        line(
            template(
                "{{{ status }}} {client} {method} {path}?{query} \"{request_header.User-Agent}\" {t.total}ms"
            ),
            |_| {}
        ),
        "{200} 203.0.113.9 GET /a/b?- \"a\\\"b\\\\c\\td\\x1b[31m\\xc3\\xa9\\n\" 12.345ms\n"
    );
    assert_eq!(
        line(
            template("{query} {response_header.location} {request_header.authorization}")
                .query(QueryRule::Names),
            |_| {}
        ),
        "q=***&token=*** /next?token=*** ***\n"
    );
    assert_eq!(
        line(template("{route} {retries} {trace_id} {request_line} {time.unix_ms}"), unread),
        "- 0 - - 784111777042\n"
    );
    let all: String = Template::FIELDS.iter().map(|field| format!("{{{field}}} ")).collect();
    assert_eq!(line(template(&all), failed).lines().count(), 1);
}

proptest! {
    /// JSON is valid and a line is one line whatever a client sent.
    #[test]
    fn foreign_bytes_stay_inside(method: Vec<u8>, path: Vec<u8>, id: Vec<u8>, header: Vec<u8>, query: Vec<u8>, rule in 0..3) {
        let rule = [QueryRule::Hide, QueryRule::Names, QueryRule::Keep][rule as usize];
        let template = Template::compile("{method} {path} {query} {request_header.x}").unwrap();
        let formats = [Format::Json, Format::Pretty { colour: false }, Format::Common, Format::Combined, Format::Template(template)];
        for format in formats {
            let is_json = format == Format::Json;
            let plan = LogPlan::new(vec![rules(format).query(rule).request_header("x").request_header("referer")]);
            let mut captured = Captured::default();
            captured.request(&Rc::new(plan.headers().clone()), Some(&query), |_| Some(&header));
            let mut entry = entry(&captured);
            entry.request.method = &method;
            entry.request.path = &path;
            entry.request_id = &id;
            let mut out = Vec::new();
            plan.logs()[0].write(&mut out, &entry);
            let text = String::from_utf8(out).unwrap();
            prop_assert!(text.ends_with('\n') && text.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)));
            prop_assert_eq!(text.lines().count(), 1);
            if is_json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                let latin: String = path.iter().map(|b| char::from(*b)).collect();
                prop_assert_eq!(value["url.path"].as_str(), Some(latin.as_str()));
            }
        }
    }
}
