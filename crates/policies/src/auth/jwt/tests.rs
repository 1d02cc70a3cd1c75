use std::time::Duration;

use serde_json::{Value as Json, json};
use tollgate_credentials::jwt::{Algorithm as Alg, Algorithms, Key, Keys};
use tollgate_outbound::jwks::{self, Place};
use tollgate_outbound::source::Freshness;
use tollgate_policy::CredentialKind;
use tollgate_testkit::{Algorithm, OidcProvider, PATIENCE, SignWith};

use super::*;
use crate::auth::trial::{Background, Trial, bearer, get, lines, wait};
use crate::auth::{HandedOn, Places};
use crate::sample::Sample;

const HOUR: Duration = Duration::from_secs(3600);

/// A provider, and a method that trusts it.
struct Set {
    trial: Trial,
    provider: OidcProvider,
    background: Background,
    keys: KeyUse,
    cache: Arc<GoodTokens>,
    method: Jwt,
}

/// `prepare` happens before the first fetch.
fn set_with(prepare: impl FnOnce(&OidcProvider), wait_at_most: Duration, interval: Duration) -> Set {
    let provider = OidcProvider::start();
    prepare(&provider);
    let (background, client) = Background::start();
    let place = Place::Issuer(provider.issuer().parse().unwrap());
    let freshness = Freshness { wait: wait_at_most, ..Freshness::default() };
    let parse = read_keys(Algorithms::asymmetric());
    let source = jwks::fetch(&client, place, freshness, parse, Arc::new(|_| {}));
    let keys = KeyUse { source, interval };
    let cache = Arc::new(TokenCache::new(1000, &[7; 80]));
    let method = method(&provider, &keys, &cache, |_| {});
    let mut trial = Trial::new();
    trial.give("alice", CredentialKind::Subject, b"auth0|alice", None);
    Set { trial, provider, background, keys, cache, method }
}

fn set() -> Set {
    let set = set_with(|_| {}, PATIENCE, HOUR);
    wait(set.keys.source.ready());
    set
}

fn method(
    provider: &OidcProvider,
    keys: &KeyUse,
    cache: &Arc<GoodTokens>,
    change: impl FnOnce(&mut Settings),
) -> Jwt {
    let rules = Rules {
        issuers: vec![provider.issuer().to_owned()],
        audience: vec!["api".to_owned()],
        ..Rules::default()
    };
    let mut settings = Settings { tokens: TokenSettings::new("idp"), rules };
    change(&mut settings);
    Jwt::new(settings, TokenKeys::new(Keys::default(), Some(keys.clone())), Some(cache.clone()))
}

impl Set {
    fn change(&self, change: impl FnOnce(&mut Settings)) -> Jwt {
        method(&self.provider, &self.keys, &self.cache, change)
    }

