//! Traces: what origins hear of them, and what a collector gets.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tollgate_testkit::{Gate, Launch, Origin, PATIENCE, Request, Tollgate, refusing};

use crate::{PRELUDE, PROGRAM, get};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A collector, which is an origin that takes OTLP.
struct Collector(Origin);

impl Collector {
    fn start() -> Self {
        Self(Origin::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()))
    }

    /// The spans so far, at least so many: waits for them.
    fn spans(&self, at_least: usize) -> Vec<Span> {
        for posts in 1.. {
            self.0.wait_for_requests(posts);
            let spans: Vec<Span> = self.0.requests().iter().flat_map(spans_of).collect();
            if spans.len() >= at_least {
                return spans;
            }
        }
        unreachable!()
    }
}

fn spans_of(request: &Request) -> Vec<Span> {
    assert_eq!(
        (request.line(), request.get("content-type")),
        ("POST /v1/traces HTTP/1.1", Some("application/x-protobuf"))
    );
    assert_eq!(request.get("x-key"), Some("hunter2"));
    let export = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
    let [resource] = export.resource_spans.as_slice() else { panic!("{export:?}") };
    let name = &resource.resource.as_ref().unwrap().attributes[0];
    assert_eq!(
        (name.key.as_str(), text_of(name.value.clone().unwrap().value)),
        ("service.name", "edge".into())
    );
    resource.scope_spans[0].spans.clone()
}

fn text_of(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.map_or(String::new(), |attribute| text_of(attribute.value.clone().unwrap().value))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn server(spans: &[Span]) -> &Span {
    let mut found = spans.iter().filter(|span| span.kind() == SpanKind::Server);
    let only = found.next().unwrap();
    assert!(found.next().is_none(), "{spans:?}");
    only
}

fn attempts(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind() == SpanKind::Client).collect()
}

/// The parts of a `traceparent`: trace, span, flags.
fn parts(request: &Request) -> [String; 3] {
    let [value] = request.all("traceparent")[..] else { panic!("{request:?}") };
    let parts: Vec<_> = value.split('-').map(str::to_owned).collect();
    assert_eq!((value.len(), parts.len(), parts[0].as_str()), (55, 4, "00"), "{value}");
    [parts[1].clone(), parts[2].clone(), parts[3].clone()]
}

fn tracing(collector: &Collector, settings: &str, routes: &str) -> Tollgate {
    tracing_to(collector.0.address(), settings, routes)
}

fn tracing_to(collector: impl std::fmt::Display, settings: &str, routes: &str) -> Tollgate {
    Launch::new(PROGRAM, &document(collector, settings, routes)).start()
}

fn document(collector: impl std::fmt::Display, settings: &str, routes: &str) -> String {
    format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\n\
         tracing: {{ otlp: \"http://{collector}\", service_name: edge, interval: 50ms, headers: {{ X-Key: hunter2 }}{settings} }}\n\
         {routes}"
    )
}

fn forwarding(collector: &Collector, settings: &str, origin: &Origin) -> Tollgate {
    let routes = format!("routes: [{{ name: all, path: /, to: \"http://{}\" }}]\n", origin.address());
    tracing(collector, settings, &routes)
}

fn with(fields: &str) -> String {
    format!("GET /a?secret=1 HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n")
}

#[test]
fn a_trace_is_continued() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let tollgate = forwarding(&collector, ", sample: 0%", &origin);
    let fields = format!("Traceparent: {PARENT}\r\nTracestate: rojo=1\r\ntracestate: congo=2\r\n");
    let response = tollgate.request(with(&fields));
    assert_eq!(response.status, 200);
    let request = origin.only_request();
    let [trace, span, flags] = parts(&request);
    assert_eq!((trace.as_str(), flags.as_str()), (&PARENT[3..35], "01"));
    assert_eq!(request.all("tracestate"), ["rojo=1,congo=2"]);

    let spans = collector.spans(2);
    let (server, attempts) = (server(&spans), attempts(&spans));
    assert_eq!(
        (hex(&server.trace_id), hex(&server.parent_span_id)),
        (trace.clone(), PARENT[36..52].to_owned())
    );
    assert_eq!((server.name.as_str(), server.trace_state.as_str()), ("GET all", "rojo=1,congo=2"));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("http.route", "all"),
        ("server.address", "shop.example"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("tollgate.reason", "forwarded"),
        ("tollgate.request_id", request.get("x-request-id").unwrap()),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(server, key), value, "{key}");
    }
    assert!(server.status.is_none());
    let [attempt] = attempts[..] else { panic!("{spans:?}") };
    assert_eq!(hex(&attempt.trace_id), trace);
    assert_eq!((hex(&attempt.span_id), &attempt.parent_span_id), (span, &server.span_id));
    assert_eq!(attribute(attempt, "tollgate.endpoint"), origin.address().to_string());
    assert_eq!(attribute(attempt, "server.port"), origin.address().port().to_string());
    assert_eq!(attribute(attempt, "http.response.status_code"), "200");
    assert_eq!(attribute(attempt, "http.request.resend_count"), "");
    assert!(server.start_time_unix_nano <= attempt.start_time_unix_nano);
    assert!(attempt.start_time_unix_nano <= attempt.end_time_unix_nano);
    assert!(attempt.end_time_unix_nano <= server.end_time_unix_nano);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    assert!(now - server.start_time_unix_nano < 60_000_000_000, "{server:?}");
}

