//! Logins at the provider of the test kit, by a browser that keeps its cookies, and attacks on them.

mod attacks;
mod browser;
mod sessions;

use serde_json::json;
use tollgate_policy::{Answer, Caller};

use super::*;
use browser::{Browser, LOGIN, Set, set};

fn login_of(finding: Finding) -> Answer {
    match finding {
        Finding::Login(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn answer_of(finding: Finding) -> Answer {
    match finding {
        Finding::Answer(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn known(finding: Finding) -> Caller {
    match finding {
        Finding::Known(caller) => caller,
        other => panic!("{other:?}"),
    }
}

fn refused(finding: Finding) -> (Reason, String) {
    match finding {
        Finding::Refused(refused) => (refused.reason, refused.note.unwrap_or_default().into_owned()),
        other => panic!("{other:?}"),
    }
}

fn location(answer: &Answer) -> String {
    let lines = String::from_utf8(answer.fields.lines().to_vec()).unwrap();
    lines.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned()
}

#[test]
fn a_browser_logs_in_and_comes_back_to_the_page_that_it_asked_for() {
    let (set, mut browser) = (set(), Browser::default());
    let begun = login_of(browser.page(&set, "/page?x=%20&y"));
    assert_eq!((begun.status, begun.reason), (302, Some(Reason::LoginRequired)));
    let lines = String::from_utf8(begun.fields.lines().to_vec()).unwrap();
    assert!(lines.contains("Cache-Control: no-store\r\n"), "{lines}");
    let cookie = lines.lines().find(|line| line.starts_with("Set-Cookie")).unwrap();
    assert!(cookie.starts_with("Set-Cookie: __Host-tollgate.login."), "{cookie}");
    assert!(cookie.ends_with("; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
    let back = set.agree(&location(&begun));
    let done = answer_of(browser.page(&set, &back));
    assert_eq!((done.status, done.reason), (302, Some(Reason::LoggedIn)));
    assert_eq!(location(&done), "/page?x=%20&y");
    assert_eq!(browser.names(), ["__Host-tollgate"]);
    let (finding, gate) = browser.ask(&set, "GET /page", "Accept: text/html\r\nX-Plan: forged\r\n");
    let caller = known(finding);
    assert_eq!((caller.name(), caller.subject.as_deref(), &*caller.auth), ("alice", Some("al"), "web"));
    assert_eq!((caller.claim("plan"), caller.has_scope("profile")), (Some(&json!("pro")), true));
    assert_eq!((caller.claim("nonce"), caller.claim("at_hash")), (None, None));
    assert_eq!(gate.request.lines(), b"X-Plan: pro\r\n");
    assert!(gate.request.replaces("x-plan") && gate.request.replaces("cookie") && gate.response.is_empty());
}

#[test]
fn the_provider_is_asked_by_the_code_flow_with_proof_state_and_nonce() {
    let (set, mut browser) = (set(), Browser::default());
    let first = location(&login_of(browser.page(&set, "/")));
    let second = location(&login_of(browser.page(&set, "/")));
    let of = |url: &str, name: &str| {
        let query = url.split_once('?').unwrap().1;
        let found = super::super::percent::parameters(query.as_bytes()).find(|(known, _)| known == name);
        found.unwrap().1
    };
    assert!(first.starts_with(&set.provider.url("/authorize?")), "{first}");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "gate"),
        ("redirect_uri", "https://a.example/oauth2/callback"),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(of(&first, name), value);
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(of(&first, name).len(), 43, "{name}");
        assert_ne!(of(&first, name), of(&second, name), "{name}");
    }
}

#[test]
fn only_pages_are_sent_to_log_in() {
    let (set, mut browser) = (set(), Browser::default());
    for (line, fields) in [
        ("GET /", ""),
        ("GET /", "Accept: application/json\r\n"),
        ("POST /", "Accept: text/html\r\n"),
        ("GET /", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n"),
        ("GET /", "Accept: text/html\r\nUpgrade: websocket\r\n"),
        ("POST /oauth2/callback?code=a&state=b", "Accept: text/html\r\n"),
        ("PUT /oauth2/logout", "Accept: text/html\r\n"),
    ] {
        let (finding, gate) = browser.ask(&set, line, fields);
        assert!(matches!(finding, Finding::Absent), "{line} {fields}: {finding:?}");
        assert!(gate.response.is_empty());
    }
    for fields in ["Accept: text/html;q=0.9, */*\r\n", "Accept: Text/HTML\r\nSec-Fetch-Mode: navigate\r\n"] {
        login_of(browser.ask(&set, "HEAD /", fields).0);
    }
    assert!(set.oidc.challenge(Reason::Unauthenticated).is_none());
}

#[test]
fn several_tabs_log_in_at_once_but_not_any_number() {
    let (set, mut browser) = (set(), Browser::default());
    let begun: Vec<_> =
        (0..8).map(|tab| location(&login_of(browser.page(&set, &format!("/{tab}"))))).collect();
    assert_eq!(browser.names().len(), 5);
    for (tab, url) in begun.iter().enumerate().rev() {
        let finding = browser.page(&set, &set.agree(url));
        match tab {
            3.. => assert_eq!(location(&answer_of(finding)), format!("/{tab}")),
            _ => assert_eq!(refused(finding).0, Reason::LoginFailed),
        }
    }
}

#[test]
fn new_keys_of_the_provider_are_asked_for() {
    let (set, mut browser) = (set(), Browser::default());
    let begun = login_of(browser.page(&set, "/"));
    set.provider.rotate_keys();
    answer_of(browser.page(&set, &set.agree(&location(&begun))));
    assert_eq!(set.provider.requests("/jwks"), 2);
}

#[test]
fn a_provider_that_cannot_be_asked_holds_up_those_only_who_log_in() {
    let (set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    let begun = location(&login_of(Browser::default().page(&set, "/")));
    let mut other = Browser::default();
    let back = {
        let begun = location(&login_of(other.page(&set, "/")));
        set.agree(&begun)
    };
    set.provider.fail(1, 503);
    assert_eq!(refused(other.page(&set, &back)).0, Reason::IdentityUnavailable);
    known(browser.page(&set, "/"));
    drop(begun);
    let lost = Set::with(|_| {}, Some("http://127.0.0.1:1"));
    let (reason, note) = refused(Browser::default().page(&lost, "/"));
    assert_eq!(reason, Reason::IdentityUnavailable, "{note}");
}

#[test]
fn a_strict_cookie_is_followed_by_a_page_of_our_own() {
    let set = Set::with(|settings| settings.cookie.same_site = SameSite::Strict, None);
    let mut browser = Browser::default();
    let begun = login_of(browser.page(&set, "/a?b='&c=1"));
    let done = answer_of(browser.page(&set, &set.agree(&location(&begun))));
    let body = String::from_utf8(done.body).unwrap();
    assert_eq!((done.status, done.content_type.as_deref()), (200, Some("text/html; charset=utf-8")));
    assert!(body.contains("content=\"0;url='/a?b=%27&amp;c=1'\""), "{body}");
    assert!(
        browser.set_cookies.iter().any(|line| line.ends_with("SameSite=Strict")),
        "{:?}",
        browser.set_cookies
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let set = set();
    let wrong = |change: &dyn Fn(&mut Settings)| {
        let mut settings = set.oidc.settings.clone();
        change(&mut settings);
        Oidc::new(settings, set.oidc.outside.clone()).unwrap_err().setting
    };
    assert_eq!(wrong(&|s| s.scopes = vec!["profile".into()]), "scopes");
    assert_eq!(wrong(&|s| s.callback = "callback".into()), "callback");
    assert_eq!(wrong(&|s| s.callback = "https://a.example/x?y".into()), "callback");
    assert_eq!(wrong(&|s| s.logout = Some("//x".into())), "logout");
    assert_eq!(wrong(&|s| s.logout = Some("/oauth2/callback".into())), "logout");
    assert_eq!(wrong(&|s| s.after_logout = "//evil.example".into()), "after_logout");
    assert_eq!(wrong(&|s| s.after_logout = "javascript:alert(1)".into()), "after_logout");
    assert_eq!(wrong(&|s| s.cookie.secrets = vec![vec![1; 31]]), "secrets");
    assert_eq!(wrong(&|s| s.cookie.name = Some("a;b".into())), "name");
    assert_eq!(wrong(&|s| (s.cookie.name, s.cookie.secure) = (Some("__Host-x".into()), false)), "name");
    assert_eq!(wrong(&|s| (s.cookie.same_site, s.cookie.secure) = (SameSite::None, false)), "same_site");
    assert!(!format!("{:?}", set.oidc).contains(LOGIN));
}
