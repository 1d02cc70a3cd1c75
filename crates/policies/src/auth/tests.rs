use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use tollgate_message::{BodyLength, FieldList, Fields, Method as HttpMethod, Version};
use tollgate_policy::{Connection, Consumer, Consumers, Moment};

use super::*;

/// Finds what a test says.
#[derive(Debug)]
struct Scripted(Arc<str>, Mutex<Vec<Finding>>);

impl Method for Scripted {
    fn name(&self) -> &Arc<str> {
        &self.0
    }
    fn identify(&self, _: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        gate.request.add("x-asked", &self.0);
        match resolution.map(Resolution::downcast::<&str>) {
            Some(Ok(text)) => Finding::Known(Caller { subject: Some((*text).into()), ..Caller::default() }),
            _ => self.1.lock().unwrap().remove(0),
        }
    }
    fn challenge(&self, _: Reason) -> Option<String> {
        Some(format!("Test realm=\"{}\"", self.0))
    }
    fn remove_forged(&self, edits: &mut Edits) {
        edits.remove("x-claim");
    }
}

fn method(name: &str, findings: Vec<Finding>) -> Arc<dyn Method> {
    Arc::new(Scripted(name.into(), Mutex::new(findings)))
}

fn alice() -> Caller {
    let consumer =
        Consumer { name: "alice".into(), groups: ["a".into(), "b".into()].into(), ..Consumer::default() };
    Caller { consumer: Some(Arc::new(consumer)), auth: "one".into(), ..Caller::default() }
}

fn ask(auth: &Auth, gate: &mut Gate, mode: Mode<'_>, resolution: Option<Resolution>) -> Verdict {
    let (list, mut consumers) = (FieldList::default(), Consumers::default());
    consumers.add(Consumer { name: "guest".into(), ..Consumer::default() });
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection {
        listener: "l",
        client: address,
        peer: address,
        version: Version::Http11,
        tls: false,
        server_name: None,
        certificate: None,
    };
    let asked = Asked {
        method: HttpMethod::Get,
        method_bytes: b"GET",
        fields: Fields::new(b"", &list),
        host: b"a.example",
        authority: b"a.example",
        path: b"/",
        query: None,
        body: BodyLength::None,
        connection,
        route: "r",
        request_id: b"id",
        moment: Moment::default(),
        consumers: &consumers,
        mode,
    };
    auth.decide(&asked, gate, resolution)
}

fn auth(methods: Vec<Arc<dyn Method>>, wanted: Wanted, anonymous: Option<Anonymous>) -> Auth {
    let identity = IdentityFields {
        consumer: Some("x-consumer".into()),
        groups: Some("x-groups".into()),
        ..IdentityFields::default()
    };
    Auth::new(methods, wanted, anonymous, identity)
}