#[test]
fn a_trace_is_begun_where_there_is_none_or_a_malformed_one() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let tollgate = forwarding(&collector, ", sample: 100%", &origin);
    let twice = format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n");
    let upper = format!("traceparent: {}\r\ntracestate: a=1\r\n", PARENT.to_uppercase());
    let requests = [
        String::new(),
        "tracestate: a=1\r\n".into(),
        "traceparent: \r\ntracestate: a=1\r\n".into(),
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n".into(),
        "traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n".into(),
        twice,
        upper,
    ];
    for fields in &requests {
        assert_eq!(tollgate.request(with(fields)).status, 200);
    }
    let mut seen = HashSet::new();
    for request in origin.requests() {
        let [trace, _, flags] = parts(&request);
        assert_eq!((flags.as_str(), request.all("tracestate").len()), ("01", 0), "{request:?}");
        assert!(seen.insert(trace.clone()) && trace != PARENT[3..35], "{trace}");
    }
    let spans = collector.spans(2 * requests.len());
    let servers: Vec<_> = spans.iter().filter(|s| s.kind() == SpanKind::Server).collect();
    assert!(servers.iter().all(|s| s.parent_span_id.is_empty() && s.trace_state.is_empty()));
    assert_eq!(servers.iter().map(|s| hex(&s.trace_id)).collect::<HashSet<_>>(), seen);
}

#[test]
fn of_a_later_version_the_known_part_is_continued() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let tollgate = forwarding(&collector, "", &origin);
    tollgate.request(with(&format!("traceparent: cc{}-more\r\ntracestate: a=\r\n", &PARENT[2..])));
    let request = origin.only_request();
    assert_eq!((parts(&request)[0].as_str(), request.get("tracestate")), (&PARENT[3..35], None));
}

#[test]
fn what_is_not_sampled_is_passed_on_and_not_exported() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let tollgate = forwarding(&collector, ", sample: 0%", &origin);
    for fields in [String::new(), format!("traceparent: {UNSAMPLED}\r\ntracestate: a=1\r\n")] {
        assert_eq!(tollgate.request(with(&fields)).status, 200);
    }
    // The one that is comes behind them.
    tollgate.request(with(&format!("traceparent: {PARENT}\r\n")));
    let requests = origin.requests();
    let flags: Vec<_> = requests.iter().map(|r| parts(r)[2].clone()).collect();
    assert_eq!(flags, ["00", "00", "01"]);
    assert_eq!(
        (parts(&requests[1])[0].as_str(), requests[1].get("tracestate")),
        (&PARENT[3..35], Some("a=1"))
    );
    assert_ne!(parts(&requests[1])[1], PARENT[36..52]);
    assert_eq!(collector.spans(2).len(), 2);
}

#[test]
fn without_by_parent_the_share_decides() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let tollgate = forwarding(&collector, ", sample: 0%, by_parent: false", &origin);
    tollgate.request(with(&format!("traceparent: {PARENT}\r\n")));
    assert_eq!(parts(&origin.only_request())[2], "00");
}

