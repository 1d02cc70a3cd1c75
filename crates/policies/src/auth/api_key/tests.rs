use super::*;
use crate::auth::trial::{Trial, get};
use crate::sample::Sample;

const KEY: &str = "tg_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn trial() -> Trial {
    let mut trial = Trial::new();
    trial.give("alice", CredentialKind::ApiKey, &api_key::hash(KEY.as_bytes()).unwrap(), None);
    trial.give("bob", CredentialKind::ApiKey, &api_key::hash(b"bobs").unwrap(), None);
    trial
}

fn method(forward: bool) -> ApiKey {
    let places = Places::new(Some("X-API-Key"), Some("key"), Some("key"));
    ApiKey::new(Settings { name: "keys".into(), places, forward, realm: "r".into() })
}

#[test]
fn a_key_names_its_consumer_and_goes_no_further() {
    let trial = trial();
    let (caller, gate) = trial.caller(&method(false), &get(&format!("X-Api-Key: {KEY}\r\n")));
    assert_eq!((caller.name(), &*caller.auth, caller.subject.as_deref()), ("alice", "keys", None));
    assert!(gate.request.replaces("x-api-key") && gate.query.is_none());
    let (caller, gate) = trial.caller(&method(false), &Sample::new("GET /?key=bobs&a=1", ""));
    assert_eq!((caller.name(), gate.query.as_deref()), ("bob", Some(&b"a=1"[..])));
    let (caller, gate) = trial.caller(&method(true), &get("Cookie: key=bobs\r\n"));
    assert!(caller.name() == "bob" && gate.changes_nothing());
}

#[test]
fn strangers_and_odd_keys_are_refused_each_for_its_reason() {
    let (trial, long) = (trial(), "k".repeat(513));
    for (value, reason) in [
        ("unknown", Reason::CredentialUnknown),
        (&KEY[..KEY.len() - 1], Reason::CredentialUnknown),
        ("BOBS", Reason::CredentialUnknown),
        ("", Reason::CredentialMalformed),
        (&long, Reason::CredentialMalformed),
        ("b\u{f6}bs", Reason::CredentialMalformed),
        ("bo bs", Reason::CredentialMalformed),
    ] {
        let sample = get(&format!("X-API-Key: {value}\r\n"));
        assert_eq!(trial.refusal(&method(false), &sample), reason, "{value:.20}");
    }
    let mut gate = tollgate_policy::Gate::default();
    assert!(matches!(trial.ask(&method(false), &get(""), &mut gate), Finding::Absent));
}

#[test]
fn a_key_in_two_places_that_differ_is_refused_even_if_both_are_good() {
    let trial = trial();
    for sample in [
        Sample::new("GET /?key=bobs", &format!("X-API-Key: {KEY}\r\n")),
        Sample::new("GET /?key=bobs", "X-API-Key: bobsx\r\n"),
        Sample::new("GET /", &format!("X-API-Key: {KEY}\r\nX-API-Key: bobs\r\n")),
        Sample::new("GET /?key=bobs&key=bobsx", ""),
    ] {
        assert_eq!(trial.refusal(&method(false), &sample), Reason::CredentialMalformed);
    }
    let same = Sample::new("GET /?key=bobs", "X-API-Key: bobs\r\nCookie: key=bobs; a=1\r\n");
    let (caller, gate) = trial.caller(&method(false), &same);
    assert_eq!((caller.name(), gate.query.as_deref()), ("bob", Some(&b""[..])));
    assert_eq!(gate.request.lines(), b"Cookie: a=1\r\n");
}

#[test]
fn keys_shown_as_bearer_tokens_are_asked_for() {
    let settings =
        Settings { name: "k".into(), places: Places::bearer(), forward: false, realm: "a\"b".into() };
    let method = ApiKey::new(settings);
    assert_eq!(method.challenge(Reason::Unauthenticated).as_deref(), Some("Bearer realm=\"a\\\"b\""));
    let (caller, gate) = trial().caller(&method, &get("Authorization: bearer bobs\r\n"));
    assert!(caller.name() == "bob" && gate.request.replaces("authorization"));
}
