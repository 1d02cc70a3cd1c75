use tollgate_policy::{Answer, Caller, Consumer, Consumers, CredentialKind, Refused};
use tollgate_testkit::{Origin, PATIENCE, refusing};

use super::*;
use crate::auth::background::{Background, ask};
use crate::sample::Sample;

fn settings(origin: &Origin) -> Settings {
    let url = format!("http://{}/auth?x=1", origin.address()).parse().unwrap();
    let response_headers = vec!["X-User".to_owned(), "X-Role".to_owned()];
    let consumer_header = Some("X-User".to_owned());
    Settings { timeout: PATIENCE, response_headers, consumer_header, ..Settings::new("own", url) }
}

fn consumers() -> Consumers {
    let mut consumers = Consumers::default();
    consumers.add(Consumer { name: "alice".into(), ..Consumer::default() });
    consumers.give("alice", CredentialKind::Subject, b"al", None).unwrap();
    consumers
}

fn asks(settings: &Settings, sample: &Sample) -> (Finding, Gate) {
    let (background, mut gate, consumers) = (Background::start(), Gate::default(), consumers());
    let method = Forward::new(settings, background.client()).unwrap();
    method.remove_forged(&mut gate.request);
    let asked = Asked { consumers: &consumers, ..sample.asked() };
    (ask(&method, &asked, &mut gate), gate)
}

fn saying(answer: &'static str) -> Origin {
    Origin::answering(move |_| answer.as_bytes().to_vec())
}

fn known(finding: Finding) -> Caller {
    match finding {
        Finding::Known(caller) => caller,
        other => panic!("{other:?}"),
    }
}

