use tollgate_credentials::password::{Decoy, Htpasswd};

use super::*;
use crate::auth::trial::{Trial, get};
use crate::sample::Sample;

/// Of "U*U".
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

struct Set {
    trial: Trial,
    checks: Arc<PasswordChecks>,
    method: Basic,
}

/// `alice` has a password, `bob` one in the file, `carol` is in the file only.
fn set_with(checks: PasswordChecks) -> Set {
    let mut trial = Trial::new();
    trial.give("alice", CredentialKind::User, b"alice", Some(HASH));
    trial.give("bob", CredentialKind::User, b"bob", None);
    let file = Htpasswd::parse(
        format!("bob:{HASH}\ncarol:{HASH}\nalice:{}\n", HASH.replace("$05$", "$06$")).as_bytes(),
    );
    let file = file.unwrap();
    let decoy = Decoy::of([file.get("carol").unwrap()]);
    let users = Arc::new(UsersCell::new(Users::new(Some(file), decoy)));
    let (checks, right) = (Arc::new(checks), Arc::new(PasswordCache::new(100, 60, &[7; 32])));
    let settings = Settings { name: "office".into(), realm: "the office".into(), forward: false };
    Set { trial, method: Basic::new(settings, users, checks.clone(), right), checks }
}

fn set() -> Set {
    set_with(PasswordChecks::start(ChecksSettings { threads: 1, queue: 8 }).unwrap())
}

fn login(pair: impl AsRef<[u8]>) -> Sample {
    get(&format!("Authorization: Basic {}\r\n", BASE64.encode(pair)))
}

#[test]
fn a_right_password_waits_once_and_is_then_known_at_once() {
    let set = set();
    for expected in [true, false, false] {
        let mut gate = Gate::default();
        let (finding, waited) = set.trial.finish(&set.method, &login("alice:U*U"), &mut gate);
        let Finding::Known(caller) = finding else { panic!("{finding:?}") };
        assert_eq!(
            (caller.name(), caller.subject.as_deref(), &*caller.auth),
            ("alice", Some("alice"), "office")
        );
        assert!(gate.request.replaces("authorization"));
        assert_eq!(waited, expected);
    }
    assert_eq!(set.checks.checked(), 1);
    let mut set = set;
    set.trial.later(60);
    assert!(set.trial.finish(&set.method, &login("alice:U*U"), &mut Gate::default()).1, "once in a while");
}

#[test]
fn users_of_a_file_are_subjects_and_consumers_where_one_has_the_name() {
    let set = set();
    let (caller, _) = set.trial.caller(&set.method, &login("carol:U*U"));
    assert_eq!((caller.name(), caller.subject.as_deref()), ("", Some("carol")));
    let (caller, _) = set.trial.caller(&set.method, &login("bob:U*U"));
    assert_eq!((caller.name(), caller.subject.as_deref()), ("bob", Some("bob")));
}

#[test]
fn probing_for_user_names_costs_a_check_each_and_tells_nothing() {
    let set = set();
    let mut told = Vec::new();
    for (count, pair) in
        ["alice:wrong", "nobody:U*U", "carol:wrong", "nobody:wrong", "nobody:"].iter().enumerate()
    {
        let (finding, waited) = set.trial.finish(&set.method, &login(pair), &mut Gate::default());
        assert!(waited, "{pair}");
        assert_eq!(set.checks.checked(), count as u64 + 1, "{pair}");
        told.push(format!("{finding:?}"));
    }
    assert!(told[0].contains("PasswordWrong"), "{}", told[0]);
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
}

#[test]
fn too_many_checks_are_refused_and_those_that_nobody_waits_for_are_not_done() {
    let (checks, jobs) = PasswordChecks::without_threads(1);
    let set = set_with(checks);
    let sample = login("alice:U*U");
    let Finding::Wait(first) = set.trial.ask(&set.method, &sample, &mut Gate::default()) else { panic!() };
    let mut future = first.future;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(set.trial.refusal(&set.method, &sample), Reason::IdentityBusy);
    assert_eq!(set.checks.refused(), 1);
    drop(future);
    jobs.run();
    assert_eq!(set.checks.checked(), 0);
}

#[test]
fn explaining_starts_no_check() {
    let mut set = set();
    set.trial.explains = true;
    let finding = set.trial.ask(&set.method, &login("alice:U*U"), &mut Gate::default());
    assert!(matches!(finding, Finding::Wait(_)));
    drop(finding);
    assert_eq!(set.checks.checked(), 0);
}

#[test]
fn a_password_that_changes_during_its_check_is_not_taken() {
    let mut set = set();
    let sample = login("alice:U*U");
    let Finding::Wait(waits) = set.trial.ask(&set.method, &sample, &mut Gate::default()) else { panic!() };
    let resolution = crate::auth::trial::wait(waits.future);
    set.trial = Trial::new();
    let other = HASH.replace("OeW", "OeX");
    set.trial.give("alice", CredentialKind::User, b"alice", Some(&other));
    let mut asked = sample.asked();
    asked.consumers = &set.trial.consumers;
    let finding = set.method.identify(&asked, &mut Gate::default(), Some(resolution));
    assert!(
        matches!(finding, Finding::Refused(Refused { reason: Reason::PasswordWrong, .. })),
        "{finding:?}"
    );
}

#[test]
fn what_is_no_pair_is_malformed_and_never_checked() {
    let set = set();
    let fields = |value: &str| get(&format!("Authorization: {value}\r\n"));
    let (long_user, long_password) = (format!("{}:x", "u".repeat(256)), format!("u:{}", "p".repeat(1025)));
    for sample in [
        fields("Basic"),
        fields("Basic !"),
        fields("Basic YQ"),
        fields(&format!("Basic {}", "YTpi".repeat(1000))),
        login(":x"),
        login("nocolon"),
        login("a\n:x"),
        login("a:\0"),
        login(b"\xff:x"),
        login(long_user),
        login(long_password),
        get("Authorization: Basic YTpi\r\nAuthorization: Basic YTpi\r\n"),
        get("Authorization: Bearer x\r\nAuthorization: Basic YTpi\r\n"),
    ] {
        assert_eq!(set.trial.refusal(&set.method, &sample), Reason::CredentialMalformed);
    }
    assert_eq!(set.checks.checked(), 0);
    for sample in [get(""), fields("Bearer x"), fields("Basics YTpi")] {
        let finding = set.trial.ask(&set.method, &sample, &mut Gate::default());
        assert!(matches!(finding, Finding::Absent), "{finding:?}");
    }
    assert_eq!(set.trial.caller(&set.method, &fields("bAsIc  YWxpY2U6VSpV")).0.name(), "alice");
}

#[test]
fn browsers_are_told_the_realm_and_the_charset() {
    let challenge = set().method.challenge(Reason::Unauthenticated);
    assert_eq!(challenge.as_deref(), Some("Basic realm=\"the office\", charset=\"UTF-8\""));
}
