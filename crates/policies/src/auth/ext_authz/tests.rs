use std::sync::Mutex;

use prost::Message;
use tollgate_outbound::Security;
use tollgate_outbound::ext_authz::CheckRequest;
use tollgate_outbound::ext_authz::messages::{
    AppendAction, HeaderValue, HttpResponse, HttpStatus, OkHttpResponse, QueryParameter, Status,
};
use tollgate_outbound::grpc;
use tollgate_policy::{Caller, Consumer, Consumers, CredentialKind, Moment, Refused};
use tollgate_testkit::PATIENCE;
use tollgate_testkit::http2::Http2Origin;

use super::*;
use crate::auth::trial::{Background, settle};
use crate::sample::{Sample, response};

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];
const OK: &[(&str, &str)] = &[("grpc-status", "0")];

struct Set {
    method: ExtAuthz,
    service: Http2Origin,
    asked: Arc<Mutex<Option<CheckRequest>>>,
    _background: Background,
}

fn set(answer: CheckResponse, if_unreachable: IfUnreachable) -> Set {
    let framed = answer.encode_to_vec();
    let framed = [&[0][..], &u32::try_from(framed.len()).unwrap().to_be_bytes(), &framed].concat();
    serving(framed, OK, if_unreachable)
}

fn serving(
    framed: Vec<u8>,
    trailers: &'static [(&'static str, &'static str)],
    if_unreachable: IfUnreachable,
) -> Set {
    let asked = Arc::new(Mutex::new(None));
    let seen = asked.clone();
    let service = Http2Origin::start(move |mut served| {
        if served.body().is_ok() {
            *seen.lock().unwrap() = CheckRequest::decode(&served.request.body[5..]).ok();
            served.answer(200, GRPC, framed.clone(), trailers);
        }
    });
    let (background, http) = Background::start();
    let url = format!("http://{}", service.address()).parse().unwrap();
    let settings =
        grpc::Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..grpc::Settings::default() };
    let client = GrpcClient::new(url, settings, Security::system(), http.runtime().clone()).unwrap();
    let settings = Settings {
        name: "ext".to_owned(),
        place: service.address().to_string(),
        response_headers: vec!["x-user".to_owned()],
        consumer_header: Some("X-User".to_owned()),
        context: vec![("a".to_owned(), "b".to_owned())],
        if_unreachable,
    };
    Set { method: ExtAuthz::new(settings, client).unwrap(), service, asked, _background: background }
}

impl Set {
    fn ask(&self, sample: &Sample) -> (Finding, Gate) {
        let (mut consumers, mut gate) = (Consumers::default(), Gate::default());
        consumers.add(Consumer { name: "alice".into(), ..Consumer::default() });
        consumers.give("alice", CredentialKind::Subject, b"al", None).unwrap();
        let moment = Moment { wall_us: 1_500_000, ..Moment::default() };
        let asked = Asked { consumers: &consumers, moment, ..sample.asked() };
        self.method.remove_forged(&mut gate.request);
        (settle(&self.method, &asked, &mut gate), gate)
    }
}

fn option(key: &str, value: &str, action: AppendAction) -> HeaderValueOption {
    let header = Some(HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() });
    HeaderValueOption { header, append_action: action as i32, ..HeaderValueOption::default() }
}

fn passing(response: OkHttpResponse) -> CheckResponse {
    CheckResponse { status: None, http_response: Some(HttpResponse::Ok(response)) }
}

fn unavailable(finding: Finding) {
    let is_it =
        matches!(&finding, Finding::Refused(Refused { reason: Reason::AuthorizationUnavailable, .. }));
    assert!(is_it, "{finding:?}");
}

