//! Logins that must not come to anything.

use tollgate_testkit::{Algorithm, Origin, SignWith};

use super::super::login::is_local;
use super::*;

fn fails(set: &Set, browser: &mut Browser, path: &str) -> String {
    let (reason, note) = refused(browser.page(set, path));
    assert_eq!(reason, Reason::LoginFailed, "{path}: {note}");
    assert!(!browser.names().contains(&"__Host-tollgate"), "{path}");
    note
}

#[test]
fn no_login_leads_to_another_host() {
    for path in ["/", "/a", "/a//b", "/?x=//evil.example", "/a/../b", "/%2f/evil.example", "/@evil.example"] {
        assert!(is_local(path.as_bytes()), "{path}");
    }
    for path in [
        "",
        "a",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        " /a",
        "/a b",
        "/\u{e9}",
        "/\r\nSet-Cookie: x=1",
    ] {
        assert!(!is_local(path.as_bytes()), "{path:?}");
    }
    let (set, long) = (set(), format!("/{}", "a".repeat(5000)));
    for path in ["//evil.example/", "///evil.example", "//evil.example/%2f..", &long] {
        let mut browser = Browser::default();
        let begun = login_of(browser.page(&set, path));
        let done = answer_of(browser.page(&set, &set.agree(&location(&begun))));
        assert_eq!(location(&done), "/", "{path}");
    }
}

#[test]
fn a_state_is_good_in_the_browser_that_began_only() {
    let (set, mut victim, mut attacker) = (set(), Browser::default(), Browser::default());
    let back = attacker.begin(&set);
    // The victim follows a link to the attacker's login.
    let note = fails(&set, &mut victim, &back);
    assert_eq!(note, "no login of this state is under way in this browser");
    victim.begin(&set);
    fails(&set, &mut victim, &back);
    // A state that begins as one of the browser's own, and ends otherwise.
    let own = victim.names()[0].rsplit('.').next().unwrap().to_owned();
    let note = fails(&set, &mut victim, &format!("/oauth2/callback?code=x&state={own}{}", "A".repeat(35)));
    assert_eq!(note, "the state is not the login's");
    // The cookie of another login, under the name of this one.
    let mut moved = attacker.clone();
    moved.cookies[0].0 = format!("__Host-tollgate.login.{own}");
    let note = fails(&set, &mut moved, &format!("/oauth2/callback?code=x&state={own}{}", "A".repeat(35)));
    assert!(note.contains("no secret opens"), "{note}");
}

#[test]
fn callbacks_that_make_no_sense_fail() {
    let set = set();
    let state = |back: &str| back.split('&').find_map(|part| part.split_once("state=")).unwrap().1.to_owned();
    for change in ["", "?", "?code=x", "?state=x", "?code=x&state=", "?error=access_denied"] {
        fails(&set, &mut Browser::default(), &format!("/oauth2/callback{change}"));
    }
    for (query, why) in [
        ("code=x&code=y&state=STATE", "a parameter is there twice"),
        ("code=x&state=STATE&state=STATE", "a parameter is there twice"),
        ("state=STATE", "there is neither a code nor an error"),
        ("error=access_denied&state=STATE&iss=ISSUER", "the provider says: access_denied"),
        ("error=%0d%0aSet-Cookie:%20x&code=x&state=STATE&iss=ISSUER", "the provider says: Set-Cookie: x"),
        ("code=x&state=STATE", "the answer is another provider's"),
        ("code=x&state=STATE&iss=https://evil.example", "the answer is another provider's"),
        ("code=x&state=STATE&iss=ISSUER", "the provider gives no tokens: it answered 400 invalid_grant"),
    ] {
        let mut browser = Browser::default();
        let state = state(&browser.begin(&set));
        let query = query.replace("STATE", &state).replace("ISSUER", set.provider.issuer());
        assert_eq!(fails(&set, &mut browser, &format!("/oauth2/callback?{query}")), why);
    }
}

#[test]
fn a_replayed_callback_logs_nobody_in() {
    let (set, mut browser) = (set(), Browser::default());
    let back = browser.begin(&set);
    let mut stolen = browser.clone();
    answer_of(browser.page(&set, &back));
    // The browser has forgotten the login; whoever stole its cookie has not.
    assert_eq!(refused(browser.page(&set, &back)).0, Reason::LoginFailed);
    fails(&set, &mut stolen, &back);
}