#[test]
fn each_attempt_has_a_span_and_names_it_to_its_endpoint() {
    let bad = Origin::start(|connection| {
        connection.request();
        connection.reset();
    });
    let (collector, good) = (Collector::start(), Origin::echo());
    let routes = format!(
        "upstreams: {{ u: {{ endpoints: [\"{}\", \"{}\"], ejection: none }} }}\n\
         routes: [{{ name: r, path: /, to: u, retry: {{ attempts: 2 }} }}]\n",
        bad.address(),
        good.address()
    );
    let tollgate = tracing(&collector, "", &routes);
    // The endpoints take turns, so one of two requests meets the bad one.
    let body = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
    let mut sent = 0;
    while bad.requests().is_empty() {
        sent += 1;
        assert!(sent <= 2, "the bad endpoint was not asked");
        let response = tollgate.request(format!("{body}traceparent: {PARENT}\r\n\r\nhello"));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    }
    let spans = collector.spans(2 * sent + 1);
    assert_eq!(spans.len(), 2 * sent + 1, "{spans:?}");
    let failed: Vec<_> = spans.iter().filter(|s| attribute(s, "error.type") == "upstream_closed").collect();
    let [failed] = failed[..] else { panic!("{spans:?}") };
    assert_eq!(attribute(failed, "tollgate.endpoint"), bad.address().to_string());
    assert_eq!(hex(&failed.span_id), parts(&bad.only_request())[1]);
    assert_eq!(failed.status.as_ref().unwrap().code, 2);
    let repeated: Vec<_> =
        attempts(&spans).into_iter().filter(|s| attribute(s, "http.request.resend_count") == "1").collect();
    let [repeated] = repeated[..] else { panic!("{spans:?}") };
    assert_eq!(repeated.parent_span_id, failed.parent_span_id);
    assert_eq!(attribute(repeated, "tollgate.endpoint"), good.address().to_string());
    let told: HashSet<_> = good.requests().iter().map(|r| parts(r)[1].clone()).collect();
    assert!(told.len() == sent && told.contains(&hex(&repeated.span_id)), "{told:?}");
    let server = spans.iter().find(|s| s.span_id == failed.parent_span_id).unwrap();
    assert_eq!(attribute(server, "http.response.status_code"), "200");
    assert!(server.status.is_none());
    let events: Vec<_> = server.events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(events, ["retry"]);
    assert_eq!(text_of(server.events[0].attributes[0].value.clone().unwrap().value), "upstream_closed");
}

#[test]
fn failures_are_told_with_their_reason() {
    let (refused, _guard) = refusing();
    let collector = Collector::start();
    let routes = format!("routes: [{{ name: r, path: /to, to: \"http://{refused}\", retry: none }}]\n");
    let tollgate = tracing(&collector, ", sample: 100%", &routes);
    assert_eq!(tollgate.request(get("/to")).status, 502);
    assert_eq!(tollgate.request(get("/nowhere")).status, 404);
    assert_eq!(tollgate.request(get("/%00")).status, 400);
    let spans = collector.spans(4);
    let [attempt] = attempts(&spans)[..] else { panic!("{spans:?}") };
    assert_eq!(
        (attribute(attempt, "error.type").as_str(), attempt.status.as_ref().unwrap().code),
        ("connect_failed", 2)
    );
    let of = |reason| spans.iter().find(|s| attribute(s, "tollgate.reason") == reason).unwrap();
    let failed = of("connect_failed");
    assert_eq!((failed.status.as_ref().unwrap().code, failed.name.as_str()), (2, "GET r"));
    assert_eq!(attribute(failed, "http.response.status_code"), "502");
    assert_eq!(failed.span_id, attempt.parent_span_id);
    for (reason, status, name) in [("no_route", "404", "GET"), ("bad_path", "400", "GET")] {
        let span = of(reason);
        assert_eq!(
            (attribute(span, "http.response.status_code").as_str(), span.name.as_str()),
            (status, name)
        );
        assert_eq!(attribute(span, "error.type"), reason);
        assert!(span.status.is_none(), "the client's error is none of the span: {span:?}");
    }
}

#[test]
fn a_route_has_the_last_word_on_the_field() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let routes = format!(
        "routes: [{{ path: /, to: \"http://{}\", headers: {{ request: {{ remove: [traceparent, tracestate] }} }} }}]\n",
        origin.address()
    );
    let tollgate = tracing(&collector, "", &routes);
    tollgate.request(with(&format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n")));
    let request = origin.only_request();
    assert_eq!((request.get("traceparent"), request.get("tracestate")), (None, None));
    assert_eq!(collector.spans(2).len(), 2);
}

#[test]
fn a_route_can_be_left_out() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let routes = format!(
        "routes: [{{ path: /a, to: \"http://{0}\", trace: false }}, {{ path: /b, to: \"http://{0}\" }}]\n",
        origin.address()
    );
    let tollgate = tracing(&collector, ", sample: 100%", &routes);
    tollgate.request(with(&format!("traceparent: {PARENT}\r\ntracestate: whatever\r\n")));
    tollgate.request(with(""));
    tollgate.request(get("/b"));
    let requests = origin.requests();
    assert_eq!(
        (requests[0].get("traceparent"), requests[0].get("tracestate")),
        (Some(PARENT), Some("whatever"))
    );
    assert_eq!((requests[1].get("traceparent"), parts(&requests[2])[2].as_str()), (None, "01"));
    assert_eq!(collector.spans(2).len(), 2);
}