#[test]
fn the_service_is_told_what_envoy_tells() {
    let set = set(CheckResponse::default(), IfUnreachable::Deny);
    let sample = Sample::new(
        "POST /a?b=c",
        "Host: a.example\r\nX-One: 1\r\nx-one: 2\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nContent-Length: 7\r\n",
    );
    let (finding, gate) = set.ask(&sample);
    assert!(matches!(finding, Finding::Known(_)), "{finding:?}");
    assert!(gate.request.lines().is_empty() && gate.query.is_none());
    let attributes = set.asked.lock().unwrap().take().unwrap().attributes.unwrap();
    let source = attributes.source.unwrap().address.unwrap().socket_address.unwrap();
    assert_eq!((source.address.as_str(), attributes.context_extensions["a"].as_str()), ("192.0.2.1", "b"));
    let request = attributes.request.unwrap();
    let (time, http) = (request.time.unwrap(), request.http.unwrap());
    assert_eq!((time.seconds, time.nanos), (1, 500_000_000));
    assert_eq!(
        (http.method.as_str(), http.path.as_str(), http.host.as_str()),
        ("POST", "/a?b=c", "a.example")
    );
    assert_eq!(
        (http.scheme.as_str(), http.protocol.as_str(), http.size, http.id.as_str()),
        ("https", "HTTP/1.1", 7, "id")
    );
    for (name, value) in [
        ("x-one", Some("1,2")),
        ("x-forwarded-for", Some("192.0.2.1")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", None),
        (":path", Some("/a?b=c")),
        (":authority", Some("a.example")),
        ("X-One", None),
    ] {
        assert_eq!(http.headers.get(name).map(String::as_str), value, "{name}");
    }
}

#[test]
fn what_the_service_changes_is_changed_but_for_host_framing_and_connection() {
    use AppendAction::*;
    let headers = vec![
        option("x-user", "nobody", OverwriteIfExistsOrAdd),
        option("X-User", "al", OverwriteIfExistsOrAdd),
        option("x-there", "more", AppendIfExistsOrAdd),
        option("x-there", "no", AddIfAbsent),
        option("x-new", "1", AddIfAbsent),
        option("x-missing", "no", OverwriteIfExists),
        option("x-empty", "", OverwriteIfExistsOrAdd),
        option("host", "evil.example", OverwriteIfExistsOrAdd),
        option(":path", "/admin", OverwriteIfExistsOrAdd),
        option("Content-Length", "0", OverwriteIfExistsOrAdd),
        option("transfer-encoding", "chunked", OverwriteIfExistsOrAdd),
        option("connection", "x-user", OverwriteIfExistsOrAdd),
        option("x-split", "a\r\nX-Evil: 1", OverwriteIfExistsOrAdd),
        option("x-evil: 1\r\nx", "1", OverwriteIfExistsOrAdd),
    ];
    let response_headers_to_add = vec![
        option("x-default", "1", AddIfAbsent),
        option("set-cookie", "a=1", AppendIfExistsOrAdd),
        option("set-cookie", "b=2", AppendIfExistsOrAdd),
        option("content-length", "9", OverwriteIfExistsOrAdd),
    ];
    let parameter = QueryParameter { key: "s p".into(), value: "&".into() };
    let set = set(
        passing(OkHttpResponse {
            headers,
            headers_to_remove: vec!["X-Gone".into(), "Host".into(), "content-length".into()],
            response_headers_to_add,
            query_parameters_to_set: vec![parameter],
            query_parameters_to_remove: vec!["token".into()],
        }),
        IfUnreachable::Deny,
    );
    let sample = Sample::new("GET /?a=%20&t%6fken=x&b", "X-User: root\r\nX-There: 1\r\nX-Gone: 1\r\n");
    let (finding, gate) = set.ask(&sample);
    let Finding::Known(caller) = finding else { panic!("{finding:?}") };
    assert_eq!((caller.name(), caller.subject.as_deref()), ("alice", Some("al")));
    let lines = String::from_utf8(gate.request.lines().to_vec()).unwrap();
    assert_eq!(lines, "X-User: al\r\nx-there: more\r\nx-new: 1\r\n");
    assert!(gate.request.replaces("x-user") && gate.request.replaces("x-gone"));
    assert!(["host", "content-length", "x-there"].iter().all(|name| !gate.request.replaces(name)));
    assert_eq!(response(&gate), "set-cookie: a=1\r\nset-cookie: b=2\r\nx-default: 1\r\n");
    assert_eq!(gate.query.as_deref(), Some(&b"a=%20&b&s%20p=%26"[..]));
}

#[test]
fn forged_identity_fields_are_gone_even_where_the_service_names_nobody() {
    let set = set(CheckResponse::default(), IfUnreachable::Deny);
    let (finding, gate) = set.ask(&Sample::new("GET /", "X-User: al\r\n"));
    let Finding::Known(caller) = finding else { panic!("{finding:?}") };
    assert_eq!(caller, Caller { auth: "ext".into(), ..Caller::default() });
    assert!(gate.request.replaces("x-user") && gate.request.lines().is_empty());
}

#[test]
fn a_denial_goes_to_the_client_without_what_would_change_its_framing() {
    use AppendAction::OverwriteIfExistsOrAdd as Set;
    let headers = vec![
        option("location", "https://login.example/", Set),
        option("content-type", "text/html", Set),
        option("content-length", "1000", Set),
        option("transfer-encoding", "chunked", Set),
        option(":status", "200", Set),
        option("x-split", "a\r\nX: 1", Set),
    ];
    let status = Some(HttpStatus { code: 401 });
    let denied = DeniedHttpResponse { status, headers, body: "no".to_owned() };
    let answer = CheckResponse {
        status: Some(Status { code: 16, message: String::new() }),
        http_response: Some(HttpResponse::Denied(denied)),
    };
    let (finding, gate) = set(answer, IfUnreachable::Allow).ask(&Sample::new("GET /", ""));
    let Finding::Answer(answer) = finding else { panic!("{finding:?}") };
    assert_eq!((answer.status, answer.reason), (401, Some(Reason::AuthorizationDenied)));
    assert_eq!(answer.fields.lines(), b"location: https://login.example/\r\n");
    assert_eq!((answer.content_type.as_deref(), &answer.body[..]), (Some("text/html"), &b"no"[..]));
    assert!(gate.response.is_empty());
}

#[test]
fn a_service_that_cannot_decide_lets_nothing_pass_unless_it_may() {
    let sample = Sample::new("GET /", "");
    let undecided = || CheckResponse {
        status: Some(Status { code: 14, message: String::new() }),
        http_response: Some(HttpResponse::Error(DeniedHttpResponse::default())),
    };
    unavailable(set(undecided(), IfUnreachable::Deny).ask(&sample).0);
    unavailable(serving(Vec::new(), &[("grpc-status", "7")], IfUnreachable::Deny).ask(&sample).0);
    unavailable(serving(b"\0\0\0\0\x01\xff".to_vec(), OK, IfUnreachable::Deny).ask(&sample).0);
    let (finding, _) = set(undecided(), IfUnreachable::Allow).ask(&sample);
    let Finding::Known(caller) = finding else { panic!("{finding:?}") };
    assert_eq!(caller, Caller { auth: "ext".into(), ..Caller::default() });
}

#[test]
fn explaining_asks_nobody() {
    let set = set(CheckResponse::default(), IfUnreachable::Deny);
    let sample = Sample::new("GET /", "");
    let finding = set.method.identify(&sample.asked(), &mut Gate::default(), None);
    assert!(matches!(finding, Finding::Wait(_)), "{finding:?}");
    drop(finding);
    assert!(set.service.requests().is_empty());
}