#[test]
fn a_login_that_takes_too_long_or_whose_cookie_was_changed_fails() {
    let (mut set, mut browser) = (set(), Browser::default());
    let back = browser.begin(&set);
    let mut changed = browser.clone();
    let middle = changed.cookies[0].1.len() / 2;
    let other = if changed.cookies[0].1.as_bytes()[middle] == b'A' { "B" } else { "A" };
    changed.cookies[0].1.replace_range(middle..=middle, other);
    assert!(fails(&set, &mut changed, &back).contains("no secret opens"));
    set.ahead = 601;
    assert!(fails(&set, &mut browser, &back).contains("expired"));
}

#[test]
fn an_id_token_that_is_not_this_logins_is_refused() {
    let set = set();
    for (claims, why) in [
        (json!({ "nonce": "other" }), "nonce"),
        (json!({ "nonce": null }), "nonce"),
        (json!({ "aud": "another-client" }), "audience"),
        (json!({ "aud": ["gate", "another-client"] }), "another client"),
        (json!({ "aud": ["gate", "another-client"], "azp": "another-client" }), "another client"),
        (json!({ "azp": "another-client" }), "another client"),
        (json!({ "azp": 1 }), "another client"),
        (json!({ "iss": "https://evil.example" }), "issuer"),
        (json!({ "exp": 1 }), "expired"),
        (json!({ "exp": null }), "exp"),
        (json!({ "iat": 99_999_999_999_u64 }), "future"),
        (json!({ "sub": null }), "sub"),
        (json!({ "sub": "" }), "sub"),
        (json!({ "sub": 7 }), "sub"),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), "access token"),
        (json!({ "at_hash": 1 }), "at_hash"),
    ] {
        set.provider.distort_id_tokens(claims.clone());
        let mut browser = Browser::default();
        let back = browser.begin(&set);
        let note = fails(&set, &mut browser, &back);
        assert!(note.contains(why), "{claims}: {note}");
    }
    for claims in [json!({ "at_hash": null }), json!({ "aud": ["gate", "x"], "azp": "gate" })] {
        set.provider.distort_id_tokens(claims);
        Browser::default().log_in(&set);
    }
}

#[test]
fn an_id_token_that_the_provider_did_not_sign_is_refused() {
    let issuer = set();
    let header = |algorithm: &str| {
        json!({ "alg": algorithm, "kid": issuer.provider.key_id(Algorithm::Rs256) }).to_string()
    };
    let claims = json!({ "iss": issuer.provider.issuer(), "aud": "gate", "sub": "al", "iat": 1, "exp": 99_999_999_999_u64 });
    let pem = issuer.provider.public_pem(Algorithm::Rs256);
    for (algorithm, key) in [
        ("none", SignWith::Nothing),
        ("NONE", SignWith::Nothing),
        ("RS256", SignWith::Nothing),
        ("RS256", SignWith::Stranger(Algorithm::Rs256)),
        ("HS256", SignWith::Hmac(pem.as_bytes())),
    ] {
        let token = issuer.provider.sign_raw(&header(algorithm), &claims.to_string(), key);
        let answer = json!({ "id_token": token, "access_token": "a", "expires_in": 60 }).to_string();
        let forger = Origin::answering(move |_| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).into_bytes()
        });
        issuer.provider.describe(json!({ "token_endpoint": format!("http://{}/token", forger.address()) }));
        let forged = Set::method(&issuer.client, issuer.oidc.settings.clone());
        let mut browser = Browser::default();
        let back = browser.begin(&issuer);
        let (finding, _) = browser.ask_of(&issuer, &forged, &format!("GET {back}"), "Accept: text/html\r\n");
        assert_eq!(refused(finding).0, Reason::LoginFailed, "{algorithm}");
        assert!(browser.names().is_empty(), "{:?}", browser.names());
        assert_eq!(forger.requests().len(), 1);
    }
}

#[test]
fn a_token_end_point_that_says_nonsense_logs_nobody_in() {
    let issuer = set();
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Reason::LoginFailed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", Reason::IdentityUnavailable),
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", Reason::IdentityUnavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", Reason::IdentityUnavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", Reason::IdentityUnavailable),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            Reason::IdentityUnavailable,
        ),
    ] {
        let service = Origin::start(move |connection| {
            if connection.request().is_some() {
                connection.send(answer);
            }
        });
        issuer.provider.describe(json!({ "token_endpoint": format!("http://{}/token", service.address()) }));
        let method = Set::method(&issuer.client, issuer.oidc.settings.clone());
        let mut browser = Browser::default();
        let back = browser.begin(&issuer);
        let (finding, _) = browser.ask_of(&issuer, &method, &format!("GET {back}"), "Accept: text/html\r\n");
        assert_eq!(refused(finding).0, reason, "{answer}");
    }
}