    fn claims(&self, change: Json) -> Json {
        let mut claims = json!({
            "iss": self.provider.issuer(), "aud": "api", "sub": "auth0|alice", "exp": self.trial.now() + 300,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    }

    fn token(&self, change: Json) -> String {
        self.provider.issue(self.claims(change), Algorithm::Es256)
    }

    /// A token with this header, and good claims.
    fn forged(&self, header: Json, key: SignWith<'_>) -> String {
        self.provider.sign_raw(&header.to_string(), &self.claims(json!({})).to_string(), key)
    }

    fn es256(&self, more: Json) -> Json {
        let mut header = json!({ "alg": "ES256", "kid": self.provider.key_id(Algorithm::Es256) });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        header
    }

    fn refusal(&self, token: &str) -> Reason {
        self.trial.refusal(&self.method, &bearer(token))
    }

    fn fetches(&self) -> usize {
        self.provider.requests("/jwks")
    }

    fn refetch(&self) {
        wait(self.keys.source.refresh_if_older_than(Duration::ZERO));
    }
}

#[test]
fn good_tokens_of_all_algorithms_name_their_consumer() {
    let set = set();
    for algorithm in Algorithm::ALL {
        let token = set.provider.issue(set.claims(json!({ "plan": "pro" })), algorithm);
        let (caller, gate) = set.trial.caller(&set.method, &bearer(&token));
        assert_eq!((caller.name(), caller.subject.as_deref()), ("alice", Some("auth0|alice")));
        assert_eq!((&*caller.auth, caller.claim("plan")), ("idp", Some(&json!("pro"))));
        assert!(gate.changes_nothing());
        let (again, _) = set.trial.caller(&set.method, &bearer(&token));
        assert!(Arc::ptr_eq(&caller.claims.unwrap(), &again.claims.unwrap()), "it was remembered");
    }
    assert_eq!((set.cache.len(), set.fetches()), (3, 1));
}

#[test]
fn tokens_are_found_in_their_places_handed_on_and_taken_away() {
    let set = set();
    let method = set.change(|settings| {
        settings.tokens.places = Places::new(Some("Authorization"), Some("access_token"), Some("token"));
        settings.tokens.forward = false;
        let fields = [("X-User", "sub"), ("X-Roles", "realm.roles"), ("X-None", "none")];
        let fields = fields.map(|(field, claim)| (field.to_owned(), claim.to_owned()));
        settings.tokens.claims = HandedOn::new(fields.into());
    });
    let token = set.token(json!({ "realm": { "roles": ["a", "b"] } }));
    for sample in [
        bearer(&token),
        Sample::new(&format!("GET /?access_token={token}"), ""),
        get(&format!("Cookie: token={token}\r\n")),
        Sample::new(&format!("GET /?access_token={token}"), "Cookie: token=other\r\n"),
    ] {
        let (caller, gate) = set.trial.caller(&method, &sample);
        assert_eq!(caller.name(), "alice");
        assert_eq!(lines(&gate), "X-User: auth0|alice\r\nX-Roles: a,b\r\n");
        assert!(gate.request.replaces("authorization"));
        assert_eq!(gate.query.is_some(), sample.asked().query.is_some());
        assert_eq!(
            gate.request.replaces("cookie"),
            sample.asked().fields.has(tollgate_message::Known::Cookie)
        );
    }
    let mut forged = Edits::default();
    method.remove_forged(&mut forged);
    assert!(["x-user", "x-roles", "x-none"].iter().all(|name| forged.replaces(name)));
    let split = set.token(json!({ "sub": "a\r\nX-Admin: 1" }));
    assert_eq!(set.trial.refusal(&method, &bearer(&split)), Reason::TokenClaims);
}

#[test]
fn unknown_subjects_are_subjects_unless_a_consumer_is_required() {
    let set = set();
    let token = set.token(json!({ "sub": "carol" }));
    let (caller, _) = set.trial.caller(&set.method, &bearer(&token));
    assert_eq!((caller.name(), caller.subject.as_deref()), ("", Some("carol")));
    let strict = set.change(|settings| settings.tokens.consumer_required = true);
    assert_eq!(set.trial.refusal(&strict, &bearer(&token)), Reason::ConsumerUnknown);
    let by_path = set.change(|settings| settings.tokens.consumer = "account.id".to_owned());
    let token = set.token(json!({ "sub": "x", "account": { "id": "auth0|alice" } }));
    let (caller, _) = set.trial.caller(&by_path, &bearer(&token));
    assert_eq!((caller.name(), caller.subject.as_deref()), ("alice", Some("x")));
}

#[test]
fn attack_unsigned_and_confused_algorithms() {
    let set = set();
    let kid = |algorithm| set.provider.key_id(algorithm);
    let pem = set.provider.public_pem(Algorithm::Rs256);
    for alg in ["none", "None", "NONE"] {
        let header = json!({ "alg": alg, "kid": kid(Algorithm::Rs256) });
        assert_eq!(set.refusal(&set.forged(header, SignWith::Nothing)), Reason::TokenAlgorithm);
    }
    for (header, key) in [
        (json!({ "alg": "HS256", "kid": kid(Algorithm::Rs256) }), SignWith::Hmac(pem.as_bytes())),
        (json!({ "alg": "HS256" }), SignWith::Hmac(pem.as_bytes())),
        (json!({ "alg": "RS256", "kid": kid(Algorithm::Es256) }), SignWith::Own(Algorithm::Rs256)),
        (json!({ "alg": "PS256", "kid": kid(Algorithm::Rs256) }), SignWith::Own(Algorithm::Rs256)),
        (json!({ "alg": "XX", "kid": kid(Algorithm::Rs256) }), SignWith::Own(Algorithm::Rs256)),
    ] {
        let told = header.to_string();
        assert_eq!(set.refusal(&set.forged(header, key)), Reason::TokenAlgorithm, "{told}");
    }
    assert!(set.cache.is_empty() && set.fetches() == 1);
}

#[test]
fn attack_keys_that_the_token_chooses() {
    let set = set();
    let jwk = set.provider.jwks()["keys"][1].clone();
    let own = SignWith::Own(Algorithm::Es256);
    for kid in ["../../../../dev/null", "' OR 1=1", "", "ES256-1"] {
        let token = set.forged(json!({ "alg": "ES256", "kid": kid }), own);
        assert_eq!(set.refusal(&token), Reason::TokenKeyUnknown, "{kid}");
    }
    let stranger = SignWith::Stranger(Algorithm::Es256);
    for more in [json!({}), json!({ "jwk": jwk }), json!({ "jku": set.provider.url("/jwks") })] {
        assert_eq!(set.refusal(&set.forged(set.es256(more.clone()), stranger)), Reason::TokenSignature);
        let mut unnamed = set.es256(more);
        unnamed["kid"] = json!("own");
        assert_eq!(set.refusal(&set.forged(unnamed, stranger)), Reason::TokenKeyUnknown);
    }
    assert_eq!(set.refusal(&set.forged(json!({ "alg": "ES256" }), stranger)), Reason::TokenSignature);
    assert!(set.cache.is_empty());
    assert_eq!(set.fetches(), 1, "nothing is fetched from where a token says");
}

#[test]
fn attack_critical_headers_and_members_twice() {
    let set = set();
    let own = SignWith::Own(Algorithm::Es256);
    for more in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "b64": false }),
        json!({ "typ": "dpop+jwt" }),
    ] {
        assert_eq!(set.refusal(&set.forged(set.es256(more), own)), Reason::TokenMalformed);
    }
    let (header, claims) = (set.es256(json!({})).to_string(), set.claims(json!({})).to_string());
    for (header, claims) in [
        (header.clone(), claims.replace("\"sub\":", "\"sub\":\"admin\",\"sub\":")),
        (header.clone(), claims.replace("\"sub\":", "\"s\\u0075b\":\"admin\",\"sub\":")),
        (header.replace("\"alg\":", "\"alg\":\"none\",\"alg\":"), claims),
    ] {
        let token = set.provider.sign_raw(&header, &claims, own);
        assert_eq!(set.refusal(&token), Reason::TokenMalformed, "{header} {claims}");
    }
}

