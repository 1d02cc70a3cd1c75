//! Sessions: what opens them, what they survive, how they end.

use std::time::Duration;

use super::browser::asked;
use super::*;
use crate::auth::background::wait;

const API: &str = "Accept: application/json\r\n";

#[test]
fn a_cookie_that_is_not_ours_is_refused_and_forgotten() {
    let (mut set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    let good = browser.cookies[0].1.clone();
    let seal = good.strip_prefix("1.").unwrap();
    let half = &seal[..seal.len() / 2];
    let flipped = format!("1.{}{}", half, seal[half.len()..].chars().rev().collect::<String>());
    for value in [
        "",
        "1.",
        "x",
        "9.AAAA",
        "2.AAAA",
        "1.AAAA",
        seal,
        &flipped,
        &format!("1.{half}"),
        &format!("1.{seal}A"),
        &format!("2.{seal}"),
    ] {
        let mut forged = Browser::default();
        forged.cookies.push(("__Host-tollgate".to_owned(), value.to_owned()));
        login_of(forged.clone().page(&set, "/"));
        let (finding, gate) = forged.ask(&set, "GET /", API);
        assert_eq!(refused(finding).0, Reason::Unauthenticated, "{value}");
        assert!(gate.request.replaces("cookie") && forged.cookies.is_empty(), "{value}");
    }
    // A login's cookie is no session's.
    let mut swapped = Browser::default();
    swapped.begin(&set);
    let login = swapped.cookies.remove(0).1;
    swapped.cookies.push(("__Host-tollgate".to_owned(), format!("1.{login}")));
    assert_eq!(refused(swapped.ask(&set, "GET /", API).0).0, Reason::Unauthenticated);
    set.ahead = 8 * 3600;
    let (reason, note) = refused(browser.ask(&set, "GET /", API).0);
    assert_eq!((reason, note.as_str()), (Reason::Unauthenticated, "the session has ended"));
}

#[test]
fn a_session_is_good_for_its_client_and_its_secrets_only() {
    let (set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = set.oidc.settings.clone();
        change(&mut settings);
        Set::method(&set.client, settings)
    };
    let asks = |method: &Oidc| browser.clone().ask_of(&set, method, "GET /", API).0;
    refused(asks(&with(&|settings| settings.client_id = "other".to_owned())));
    refused(asks(&with(&|settings| settings.cookie.secrets = vec![vec![2; 32]])));
    let rotated = with(&|settings| settings.cookie.secrets = vec![vec![2; 32], vec![1; 32]]);
    known(asks(&rotated));
    let mut fresh = Browser::default();
    let back = fresh.begin(&set);
    answer_of(fresh.ask_of(&set, &rotated, &format!("GET {back}"), "").0);
    known(fresh.ask_of(&set, &with(&|settings| settings.cookie.secrets = vec![vec![2; 32]]), "GET /", API).0);
}

#[test]
fn a_large_session_is_split_and_a_part_that_is_missing_or_exchanged_breaks_it() {
    let (set, mut browser) = (set(), Browser::default());
    set.provider.add_user("al", "pass", json!({ "plan": "p".repeat(6000) }));
    browser.log_in(&set);
    assert_eq!(browser.names(), ["__Host-tollgate", "__Host-tollgate.1", "__Host-tollgate.2"]);
    let caller = known(browser.page(&set, "/"));
    assert_eq!(caller.claim("plan").unwrap().as_str().unwrap().len(), 6000);
    for part in 0..3 {
        let mut missing = browser.clone();
        missing.cookies.remove(part);
        let finding = missing.ask(&set, "GET /", API).0;
        assert!(matches!(finding, Finding::Absent | Finding::Refused(_)), "{part}: {finding:?}");
    }
    let mut exchanged = browser.clone();
    let [_, first, second] = &mut exchanged.cookies[..] else { panic!() };
    std::mem::swap(&mut first.1, &mut second.1);
    refused(exchanged.ask(&set, "GET /", API).0);
    // The next session is smaller: what is left of this one goes.
    set.provider.add_user("al", "pass", json!({ "plan": "p" }));
    browser.log_in_again(&set);
    assert_eq!(browser.names(), ["__Host-tollgate"]);
    set.provider.add_user("al", "pass", json!({ "plan": "p".repeat(11_450) }));
    let mut other = Browser::default();
    let back = other.begin(&set);
    let (reason, note) = refused(other.page(&set, &back));
    assert_eq!((reason, note.as_str()), (Reason::LoginFailed, "the session does not fit into its cookies"));
}

impl Browser {
    /// Logs in once more, while there is a session.
    fn log_in_again(&mut self, set: &Set) {
        let mut blank = Self::default();
        let back = blank.begin(set);
        self.cookies.extend(blank.cookies);
        answer_of(self.page(set, &back));
    }
}

#[test]
fn other_cookies_reach_the_origin_and_ours_do_not() {
    let (set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    browser.begin(&Set::with(|settings| settings.cookie.lifetime_s = 60, None));
    browser.cookies.insert(0, ("a".to_owned(), "1".to_owned()));
    browser.cookies.push(("__Host-tollgated".to_owned(), "2".to_owned()));
    let (_, gate) = browser.ask(&set, "GET /", "Cookie: b=3\r\n");
    assert!(gate.request.replaces("cookie"));
    assert_eq!(gate.request.lines(), b"Cookie: b=3; a=1; __Host-tollgated=2\r\nX-Plan: pro\r\n");
    let (_, gate) = Browser::default().ask(&set, "GET /", "Cookie: b=3\r\n");
    assert!(!gate.request.replaces("cookie"));
}

/// A set whose tokens expire at once, and a browser that has logged in there.
fn expiring() -> (Set, Browser) {
    let (set, mut browser) = (set(), Browser::default());
    set.provider.set_token_lifetime(Duration::ZERO);
    browser.log_in(&set);
    (set, browser)
}

#[test]
fn expired_tokens_are_refreshed_once_for_all_who_come_with_them() {
    let (set, mut browser) = expiring();
    let begun = set.provider.requests("/token");
    let sample = browser.sample("GET /", API);
    let waits: Vec<_> = (0..8)
        .map(|_| match set.oidc.identify(&asked(&set, &sample), &mut Gate::default(), None) {
            Finding::Wait(waits) => waits.future,
            other => panic!("{other:?}"),
        })
        .collect();
    let together = async move {
        let mut resolutions = Vec::new();
        let tasks = tokio::task::LocalSet::new();
        let handles: Vec<_> = waits.into_iter().map(|future| tasks.spawn_local(future)).collect();
        tasks.await;
        for handle in handles {
            resolutions.push(handle.await.unwrap());
        }
        resolutions
    };
    for resolution in wait(together) {
        let mut gate = Gate::default();
        let finding = set.oidc.identify(&asked(&set, &sample), &mut gate, Some(resolution));
        assert_eq!(known(finding).name(), "alice");
        let lines = String::from_utf8(gate.response.lines().to_vec()).unwrap();
        assert!(lines.starts_with("Set-Cookie: __Host-tollgate=1."), "{lines}");
    }
    assert_eq!(set.provider.requests("/token"), begun + 1);
    // One that was on its way meanwhile, with the old cookie.
    set.provider.set_token_lifetime(Duration::from_secs(300));
    let mut late = browser.clone();
    assert_eq!(known(late.ask(&set, "GET /", API).0).name(), "alice");
    assert_eq!(set.provider.requests("/token"), begun + 1);
    // The new refresh token is another one, and is used in turn.
    browser.cookies = late.cookies;
    let caller = known(browser.ask(&set, "GET /", API).0);
    assert!(caller.has_scope("profile"));
    assert_eq!(set.provider.requests("/token"), begun + 2);
    known(browser.ask(&set, "GET /", API).0);
    assert_eq!(set.provider.requests("/token"), begun + 2);
}

#[test]
fn a_refresh_that_is_refused_leads_to_a_new_login_and_one_that_fails_is_tried_again() {
    let (set, mut browser) = expiring();
    set.provider.fail(1, 503);
    assert_eq!(refused(browser.ask(&set, "GET /", API).0).0, Reason::IdentityUnavailable);
    set.provider.distort_id_tokens(json!({ "sub": "somebody-else" }));
    let mut other = browser.clone();
    let (reason, note) = refused(other.ask(&set, "GET /", API).0);
    assert_eq!(
        (reason, note.as_str()),
        (Reason::Unauthenticated, "the ID token is about somebody else than before")
    );
    assert!(other.cookies.is_empty());
    // The token is used up: long after, the provider takes that for theft.
    let mut set = set;
    set.provider.distort_id_tokens(json!({}));
    set.ahead = 61;
    let (reason, note) = refused(browser.clone().ask(&set, "GET /", API).0);
    assert_eq!(reason, Reason::Unauthenticated);
    assert!(note.ends_with("it answered 400 invalid_grant"), "{note}");
    login_of(browser.page(&set, "/"));
}

#[test]
fn without_refresh_tokens_a_session_lasts_unless_its_access_token_is_needed() {
    let set = Set::with(|settings| settings.tokens.refresh = false, None);
    set.provider.set_token_lifetime(Duration::ZERO);
    let mut browser = Browser::default();
    browser.log_in(&set);
    known(browser.ask(&set, "GET /", API).0);
    let tokens = TokenSettings { refresh: false, forward_access: true, hint_at_logout: false };
    let set = Set::with(|settings| settings.tokens = tokens, None);
    let mut browser = Browser::default();
    browser.log_in(&set);
    let (finding, gate) = browser.ask(&set, "GET /", "Authorization: Bearer forged\r\n");
    known(finding);
    let lines = String::from_utf8(gate.request.lines().to_vec()).unwrap();
    assert!(gate.request.replaces("authorization") && lines.contains("Authorization: Bearer ey"), "{lines}");
    set.provider.set_token_lifetime(Duration::ZERO);
    let mut browser = Browser::default();
    browser.log_in(&set);
    assert_eq!(refused(browser.ask(&set, "GET /", API).0).0, Reason::Unauthenticated);
}

#[test]
fn logging_out_ends_the_session_here_and_at_the_provider() {
    let (set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    let answer = answer_of(browser.ask(&set, "GET /oauth2/logout", "Sec-Fetch-Site: same-origin\r\n").0);
    assert_eq!((answer.status, answer.reason), (302, Some(Reason::LoggedOut)));
    let end = format!(
        "{}?client_id=gate&post_logout_redirect_uri=https%3A%2F%2Fa.example%2F",
        set.provider.url("/logout")
    );
    assert_eq!(location(&answer), end);
    assert!(browser.cookies.is_empty());
    assert_eq!(set.agree(&end), "/");
    let hinting = Set::with(|settings| settings.tokens.hint_at_logout = true, None);
    browser.log_in(&hinting);
    let answer = answer_of(browser.ask(&hinting, "POST /oauth2/logout", "Origin: https://a.example\r\n").0);
    assert!(location(&answer).contains("?id_token_hint=ey"), "{}", location(&answer));
    set.provider.describe(json!({ "end_session_endpoint": null }));
    let plain = Set::method(&set.client, set.oidc.settings.clone());
    let answer = answer_of(browser.ask_of(&set, &plain, "GET /oauth2/logout", "").0);
    assert_eq!(location(&answer), "/");
}

#[test]
fn no_other_site_logs_anybody_out() {
    let (set, mut browser) = (set(), Browser::default());
    browser.log_in(&set);
    for (line, fields) in [
        ("GET /oauth2/logout", "Sec-Fetch-Site: cross-site\r\n"),
        ("GET /oauth2/logout", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"),
        ("POST /oauth2/logout", "Sec-Fetch-Site: cross-site\r\nOrigin: https://a.example\r\n"),
        ("POST /oauth2/logout", "Origin: https://evil.example\r\n"),
        ("POST /oauth2/logout", "Origin: null\r\n"),
    ] {
        assert_eq!(refused(browser.ask(&set, line, fields).0).0, Reason::CrossSite, "{line} {fields}");
    }
    known(browser.page(&set, "/"));
}
