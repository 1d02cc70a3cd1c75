use std::time::Duration;

use serde_json::{Value as Json, json};
use tollgate_policy::{CredentialKind, Gate};
use tollgate_testkit::{OidcProvider, PATIENCE};

use super::*;
use crate::auth::HandedOn;
use crate::auth::trial::{Background, Trial, bearer, lines, wait};

/// A provider that knows us, and a method that asks it.
struct Set {
    trial: Trial,
    provider: OidcProvider,
    answers: Arc<Answers>,
    method: Introspection,
    client: HttpClient,
    _background: Background,
}

fn settings(provider: &OidcProvider) -> Settings {
    Settings {
        tokens: TokenSettings::new("opaque"),
        url: provider.url("/introspect").parse().unwrap(),
        client_id: "gate way".to_owned(),
        client_secret: "s:3cret%".to_owned(),
        timeout: PATIENCE,
        scopes: Vec::new(),
        audience: Vec::new(),
        issuers: Vec::new(),
        ttl: Duration::from_secs(60),
    }
}

fn set_with(answers: AnswersSettings, change: impl FnOnce(&mut Settings)) -> Set {
    let provider = OidcProvider::start();
    provider.register("gate way", "s:3cret%", &[]);
    let (background, client) = Background::start();
    let answers = Arc::new(Answers::new(answers, &[7; 32]));
    let mut settings = settings(&provider);
    change(&mut settings);
    let method = Introspection::new(settings, client.clone(), answers.clone());
    let mut trial = Trial::new();
    trial.give("alice", CredentialKind::Subject, b"u1", None);
    Set { trial, provider, answers, method, client, _background: background }
}

fn set() -> Set {
    set_with(AnswersSettings::default(), |_| {})
}

impl Set {
    fn calls(&self) -> usize {
        self.provider.requests("/introspect")
    }

    fn token(&self, claims: Json) -> String {
        self.provider.issue_opaque(claims)
    }

    fn refusal(&self, token: &str) -> Reason {
        self.trial.refusal(&self.method, &bearer(token))
    }

    fn name(&self, token: &str) -> String {
        self.trial.caller(&self.method, &bearer(token)).0.name().to_owned()
    }
}

#[test]
fn an_active_token_names_its_consumer_and_is_asked_about_once_in_a_while() {
    let fields = HandedOn::new(vec![("X-User".to_owned(), "username".to_owned())]);
    let mut set = set_with(AnswersSettings::default(), |settings| {
        settings.tokens.claims = fields;
        settings.tokens.forward = false;
    });
    let token = set.token(json!({ "sub": "u1", "username": "al", "scope": "read" }));
    for _ in 0..3 {
        let (caller, gate) = set.trial.caller(&set.method, &bearer(&token));
        assert_eq!((caller.name(), &*caller.auth, caller.has_scope("read")), ("alice", "opaque", true));
        assert_eq!(lines(&gate), "X-User: al\r\n");
        assert!(gate.request.replaces("authorization"));
    }
    assert_eq!(set.calls(), 1);
    set.trial.later(59);
    set.name(&token);
    assert_eq!(set.calls(), 1);
    set.trial.later(1);
    set.provider.revoke(&token);
    assert_eq!(set.refusal(&token), Reason::TokenInactive);
    assert_eq!(set.refusal(&token), Reason::TokenInactive);
    assert_eq!((set.calls(), set.answers.calls()), (2, 0));
}

#[test]
fn an_answer_never_outlives_its_token() {
    let mut set = set();
    let token = set.token(json!({ "sub": "u1", "exp": set.trial.now() + 10 }));
    assert_eq!(set.name(&token), "alice");
    set.trial.later(9);
    assert_eq!((set.name(&token), set.calls()), ("alice".to_owned(), 1));
    set.trial.later(1);
    set.provider.revoke(&token);
    assert_eq!((set.refusal(&token), set.calls()), (Reason::TokenInactive, 2));
    let token = set.token(json!({ "sub": "u1", "exp": set.trial.now() + 10 }));
    set.trial.later(70);
    assert_eq!(set.refusal(&token), Reason::TokenExpired, "by our clock, whatever the server's is");
}