#[test]
fn claims_are_held_to_the_rules() {
    let set = set();
    let now = set.trial.now();
    for (claims, reason) in [
        (json!({ "exp": now - 60 }), Reason::TokenExpired),
        (json!({ "nbf": now + 61 }), Reason::TokenNotYetValid),
        (json!({ "iat": now + 61 }), Reason::TokenNotYetValid),
        (json!({ "iss": "https://other.example" }), Reason::TokenIssuer),
        (json!({ "aud": ["web"] }), Reason::TokenAudience),
        (json!({ "exp": null }), Reason::TokenClaims),
        (json!({ "exp": "soon" }), Reason::TokenClaims),
        (json!({ "aud": null }), Reason::TokenClaims),
    ] {
        assert_eq!(set.refusal(&set.token(claims.clone())), reason, "{claims}");
    }
    assert!(set.cache.is_empty());
    for claims in [json!({ "exp": now - 59 }), json!({ "nbf": now + 60 }), json!({ "aud": ["web", "api"] })] {
        assert_eq!(set.trial.caller(&set.method, &bearer(&set.token(claims))).0.name(), "alice");
    }
    let required = set.change(|settings| settings.rules.required = vec!["plan".to_owned()]);
    assert_eq!(set.trial.refusal(&required, &bearer(&set.token(json!({})))), Reason::TokenClaims);
}

#[test]
fn a_token_expires_by_the_skew_also_when_it_was_remembered() {
    let mut set = set();
    let token = set.token(json!({ "exp": set.trial.now() + 10 }));
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice");
    set.trial.later(69);
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice");
    set.trial.later(1);
    assert_eq!(set.refusal(&token), Reason::TokenExpired);
}