fn refused(verdict: Verdict) -> Reason {
    match verdict {
        Verdict::Refuse(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_of_several_is_enough_and_is_handed_on_in_fields_that_cannot_be_forged() {
    let methods = vec![method("one", vec![Finding::Absent]), method("two", vec![Finding::Known(alice())])];
    let mut gate = Gate::default();
    let auth = auth(methods, Wanted::Any, None);
    assert!(matches!(ask(&auth, &mut gate, Mode::Serve, None), Verdict::Continue(None)));
    assert_eq!(gate.caller.name(), "alice");
    assert!(["x-claim", "x-consumer", "x-groups"].iter().all(|name| gate.request.replaces(name)));
    let lines = String::from_utf8(gate.request.lines().to_vec()).unwrap();
    assert!(lines.contains("x-consumer: alice\r\nx-groups: a,b\r\n"), "{lines}");
    assert_eq!(Policy::name(&auth), "auth one or two");
}

#[test]
fn a_wrong_proof_is_refused_even_where_none_is_needed() {
    let wrong = || Finding::Refused(Reason::TokenExpired.into());
    let methods = vec![method("one", vec![wrong()]), method("two", vec![Finding::Absent])];
    let mut gate = Gate::default();
    let auth = auth(methods, Wanted::Any, Some(Anonymous::Nobody));
    assert_eq!(refused(ask(&auth, &mut gate, Mode::Serve, None)), Reason::TokenExpired);
    let lines = String::from_utf8(gate.response.lines().to_vec()).unwrap();
    assert_eq!(lines.matches("WWW-Authenticate: Test").count(), 2, "{lines}");
}

#[test]
fn without_a_proof_it_is_nobody_the_anonymous_consumer_or_a_login() {
    let absent = || vec![method("one", vec![Finding::Absent])];
    let mut gate = Gate::default();
    let none = auth(absent(), Wanted::Any, None);
    assert_eq!(refused(ask(&none, &mut gate, Mode::Serve, None)), Reason::Unauthenticated);
    let guest = auth(absent(), Wanted::Any, Some(Anonymous::Consumer("guest".into())));
    assert!(matches!(ask(&guest, &mut gate, Mode::Serve, None), Verdict::Continue(None)));
    assert_eq!((gate.caller.name(), gate.caller.anonymous), ("guest", true));
    let gone = auth(absent(), Wanted::Any, Some(Anonymous::Consumer("gone".into())));
    assert_eq!(refused(ask(&gone, &mut gate, Mode::Serve, None)), Reason::ConsumerUnknown);
    let login =
        vec![method("web", vec![Finding::Login(Box::default())]), method("one", vec![Finding::Absent])];
    let login = auth(login, Wanted::Any, None);
    assert!(matches!(ask(&login, &mut gate, Mode::Serve, None), Verdict::Answer(_)));
}

#[test]
fn all_must_find_the_same() {
    let bob = Consumer { name: "bob".into(), ..Consumer::default() };
    let bob = Caller { consumer: Some(Arc::new(bob)), auth: "two".into(), ..Caller::default() };
    let both =
        |second: Finding| vec![method("one", vec![Finding::Known(alice())]), method("two", vec![second])];
    let mut gate = Gate::default();
    let all = |second| auth(both(second), Wanted::All, None);
    assert_eq!(
        refused(ask(&all(Finding::Known(bob)), &mut gate, Mode::Serve, None)),
        Reason::IdentityConflict
    );
    assert_eq!(refused(ask(&all(Finding::Absent), &mut gate, Mode::Serve, None)), Reason::Unauthenticated);
    assert!(matches!(ask(&all(Finding::Known(alice())), &mut gate, Mode::Serve, None), Verdict::Continue(_)));
    assert_eq!(gate.caller.name(), "alice");
}

/// One proof does not do for two, in whatever order.
#[test]
fn where_all_must_prove_it_a_login_that_could_be_is_no_proof() {
    let login = || Finding::Login(Box::default());
    for (first, second) in [(login(), Finding::Known(alice())), (Finding::Known(alice()), login())] {
        let methods = vec![method("one", vec![first]), method("two", vec![second])];
        let mut gate = Gate::default();
        let verdict = ask(&auth(methods, Wanted::All, None), &mut gate, Mode::Serve, None);
        assert!(matches!(verdict, Verdict::Answer(_)), "{verdict:?}");
        assert_eq!(gate.caller, Caller::default());
    }
}

#[test]
fn a_certificate_that_is_missing_is_told_where_nothing_else_would_do() {
    let settings = certificate::Settings { name: "mesh".into(), allow_unknown: false };
    let mesh = || -> Arc<dyn Method> { Arc::new(certificate::Certificate::new(settings.clone())) };
    let other = || method("other", vec![Finding::Absent]);
    for (methods, wanted, reason) in [
        (vec![mesh()], Wanted::Any, Reason::CertificateAbsent),
        (vec![mesh(), other()], Wanted::All, Reason::CertificateAbsent),
        (vec![mesh(), other()], Wanted::Any, Reason::Unauthenticated),
        (vec![other(), mesh()], Wanted::All, Reason::Unauthenticated),
    ] {
        let auth = auth(methods, wanted, None);
        assert_eq!(refused(ask(&auth, &mut Gate::default(), Mode::Serve, None)), reason);
    }
}

#[test]
fn after_a_wait_only_the_method_that_waited_is_asked_again() {
    let waits = Finding::Wait(Wait::new("an answer", async { "carol" }));
    let methods = vec![method("one", vec![Finding::Known(alice())]), method("two", vec![waits])];
    let auth = auth(methods, Wanted::All, None);
    let mut gate = Gate::default();
    let Verdict::Wait(wait) = ask(&auth, &mut gate, Mode::Serve, None) else { panic!() };
    let mut future = wait.future;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(resolution) = future.as_mut().poll(&mut cx) else { panic!() };
    assert!(matches!(ask(&auth, &mut gate, Mode::Serve, Some(resolution)), Verdict::Continue(_)));
    assert_eq!((gate.caller.name(), gate.caller.subject.as_deref()), ("alice", Some("carol")));
    let lines = String::from_utf8(gate.request.lines().to_vec()).unwrap();
    assert_eq!(lines.matches("x-asked: one").count(), 1, "{lines}");
}

#[test]
fn a_caller_that_is_assumed_needs_no_proof() {
    let mut gate = Gate::default();
    let auth = auth(vec![method("one", vec![])], Wanted::Any, None);
    let verdict = ask(&auth, &mut gate, Mode::Explain(Some(&alice())), None);
    assert!(matches!(verdict, Verdict::Continue(_)));
    assert_eq!(gate.caller.name(), "alice");
}