#[test]
fn what_the_server_leaves_to_us_is_checked() {
    let set = set_with(AnswersSettings::default(), |settings| {
        settings.scopes = vec!["read".to_owned(), "write".to_owned()];
        settings.audience = vec!["api".to_owned()];
        settings.issuers = vec!["https://iss.example".to_owned()];
    });
    let good =
        json!({ "sub": "u1", "iss": "https://iss.example", "aud": ["web", "api"], "scope": "write x read" });
    assert_eq!(set.name(&set.token(good.clone())), "alice");
    for (member, value, reason) in [
        ("scope", json!("read writes"), Reason::TokenClaims),
        ("scope", Json::Null, Reason::TokenClaims),
        ("aud", json!("web"), Reason::TokenAudience),
        ("aud", Json::Null, Reason::TokenAudience),
        ("iss", json!("https://iss.example/"), Reason::TokenIssuer),
        ("iss", Json::Null, Reason::TokenIssuer),
    ] {
        let mut claims = good.clone();
        claims[member] = value;
        assert_eq!(set.refusal(&set.token(claims)), reason, "{member}");
    }
}

#[test]
fn a_server_that_fails_proves_nobody_and_nothing_is_remembered_of_it() {
    let set = set();
    let token = set.token(json!({ "sub": "u1" }));
    for status in [500, 401, 204] {
        set.provider.fail(1, status);
        assert_eq!(set.refusal(&token), Reason::IdentityUnavailable, "{status}");
    }
    assert_eq!(set.name(&token), "alice");
    let wrong = Settings { client_secret: "other".to_owned(), ..settings(&set.provider) };
    let wrong = Introspection::new(
        wrong,
        set.client.clone(),
        Arc::new(Answers::new(AnswersSettings::default(), &[1; 32])),
    );
    assert_eq!(set.trial.refusal(&wrong, &bearer(&token)), Reason::IdentityUnavailable);
    let elsewhere = Settings { url: set.provider.url("/jwks").parse().unwrap(), ..settings(&set.provider) };
    let elsewhere = Introspection::new(elsewhere, set.client.clone(), set.answers.clone());
    assert_eq!(set.trial.refusal(&elsewhere, &bearer(&token)), Reason::IdentityUnavailable);
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_a_bounded_time() {
    let set = set_with(AnswersSettings::default(), |settings| settings.timeout = Duration::from_millis(20));
    set.provider.stall();
    assert_eq!(set.refusal("abc"), Reason::IdentityUnavailable);
    assert_eq!(set.answers.calls(), 0);
    set.provider.behave();
}

#[test]
fn answers_that_say_nothing_clear_prove_nobody() {
    let set = set();
    for answer in [
        "",
        "[]",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":false,"active":true}"#,
        r#"{"active":true,"exp":"soon"}"#,
        r#"{"active":true,"exp":-1}"#,
    ] {
        let outcome = asking::judge(&settings(&set.provider), answer.as_bytes(), 100);
        assert!(matches!(outcome, Outcome::Unknown(_)), "{answer}: {outcome:?}");
    }
    let outcome = asking::judge(&settings(&set.provider), br#"{"active":true,"exp":null}"#, 100);
    assert!(matches!(outcome, Outcome::Known { known: Known::Good(_), expires_at: u64::MAX }), "{outcome:?}");
}

#[test]
fn all_who_ask_about_one_token_at_once_share_a_call() {
    let set = set();
    let token = set.token(json!({ "sub": "u1" }));
    let sample = bearer(&token);
    set.provider.stall();
    let mut waiting: Vec<_> = (0..50)
        .map(|_| match set.trial.ask(&set.method, &sample, &mut Gate::default()) {
            Finding::Wait(wait) => wait.future,
            other => panic!("{other:?}"),
        })
        .collect();
    wait(async {
        for future in &mut waiting {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        set.provider.wait_for_requests("/introspect", 1);
        assert_eq!(set.answers.calls(), 1);
        // The one that makes the call goes away: another takes over.
        drop(waiting.remove(0));
        set.provider.behave();
        for future in waiting {
            let outcome = future.await.downcast::<Outcome>().unwrap();
            assert!(matches!(*outcome, Outcome::Known { known: Known::Good(_), .. }), "{outcome:?}");
        }
    });
    assert!(set.calls() <= 2, "one, and one of whoever took over: {}", set.calls());
    assert_eq!(set.answers.calls(), 0);
}

#[test]
fn calls_that_nobody_waits_for_are_forgotten() {
    let set = set();
    set.provider.stall();
    let futures: Vec<_> = (0..20)
        .map(|n| match set.trial.ask(&set.method, &bearer(&format!("t{}", n / 2)), &mut Gate::default()) {
            Finding::Wait(wait) => wait.future,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(set.answers.calls(), 0, "nothing happens before they are polled");
    wait(async {
        let mut futures = futures;
        for future in &mut futures {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(set.answers.calls(), 10);
        drop(futures);
    });
    assert_eq!(set.answers.calls(), 0);
    set.provider.behave();
}

#[test]
fn attack_a_flood_of_unknown_tokens_drives_no_good_one_out() {
    let mut set = set_with(AnswersSettings { good: 64, bad: 64 }, |_| {});
    let token = set.token(json!({ "sub": "u1" }));
    assert_eq!(set.name(&token), "alice");
    for n in 0..200 {
        assert_eq!(set.refusal(&format!("random{n}")), Reason::TokenInactive);
    }
    let (good, bad) = set.answers.len();
    assert!(good == 1 && bad <= 64, "{good} {bad}");
    assert_eq!((set.name(&token), set.calls()), ("alice".to_owned(), 201));
    // That a token is bad is believed for a short time only.
    set.refusal("random199");
    assert_eq!(set.calls(), 201);
    set.trial.later(5);
    set.refusal("random199");
    assert_eq!(set.calls(), 202);
}

#[test]
fn what_cannot_be_a_token_is_not_asked_about() {
    let set = set();
    for token in ["a b", "a\"b", "\u{f6}", "a,b", &"a".repeat(LONGEST + 1)] {
        assert_eq!(set.refusal(token), Reason::TokenMalformed, "{token:.10}");
    }
    assert_eq!(set.calls(), 0);
}

#[test]
fn explaining_asks_nobody() {
    let mut set = set();
    let token = set.token(json!({ "sub": "u1" }));
    set.trial.explains = true;
    let finding = set.trial.ask(&set.method, &bearer(&token), &mut Gate::default());
    assert!(matches!(finding, Finding::Wait(_)));
    drop(finding);
    set.trial.explains = false;
    assert_eq!((set.name(&token), set.calls()), ("alice".to_owned(), 1));
    set.trial.explains = true;
    assert_eq!((set.name(&token), set.calls()), ("alice".to_owned(), 1), "what is known is used");
}

#[test]
fn other_settings_do_not_believe_what_was_judged_before() {
    let set = set();
    let token = set.token(json!({ "sub": "u1", "aud": "web" }));
    assert_eq!(set.name(&token), "alice");
    let strict = Settings { audience: vec!["api".to_owned()], ..settings(&set.provider) };
    let strict = Introspection::new(strict, set.client.clone(), set.answers.clone());
    assert_eq!(set.trial.refusal(&strict, &bearer(&token)), Reason::TokenAudience);
}

#[test]
fn the_secret_is_not_shown() {
    assert!(!format!("{:?}", set().method).contains("3cret"));
}