#[test]
fn attack_a_key_that_is_withdrawn_takes_remembered_tokens_with_it() {
    let set = set();
    let token = set.token(json!({}));
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice");
    set.provider.rotate_keys();
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice", "nobody has told yet");
    set.refetch();
    assert_eq!(set.refusal(&token), Reason::TokenKeyUnknown);
    assert_eq!(set.trial.caller(&set.method, &bearer(&set.token(json!({})))).0.name(), "alice");
}

#[test]
fn other_settings_do_not_believe_what_was_remembered_before() {
    let set = set();
    let token = set.token(json!({}));
    set.trial.caller(&set.method, &bearer(&token));
    let other = set.change(|settings| settings.rules.audience = vec!["web".to_owned()]);
    assert_eq!(set.trial.refusal(&other, &bearer(&token)), Reason::TokenAudience);
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    let set = set_with(|_| {}, PATIENCE, Duration::ZERO);
    wait(set.keys.source.ready());
    set.provider.rotate_keys();
    let token = set.token(json!({}));
    let mut gate = Gate::default();
    let (finding, waited) = set.trial.finish(&set.method, &bearer(&token), &mut gate);
    assert!(matches!(finding, Finding::Known(_)) && waited, "{finding:?}");
    let (finding, waited) = set.trial.finish(&set.method, &bearer(&token), &mut gate);
    assert!(matches!(finding, Finding::Known(_)) && !waited, "{finding:?}");
    assert_eq!(set.fetches(), 2);
}