#[test]
fn without_tracing_the_fields_pass_untouched_and_the_log_names_the_trace() {
    let origin = Origin::saying("hello");
    let document =
        "version: 1\nworkers: 1\nlisten: \"127.0.0.1:0\"\nroutes: [{ path: /, to: \"http://{origin}\" }]\n";
    let tollgate = Launch::new(PROGRAM, document).with("origin", origin.address()).start();
    let fields = format!("Traceparent: {PARENT}\r\nTraceState: whatever\r\n");
    for fields in [fields.as_str(), "traceparent: nonsense\r\n", ""] {
        assert_eq!(tollgate.request(with(fields)).status, 200);
    }
    let requests = origin.requests();
    assert!(requests[0].names().contains(&"Traceparent") && requests[0].names().contains(&"TraceState"));
    assert_eq!(
        (requests[0].get("traceparent"), requests[0].get("tracestate")),
        (Some(PARENT), Some("whatever"))
    );
    assert_eq!((requests[1].get("traceparent"), requests[2].get("traceparent")), (Some("nonsense"), None));
    let line = |number| tollgate.stdout_line(number, "\"url.path\"");
    assert!(line(0).contains(&format!(
        "\"trace_id\":\"{}\",\"span_id\":\"{}\"",
        &PARENT[3..35],
        &PARENT[36..52]
    )));
    assert!(!line(1).contains("trace_id") && !line(2).contains("trace_id"));
}

/// Sends requests, and tells how many spans they made.
fn traffic(tollgate: &Tollgate, count: usize) -> f64 {
    let mut client = tollgate.connect();
    for _ in 0..count {
        assert_eq!(client.request(with("")).status, 200);
    }
    2.0 * count as f64
}

fn counts(tollgate: &Tollgate) -> [f64; 3] {
    ["exported", "dropped", "failed"]
        .map(|what| tollgate.metric(&format!("tollgate_trace_spans_{what}_total")))
}

#[test]
fn a_collector_that_refuses_costs_counted_spans_and_no_traffic() {
    let refusing = Origin::answering(|_| b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    let origin = Origin::saying("hello");
    let routes = format!("routes: [{{ path: /, to: \"http://{}\" }}]\n", origin.address());
    let tollgate = tracing_to(refusing.address(), ", sample: 100%", &routes);
    let spans = traffic(&tollgate, 300);
    tollgate.stderr_line("traces are not taken by http://");
    let until = Instant::now() + PATIENCE;
    while counts(&tollgate) != [0.0, 0.0, spans] {
        assert!(Instant::now() < until, "{:?}", counts(&tollgate));
    }
    assert!(!tollgate.stderr().contains("hunter2"));
}

#[test]
fn a_collector_that_never_answers_costs_a_bounded_queue_and_no_traffic() {
    let (gate, asked) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (held, count) = (gate.clone(), asked.clone());
    let silent = Origin::start(move |connection| {
        connection.request();
        count.fetch_add(1, Ordering::SeqCst);
        held.wait();
    });
    let origin = Origin::saying("hello");
    let routes =
        format!("routes: [{{ path: /, to: \"http://{}\" }}]\nshutdown: {{ grace: 5s }}\n", origin.address());
    let mut tollgate = tracing_to(silent.address(), ", sample: 100%, queue: 64KiB", &routes);
    let spans = traffic(&tollgate, 500);
    silent.wait_for_requests(1);
    let [exported, dropped, failed] = counts(&tollgate);
    assert_eq!((exported, failed), (0.0, 0.0));
    // 64 KiB hold some hundred spans; what is above that is gone. Those of the last tick are still on their way.
    assert!(dropped > spans / 2.0 && dropped < spans, "{dropped} of {spans}");
    tollgate.terminate();
    assert!(tollgate.wait().success(), "{}", tollgate.stderr());
    gate.open();
}

#[test]
fn a_collector_that_is_down_costs_nothing_but_is_told_once() {
    let (refused, _guard) = refusing();
    let origin = Origin::saying("hello");
    let routes = format!("routes: [{{ path: /, to: \"http://{}\" }}]\n", origin.address());
    let mut tollgate = tracing_to(refused, ", sample: 100%", &routes);
    traffic(&tollgate, 50);
    tollgate.stderr_line("traces are not taken by http://");
    traffic(&tollgate, 50);
    tollgate.terminate();
    assert!(tollgate.wait().success());
    assert_eq!(tollgate.stderr().matches("traces are not taken").count(), 1, "{}", tollgate.stderr());
}

#[test]
fn a_drain_sends_what_is_left() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let mut tollgate = forwarding(&collector, ", sample: 100%, timeout: 5s", &origin);
    let spans = traffic(&tollgate, 100) as usize;
    tollgate.terminate();
    assert!(tollgate.wait().success());
    let sent: usize = collector.0.requests().iter().map(|r| spans_of(r).len()).sum();
    assert_eq!(sent, spans);
}