fn answered(finding: Finding) -> Answer {
    match finding {
        Finding::Answer(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn unavailable(finding: Finding) -> String {
    match finding {
        Finding::Refused(Refused { reason: Reason::AuthorizationUnavailable, note, .. }) => {
            note.unwrap().into_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_service_hears_of_the_request_and_nothing_that_a_client_says_of_itself() {
    let service = saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let sample = Sample::new(
        "POST /a/b?c=d",
        "Authorization: Bearer t\r\nCookie: a=1\r\nCookie: b=2\r\nX-Secret: s\r\nContent-Length: 4\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Method: GET\r\nx-forwarded-uri: /public\r\nX-Request-ID: mine\r\n",
    );
    asks(&settings(&service), &sample);
    let asked = service.only_request();
    assert_eq!(asked.line(), "GET /auth?x=1 HTTP/1.1");
    for (name, values) in [
        ("x-forwarded-method", vec!["POST"]),
        ("x-forwarded-proto", vec!["https"]),
        ("x-forwarded-host", vec!["a.example"]),
        ("x-forwarded-uri", vec!["/a/b?c=d"]),
        ("x-forwarded-for", vec!["192.0.2.1"]),
        ("x-request-id", vec!["id"]),
        ("authorization", vec!["Bearer t"]),
        ("cookie", vec!["a=1", "b=2"]),
        ("x-secret", vec![]),
    ] {
        assert_eq!(asked.all(name), values, "{name}");
    }
    assert!(asked.body.is_empty());
    assert_eq!(asked.get("host"), Some(&*service.address().to_string()));
}

#[test]
fn a_request_that_passes_has_the_services_fields_and_none_that_were_forged() {
    let service = saying(
        "HTTP/1.1 204 No Content\r\nX-User: al\r\nX-Other: o\r\nSet-Cookie: s=1\r\nContent-Length: 0\r\n\r\n",
    );
    let sample = Sample::new("GET /", "X-User: root\r\nX-Role: admin\r\n");
    let (finding, gate) = asks(&settings(&service), &sample);
    let caller = known(finding);
    assert_eq!((caller.name(), caller.subject.as_deref(), &*caller.auth), ("alice", Some("al"), "own"));
    assert!(gate.request.replaces("x-user") && gate.request.replaces("x-role"));
    assert_eq!(gate.request.lines(), b"x-user: al\r\n");
    assert!(gate.response.is_empty());
}

#[test]
fn forged_identity_fields_are_gone_even_where_the_service_names_nobody() {
    let service = saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (finding, gate) = asks(&settings(&service), &Sample::new("GET /", "X-User: root\r\n"));
    assert_eq!(known(finding), Caller { auth: "own".into(), ..Caller::default() });
    assert!(gate.request.replaces("x-user") && gate.request.lines().is_empty());
}

#[test]
fn a_refusal_goes_to_the_client_with_safe_fields_only() {
    let service = saying(
        "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         WWW-Authenticate: Bearer\r\nContent-Type: text/html\r\nX-Internal: secret\r\nServer: x\r\n\
         Content-Length: 5\r\n\r\nlogin",
    );
    let answer = answered(asks(&settings(&service), &Sample::new("GET /", "")).0);
    assert_eq!((answer.status, answer.reason), (302, Some(Reason::AuthorizationDenied)));
    assert_eq!((answer.content_type.as_deref(), &answer.body[..]), (Some("text/html"), &b"login"[..]));
    let lines = String::from_utf8(answer.fields.lines().to_vec()).unwrap();
    assert_eq!(
        lines,
        "location: https://login.example/\r\nwww-authenticate: Bearer\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
    );
    assert_eq!(answer.note.as_deref(), Some("the service answered 302"));
}

#[test]
fn a_service_that_fails_lets_nothing_pass_unless_it_may() {
    let service = saying("HTTP/1.1 500 No\r\nX-User: al\r\nContent-Length: 0\r\n\r\n");
    let settings = settings(&service);
    let sample = Sample::new("GET /", "X-User: root\r\n");
    assert_eq!(unavailable(asks(&settings, &sample).0), "the service answered 500");
    let allowing = Settings { if_unreachable: IfUnreachable::Allow, ..settings };
    let (finding, gate) = asks(&allowing, &sample);
    assert_eq!(known(finding), Caller { auth: "own".into(), ..Caller::default() });
    assert!(gate.request.replaces("x-user") && gate.request.lines().is_empty());
}

#[test]
fn a_service_that_is_slow_is_given_up() {
    let service = Origin::start(|connection| {
        connection.request();
        connection.rest();
    });
    let slow = Settings { timeout: Duration::from_millis(20), ..settings(&service) };
    let note = unavailable(asks(&slow, &Sample::new("GET /", "")).0);
    assert!(note.contains("within 20 ms"), "{note}");
}

#[test]
fn a_service_that_says_too_much_garbage_or_nothing_lets_nothing_pass() {
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {0}\r\n\r\n{1}", BODY_MAX + 1, "x".repeat(BODY_MAX + 1)),
        format!("HTTP/1.1 200 OK\r\nX-User: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(64 * 1024)),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".to_owned(),
        "garbage\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let told = answer.clone();
        let service = Origin::start(move |connection| {
            if connection.request().is_some() {
                connection.send(&answer);
            }
        });
        let note = unavailable(asks(&settings(&service), &Sample::new("GET /", "")).0);
        assert!(!note.is_empty(), "{:.40}", told);
    }
    let (gone, _guard) = refusing();
    let url = format!("http://{gone}/").parse().unwrap();
    unavailable(
        asks(&Settings { timeout: PATIENCE, ..Settings::new("own", url) }, &Sample::new("GET /", "")).0,
    );
}

#[test]
fn names_that_are_not_the_services_or_the_clients_to_say_are_refused() {
    let background = Background::start();
    let fine = Settings::new("own", "http://127.0.0.1:1/".parse().unwrap());
    let setting = |settings: Settings| Forward::new(&settings, background.client()).unwrap_err().setting;
    for name in ["Host", "Content-Length", "Connection", "transfer-encoding", ":path", "a b", ""] {
        let names = vec!["X-Ok".to_owned(), name.to_owned()];
        assert_eq!(setting(Settings { response_headers: names.clone(), ..fine.clone() }), "response_headers");
        assert_eq!(setting(Settings { request_headers: names, ..fine.clone() }), "request_headers");
    }
    for name in ["X-Forwarded-For", "x-forwarded-uri", "X-Request-Id", "X-Real-IP", "Forwarded"] {
        assert_eq!(
            setting(Settings { request_headers: vec![name.to_owned()], ..fine.clone() }),
            "request_headers"
        );
    }
    assert_eq!(setting(Settings { method: "NO WAY".to_owned(), ..fine }), "method");
}

#[test]
fn explaining_asks_nobody() {
    let service = saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let background = Background::start();
    let method = Forward::new(&settings(&service), background.client()).unwrap();
    let sample = Sample::new("GET /", "");
    let finding = method.identify(&sample.asked(), &mut Gate::default(), None);
    let Finding::Wait(waits) = finding else { panic!("{finding:?}") };
    assert_eq!(waits.what, format!("the authorization service at {}", service.address()));
    drop(waits);
    assert_eq!(service.connections(), 0);
}
