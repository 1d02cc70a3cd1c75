use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use tollgate_decision::Reason;

use super::super::context::{SpanId, TraceId};
use super::{AttemptSpan, Envelope, ExchangeSpan, Identity, RetryEvent, write_attempt, write_exchange};

fn identity(parent: Option<u64>) -> Identity<'static> {
    Identity {
        trace_id: TraceId::new(0x0102).unwrap(),
        span_id: SpanId::new(7).unwrap(),
        parent: parent.and_then(SpanId::new),
        state: b"a=1",
        start_ns: 1_000_000_007,
        end_ns: 2_000_000_009,
    }
}

fn exchange() -> ExchangeSpan<'static> {
    ExchangeSpan {
        identity: identity(Some(3)),
        method: b"GET",
        usual_method: true,
        path: b"/a/\xff",
        host: b"shop.example",
        version: "1.1",
        client: "::ffff:192.0.2.1".parse().unwrap(),
        request_id: b"id-1",
        route: "catalog",
        upstream: "products",
        status: 502,
        reason: Reason::ConnectFailed,
    }
}

fn attempt() -> AttemptSpan<'static> {
    AttemptSpan {
        identity: identity(Some(9)),
        method: b"BREW",
        usual_method: false,
        endpoint: "[::1]:8080",
        upstream: "products",
        resend_count: 2,
        reused: true,
        status: 0,
        failure: Some(Reason::UpstreamClosed),
    }
}

fn decoded(blocks: &[Vec<u8>]) -> (TracesData, Vec<Span>) {
    let envelope = Envelope::new("edge", "one", "0.1.0");
    let data = TracesData::decode(&*envelope.enclose(blocks.iter().map(Vec::as_slice))).unwrap();
    let spans = data.resource_spans[0].scope_spans[0].spans.clone();
    (data, spans)
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let mut found = span.attributes.iter().filter(|a| a.key == key);
    let first = found.next()?;
    assert!(found.next().is_none(), "{key} stands twice");
    first.value.clone()?.value
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.into()))
}

#[test]
fn published_types_read_what_is_written() {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let retry = RetryEvent { time_ns: 5, reason: Reason::ConnectTimeout };
    write_exchange(&mut first, &exchange(), [retry, retry].into_iter());
    write_attempt(&mut first, &attempt());
    write_attempt(&mut second, &AttemptSpan { failure: None, status: 404, resend_count: 0, ..attempt() });
    let (data, spans) = decoded(&[first, second]);
    let resource = data.resource_spans[0].resource.as_ref().unwrap();
    let names: Vec<_> = resource.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(names, ["service.name", "service.instance.id", "service.version"]);
    assert_eq!(data.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "tollgate");
    let [server, failed, answered] = spans.as_slice() else { panic!("{} spans", spans.len()) };

    assert_eq!((server.name.as_str(), server.kind()), ("GET catalog", SpanKind::Server));
    assert_eq!(server.trace_id, 0x0102u128.to_be_bytes());
    assert_eq!(
        (&*server.span_id, &*server.parent_span_id),
        (&7u64.to_be_bytes()[..], &3u64.to_be_bytes()[..])
    );
    assert_eq!((server.trace_state.as_str(), server.flags), ("a=1", 0x301));
    assert_eq!((server.start_time_unix_nano, server.end_time_unix_nano), (1_000_000_007, 2_000_000_009));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a/\u{fffd}"),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("client.address", "192.0.2.1"),
        ("network.protocol.version", "1.1"),
        ("http.route", "catalog"),
        ("error.type", "connect_failed"),
        ("tollgate.reason", "connect_failed"),
        ("tollgate.upstream", "products"),
        ("tollgate.request_id", "id-1"),
    ] {
        assert_eq!(attribute(server, key), text(value), "{key}");
    }
    assert_eq!(attribute(server, "http.response.status_code"), Some(Value::IntValue(502)));
    assert_eq!(server.status.as_ref().map(|s| (s.code, s.message.is_empty())), Some((2, false)));
    let events: Vec<_> = server.events.iter().map(|e| (e.time_unix_nano, e.name.as_str())).collect();
    assert_eq!(events, [(5, "retry"); 2]);

    assert_eq!((failed.name.as_str(), failed.kind(), failed.flags), ("HTTP", SpanKind::Client, 0x101));
    assert_eq!(attribute(failed, "http.request.method"), text("_OTHER"));
    assert_eq!(attribute(failed, "http.request.method_original"), text("BREW"));
    assert_eq!(attribute(failed, "server.address"), text("::1"));
    assert_eq!(attribute(failed, "server.port"), Some(Value::IntValue(8080)));
    assert_eq!(attribute(failed, "tollgate.endpoint"), text("[::1]:8080"));
    assert_eq!(attribute(failed, "tollgate.connection.reused"), Some(Value::BoolValue(true)));
    assert_eq!(attribute(failed, "http.request.resend_count"), Some(Value::IntValue(2)));
    assert_eq!(attribute(failed, "http.response.status_code"), None);
    assert_eq!(attribute(failed, "error.type"), text("upstream_closed"));

    assert_eq!(attribute(answered, "http.request.resend_count"), None);
    assert_eq!(attribute(answered, "error.type"), text("404"));
    assert_eq!(answered.status.as_ref().map(|s| s.code), Some(2));
}

#[test]
fn an_error_of_the_client_is_none_of_the_span() {
    for (status, reason, error, type_) in [
        (200, Reason::Forwarded, false, None),
        (404, Reason::Forwarded, false, None),
        (503, Reason::Forwarded, true, text("503")),
        (404, Reason::NoRoute, false, text("no_route")),
        (0, Reason::ClientClosed, false, text("client_closed")),
        (504, Reason::TryTimeout, true, text("try_timeout")),
        (200, Reason::ResponseIncomplete, true, text("response_incomplete")),
    ] {
        let mut out = Vec::new();
        write_exchange(&mut out, &ExchangeSpan { status, reason, ..exchange() }, std::iter::empty());
        let (_, spans) = decoded(&[out]);
        assert_eq!(spans[0].status.is_some(), error, "{status} {reason:?}");
        assert_eq!(attribute(&spans[0], "error.type"), type_, "{status} {reason:?}");
    }
}

#[test]
fn what_a_client_chooses_is_cut() {
    let long = vec![b'x'; 60_000];
    let mut out = Vec::new();
    let span = ExchangeSpan { path: &long, method: &long, usual_method: false, ..exchange() };
    write_exchange(&mut out, &span, std::iter::empty());
    assert!(out.len() < 2_000, "{} bytes", out.len());
    assert_eq!(decoded(&[out]).1.len(), 1);
}

#[test]
fn addresses_are_shown_as_usual() {
    for shown in ["0.0.0.0", "127.0.0.1", "10.20.30.40", "255.99.100.9", "2001:db8::1", "::"] {
        let mut out = Vec::new();
        write_exchange(
            &mut out,
            &ExchangeSpan { client: shown.parse().unwrap(), ..exchange() },
            std::iter::empty(),
        );
        assert_eq!(attribute(&decoded(&[out]).1[0], "client.address"), text(shown));
    }
}