#[test]
fn attack_a_flood_of_unknown_keys_is_one_fetch_at_most() {
    let set = set();
    let tokens: Vec<_> = (0..100)
        .map(|n| {
            set.forged(json!({ "alg": "ES256", "kid": format!("k{n}") }), SignWith::Own(Algorithm::Es256))
        })
        .collect();
    for token in &tokens {
        assert_eq!(set.refusal(token), Reason::TokenKeyUnknown);
    }
    assert_eq!(set.fetches(), 1, "the first one was less than an hour ago");

    // All at once, where one is due: they share it.
    let eager = set_with(|_| {}, PATIENCE, Duration::ZERO);
    wait(eager.keys.source.ready());
    eager.provider.stall();
    let samples: Vec<_> = (0..100)
        .map(|n| json!({ "alg": "ES256", "kid": format!("k{n}") }))
        .map(|header| bearer(&eager.forged(header, SignWith::Own(Algorithm::Es256))))
        .collect();
    let mut waiting: Vec<_> = samples
        .iter()
        .map(|sample| match eager.trial.ask(&eager.method, sample, &mut Gate::default()) {
            Finding::Wait(wait) => wait.future,
            other => panic!("{other:?}"),
        })
        .collect();
    wait(async {
        for future in &mut waiting {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        eager.provider.wait_for_requests("/jwks", 2);
        eager.provider.behave();
        for future in waiting {
            assert_eq!(*future.await.downcast::<Refresh>().unwrap(), Refresh::Done);
        }
    });
    assert_eq!(eager.fetches(), 2);
}

#[test]
fn without_keys_at_the_start_nobody_is_known_until_they_come() {
    let down = |provider: &OidcProvider| provider.fail(1, 503);
    let set = set_with(down, PATIENCE, HOUR);
    wait(set.keys.source.ready());
    let token = set.token(json!({}));
    assert_eq!(set.refusal(&token), Reason::IdentityUnavailable);
    assert_eq!(set.refusal("x.y"), Reason::TokenMalformed, "what is wrong with any key needs none");
    set.refetch();
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice");
    // The first one is waited for.
    let set = set_with(|_| {}, PATIENCE, HOUR);
    assert_eq!(set.trial.caller(&set.method, &bearer(&set.token(json!({})))).0.name(), "alice");
    assert_eq!(set.fetches(), 1);
}

#[test]
fn a_provider_that_never_answers_is_waited_for_a_bounded_time() {
    let set = set_with(OidcProvider::stall, Duration::from_millis(20), HOUR);
    assert_eq!(set.refusal(&set.token(json!({}))), Reason::IdentityUnavailable);
    set.provider.behave();
}

#[test]
fn keys_are_used_on_while_the_provider_is_down() {
    let set = set();
    set.provider.fail(100, 503);
    set.refetch();
    let token = set.token(json!({}));
    assert_eq!(set.trial.caller(&set.method, &bearer(&token)).0.name(), "alice");
    let unknown = set.forged(json!({ "alg": "ES256", "kid": "new" }), SignWith::Own(Algorithm::Es256));
    assert_eq!(set.refusal(&unknown), Reason::TokenKeyUnknown);
}

#[test]
fn explaining_leaves_no_trace() {
    let mut set = set_with(|_| {}, PATIENCE, Duration::ZERO);
    wait(set.keys.source.ready());
    set.trial.explains = true;
    assert_eq!(set.trial.caller(&set.method, &bearer(&set.token(json!({})))).0.name(), "alice");
    assert!(set.cache.is_empty());
    let unknown = set.forged(json!({ "alg": "ES256", "kid": "new" }), SignWith::Own(Algorithm::Es256));
    let finding = set.trial.ask(&set.method, &bearer(&unknown), &mut Gate::default());
    assert!(matches!(&finding, Finding::Wait(wait) if wait.what.contains("keys")), "{finding:?}");
    drop(finding);
    // Had it wanted a fetch, it would have begun before this one ends.
    set.refetch();
    assert_eq!(set.fetches(), 2);
    drop(set.background);
}

#[test]
fn keys_known_beforehand_come_first_and_do_without_a_source() {
    let set = set();
    let pem = set.provider.public_pem(Algorithm::Rs256);
    let keys = || Keys::new(vec![Key::from_pem(None, pem.as_bytes(), Alg::RS256).unwrap()]);
    let settings = || Settings {
        tokens: TokenSettings::new("idp"),
        rules: Rules { issuers: vec![set.provider.issuer().to_owned()], ..Rules::default() },
    };
    let alone = Jwt::new(settings(), TokenKeys::new(keys(), None), None);
    let rs256 = set.forged(json!({ "alg": "RS256" }), SignWith::Own(Algorithm::Rs256));
    assert_eq!(set.trial.caller(&alone, &bearer(&rs256)).0.name(), "alice");
    assert_eq!(set.trial.refusal(&alone, &bearer(&set.token(json!({})))), Reason::TokenKeyUnknown);
    let both = Jwt::new(settings(), TokenKeys::new(keys(), Some(set.keys.clone())), None);
    assert_eq!(set.trial.caller(&both, &bearer(&rs256)).0.name(), "alice");
    assert_eq!(set.trial.caller(&both, &bearer(&set.token(json!({})))).0.name(), "alice");
    let expired = json!({ "exp": 1 });
    assert_eq!(set.trial.refusal(&both, &bearer(&set.token(expired))), Reason::TokenExpired);
}

#[test]
fn odd_fields_and_what_callers_are_told() {
    let set = set();
    for sample in [
        get("Authorization: Bearer a.b.c\r\nAuthorization: Bearer a.b.c\r\n"),
        get("Authorization: Bearer\r\n"),
    ] {
        assert_eq!(set.trial.refusal(&set.method, &sample), Reason::CredentialMalformed);
    }
    assert_eq!(set.refusal(&"a".repeat(20_000)), Reason::TokenMalformed);
    let told = |method: &Jwt, reason| method.challenge(reason).unwrap();
    assert_eq!(told(&set.method, Reason::Unauthenticated), "Bearer realm=\"tollgate\"");
    assert_eq!(told(&set.method, Reason::PasswordWrong), "Bearer realm=\"tollgate\"");
    for reason in [Reason::TokenKeyUnknown, Reason::TokenExpired, Reason::TokenSignature] {
        assert_eq!(told(&set.method, reason), "Bearer realm=\"tollgate\", error=\"invalid_token\"");
    }
    let method = set.change(|s| s.tokens.resource_metadata = Some("https://a.example/m".to_owned()));
    let told = told(&method, Reason::Unauthenticated);
    assert_eq!(told, "Bearer realm=\"tollgate\", resource_metadata=\"https://a.example/m\"");
}