/// Ends the program, and tells how many spans a collector got.
fn sent_by_the_end(mut tollgate: Tollgate, collector: &Collector) -> usize {
    tollgate.terminate();
    assert!(tollgate.wait().success());
    collector.0.requests().iter().map(|request| spans_of(request).len()).sum()
}

#[test]
fn a_reload_that_leaves_tracing_as_it_is_loses_no_span() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let text = |name: &str| {
        let routes = format!("routes: [{{ name: {name}, path: /, to: \"http://{}\" }}]\n", origin.address());
        document(collector.0.address(), ", sample: 100%, timeout: 5s", &routes)
    };
    let tollgate = Launch::new(PROGRAM, &text("before")).start();
    let mut spans = 0.0;
    for (number, name) in [(2, "once"), (3, "twice"), (4, "thrice")] {
        spans += traffic(&tollgate, 50);
        let said = tollgate.reload(&text(name));
        assert!(said.contains(&format!("document {number} is in force")), "{said}");
        spans += traffic(&tollgate, 50);
    }
    assert_eq!(counts(&tollgate)[1..], [0.0, 0.0]);
    assert_eq!(sent_by_the_end(tollgate, &collector), spans as usize);
}

#[test]
fn after_a_reload_each_span_goes_to_the_collector_of_the_document_it_began_with() {
    let (first, second) = (Collector::start(), Collector::start());
    let gate = Gate::new();
    let held = gate.clone();
    let slow = Origin::start(move |connection| {
        connection.request();
        held.wait();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    let quick = Origin::saying("hello");
    let routes = format!(
        "routes: [{{ path: /held, to: \"http://{}\" }}, {{ path: /, to: \"http://{}\" }}]\n",
        slow.address(),
        quick.address()
    );
    let text =
        |collector: &Collector| document(collector.0.address(), ", sample: 100%, timeout: 5s", &routes);
    let tollgate = Launch::new(PROGRAM, &text(&first)).start();
    let before = traffic(&tollgate, 40) as usize;
    let mut waiting = tollgate.connect();
    waiting.send(get("/held"));
    slow.wait_for_requests(1);
    let said = tollgate.reload(&text(&second));
    assert!(said.contains("document 2 is in force") && !tollgate.stderr().contains("hunter2"), "{said}");
    // What had ended is sent, though an exchange is still on the document before.
    assert_eq!(first.spans(before).len(), before);
    let after = traffic(&tollgate, 40) as usize;
    assert_eq!(second.spans(after).len(), after);
    gate.open();
    assert_eq!(waiting.response().text(), "slow");
    assert_eq!(first.spans(before + 2).len(), before + 2);
    // One that stops the tracing, and one that begins it.
    let none = format!("{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\n{routes}");
    assert!(tollgate.reload(&none).contains("document 3 is in force"));
    traffic(&tollgate, 10);
    assert!(tollgate.reload(&text(&second)).contains("document 4 is in force"));
    let last = traffic(&tollgate, 10) as usize;
    assert_eq!(counts(&tollgate)[1..], [0.0, 0.0]);
    assert_eq!(sent_by_the_end(tollgate, &second), after + last);
    assert_eq!(first.0.requests().iter().flat_map(spans_of).count(), before + 2);
}

#[test]
fn the_log_names_the_trace_and_the_span_of_the_exchange() {
    let (collector, origin) = (Collector::start(), Origin::saying("hello"));
    let routes = format!("routes: [{{ name: all, path: /, to: \"http://{}\" }}]\n", origin.address());
    let text = document(collector.0.address(), "", &routes).replace("access_log: none", "access_log: stdout");
    let tollgate = Launch::new(PROGRAM, &text).start();
    assert_eq!(tollgate.request(with(&format!("traceparent: {PARENT}\r\n"))).status, 200);
    let spans = collector.spans(2);
    let server = server(&spans);
    let [trace, span] = [&server.trace_id, &server.span_id].map(|id| hex(id));
    let line = tollgate.stdout_line(0, "\"url.path\"");
    assert!(line.contains(&format!("\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")), "{line}");
}
