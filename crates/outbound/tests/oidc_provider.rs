//! The OpenID provider of the test kit, asked as a gateway asks one, its tokens verified by other code than its own.

mod parts;

use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, TokenData, Validation};
use parts::{Background, url, wait};
use serde_json::{Value, json};
use tollgate_outbound::{HttpClient, Request, Response, Settings};
use tollgate_testkit::{Algorithm, Authority, OidcProvider, PATIENCE, SignWith};

const BACK: &str = "http://127.0.0.1:1/callback";

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Set {
    client: HttpClient,
    provider: OidcProvider,
    _background: Background,
}

fn set() -> Set {
    let (background, authority) = (Background::start(), Authority::new("Test CA"));
    let settings = Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..Settings::default() };
    let client = background.client(settings, &authority);
    let provider = OidcProvider::start();
    provider.register("gate", "s3cret", &[BACK]);
    provider.add_user("alice", "pass", json!({ "plan": "pro" }));
    Set { client, provider, _background: background }
}

impl Set {
    fn get(&self, path: &str) -> Response {
        wait(self.client.call(Request::get(url(self.provider.url(path))))).unwrap()
    }

    /// Asks as the client, by `client_secret_post`.
    fn post(&self, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let pairs = [&[("client_id", "gate"), ("client_secret", "s3cret")], pairs].concat();
        self.post_as_nobody(path, &pairs)
    }

    fn post_as_nobody(&self, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        self.send(Request::form(url(self.provider.url(path)), pairs))
    }

    fn send(&self, request: Request) -> (u16, Value) {
        let answer = wait(self.client.call(request)).unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    fn code(&self) -> String {
        let answer = self.get(&authorize(&[]));
        parameter(answer.header(&LOCATION).unwrap(), "code").unwrap()
    }

    fn exchange(&self, code: &str) -> (u16, Value) {
        self.post("/token", &exchange(code))
    }

    fn is_active(&self, token: &str) -> bool {
        self.post("/introspect", &[("token", token)]).1["active"] == true
    }

    fn verify(&self, token: &str, audience: &str) -> jsonwebtoken::errors::Result<TokenData<Value>> {
        let header = jsonwebtoken::decode_header(token)?;
        let keys: JwkSet = serde_json::from_value(self.provider.jwks()).unwrap();
        let jwk = keys.find(header.kid.as_deref().unwrap_or_default()).expect("the key is published");
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[self.provider.issuer()]);
        validation.set_audience(&[audience]);
        jsonwebtoken::decode(token, &DecodingKey::from_jwk(jwk)?, &validation)
    }
}

fn exchange(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

/// The path of an authorisation request, with some parameters other than they should be.
fn authorize(otherwise: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "gate"),
        ("redirect_uri", BACK),
        ("scope", "openid profile"),
        ("state", "st&te"),
        ("nonce", "n0nce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in otherwise {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    let escape =
        |text: &str| text.replace('&', "%26").replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    format!("/authorize?{}", pairs.join("&"))
}

fn parameter(location: &str, name: &str) -> Option<String> {
    let query = location.split_once('?')?.1;
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
    Some(found.1.replace("%26", "&").replace("%3A", ":").replace("%2F", "/"))
}

#[test]
fn a_code_becomes_tokens() {
    let set = set();
    set.provider.consent(Some("alice"));
    let answer = set.get(&authorize(&[]));
    let location = answer.header(&LOCATION).unwrap();
    assert!(location.starts_with(BACK), "{location}");
    assert_eq!(parameter(location, "state").as_deref(), Some("st&te"));
    assert_eq!(parameter(location, "iss").as_deref(), Some(set.provider.issuer()));
    let (status, tokens) = set.exchange(&parameter(location, "code").unwrap());
    assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &json!("Bearer"), &json!(300)));
    let id = set.verify(tokens["id_token"].as_str().unwrap(), "gate").unwrap().claims;
    assert_eq!((&id["sub"], &id["nonce"], &id["plan"]), (&json!("alice"), &json!("n0nce"), &json!("pro")));
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(set.verify(access, "gate").unwrap().claims["scope"], "openid profile");
    assert!(set.is_active(access));
    assert_eq!(set.provider.requests("/token"), 1);
}

#[test]
fn a_code_is_for_one_client_one_place_one_verifier_and_one_time() {
    let set = set();
    set.provider.consent(Some("alice"));
    set.provider.register("other", "s3cret", &[BACK]);
    for (name, value) in
        [("code_verifier", &*"x".repeat(43)), ("redirect_uri", "http://127.0.0.1:1/"), ("code", "x")]
    {
        let code = set.code();
        let pairs = exchange(&code).map(|pair| if pair.0 == name { (name, value) } else { pair });
        let (status, answer) = set.post("/token", &pairs);
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{name}");
    }
    let code = set.code();
    let as_other = [&exchange(&code)[..], &[("client_id", "other"), ("client_secret", "s3cret")]].concat();
    assert_eq!(set.post_as_nobody("/token", &as_other).1["error"], "invalid_grant");
    // Who uses one twice loses what came of it.
    let code = set.code();
    let tokens = set.exchange(&code).1;
    assert_eq!(set.exchange(&code).1["error"], "invalid_grant");
    assert!(!set.is_active(tokens["access_token"].as_str().unwrap()));
}

#[test]
fn clients_say_who_they_are() {
    let set = set();
    set.provider.consent(Some("alice"));
    let code = set.code();
    let wrong = [&exchange(&code)[..], &[("client_id", "gate"), ("client_secret", "wrong")]].concat();
    let (status, answer) = set.post_as_nobody("/token", &wrong);
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    assert_eq!(set.post_as_nobody("/token", &exchange(&code)).0, 401);
    assert_eq!(set.post_as_nobody("/introspect", &[("token", "x")]).0, 401);
    // gate:s3cret
    let basic = Request::form(url(set.provider.url("/token")), &exchange(&code));
    let basic = basic.header(AUTHORIZATION, "Basic Z2F0ZTpzM2NyZXQ=".parse().unwrap());
    assert_eq!(set.send(basic.header(ACCEPT, "application/json".parse().unwrap())).0, 200);
}

#[test]
fn refresh_tokens_are_used_once() {
    let set = set();
    set.provider.consent(Some("alice"));
    let first = set.exchange(&set.code()).1;
    let refresh = |token: &Value| {
        set.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())])
    };
    let (status, second) = refresh(&first["refresh_token"]);
    assert_eq!(status, 200);
    assert_ne!(second["access_token"], first["access_token"]);
    assert!(set.is_active(second["access_token"].as_str().unwrap()));
    // The first one again: somebody has stolen it, and all of them go.
    assert_eq!(refresh(&first["refresh_token"]).1["error"], "invalid_grant");
    assert_eq!(refresh(&second["refresh_token"]).1["error"], "invalid_grant");
    assert!(!set.is_active(second["access_token"].as_str().unwrap()));
}

#[test]
fn requests_to_log_in_are_looked_at() {
    let set = set();
    set.provider.consent(Some("alice"));
    for (name, value) in [("client_id", "who"), ("redirect_uri", "http://evil.example/")] {
        let answer = set.get(&authorize(&[(name, value)]));
        assert_eq!((answer.status.as_u16(), answer.header(&LOCATION)), (400, None), "{name}");
    }
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "profile", "invalid_scope"),
        ("nonce", "", "invalid_request"),
        ("state", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        let answer = set.get(&authorize(&[(name, value)]));
        let location = answer.header(&LOCATION).unwrap();
        assert_eq!(parameter(location, "error").as_deref(), Some(error), "{name}");
    }
}

#[test]
fn users_log_in_by_a_form() {
    let set = set();
    let path = authorize(&[]);
    let page = String::from_utf8(set.get(&path).body.to_vec()).unwrap();
    let query =
        page.split("name=\"query\" type=\"hidden\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let query = query.replace("&amp;", "&");
    assert_eq!(format!("/authorize?{query}"), path);
    let fill = |password| {
        let pairs = [("username", "alice"), ("password", password), ("query", &*query)];
        wait(set.client.call(Request::form(url(set.provider.url("/login")), &pairs))).unwrap()
    };
    assert_eq!(fill("wrong").status, 401);
    let answer = fill("pass");
    let code = parameter(answer.header(&LOCATION).unwrap(), "code").unwrap();
    assert_eq!(set.exchange(&code).0, 200);
    let out = set.get(&format!("/logout?client_id=gate&post_logout_redirect_uri={BACK}&state=x"));
    assert_eq!(out.header(&LOCATION), Some(&*format!("{BACK}?state=x")));
    assert_eq!(set.get("/logout?client_id=gate&post_logout_redirect_uri=http://evil.example").status, 400);
}

#[test]
fn tokens_are_signed_with_the_published_keys() {
    let set = set();
    for algorithm in Algorithm::ALL {
        let claims = json!({ "sub": "bob", "aud": "api", "iat": null });
        let token = set.provider.issue(claims, algorithm);
        let verified =
            set.verify(&token, "api").unwrap_or_else(|error| panic!("{algorithm:?}: {error}")).claims;
        assert_eq!((&verified["sub"], &verified["iat"]), (&json!("bob"), &Value::Null));
        // PEM and JWK are the same key.
        let pem = set.provider.public_pem(algorithm);
        let (key, name) = match algorithm {
            Algorithm::Rs256 => (DecodingKey::from_rsa_pem(pem.as_bytes()), jsonwebtoken::Algorithm::RS256),
            Algorithm::Es256 => (DecodingKey::from_ec_pem(pem.as_bytes()), jsonwebtoken::Algorithm::ES256),
            Algorithm::EdDsa => (DecodingKey::from_ed_pem(pem.as_bytes()), jsonwebtoken::Algorithm::EdDSA),
        };
        let mut validation = Validation::new(name);
        validation.set_audience(&["api"]);
        jsonwebtoken::decode::<Value>(&token, &key.unwrap(), &validation).unwrap();
        let header = json!({ "alg": algorithm.name(), "kid": set.provider.key_id(algorithm) }).to_string();
        let claims =
            json!({ "iss": set.provider.issuer(), "aud": "api", "exp": 4_000_000_000u64 }).to_string();
        let raw = |key| set.verify(&set.provider.sign_raw(&header, &claims, key), "api").is_ok();
        assert!(raw(SignWith::Own(algorithm)));
        assert!(
            !raw(SignWith::Stranger(algorithm))
                && !raw(SignWith::Nothing)
                && !raw(SignWith::Hmac(pem.as_bytes()))
        );
    }
    let old = set.provider.issue(json!({}), Algorithm::Es256);
    set.provider.rotate_keys();
    let kid = jsonwebtoken::decode_header(&old).unwrap().kid.unwrap();
    assert!(!set.provider.jwks().to_string().contains(&kid));
}

#[test]
fn opaque_tokens_are_good_until_they_are_not() {
    let set = set();
    let token = set.provider.issue_opaque(json!({ "sub": "bob", "scope": "a b" }));
    let (status, answer) = set.post("/introspect", &[("token", &token)]);
    assert_eq!((status, answer), (200, json!({ "active": true, "sub": "bob", "scope": "a b" })));
    set.provider.revoke(&token);
    assert_eq!(set.post("/introspect", &[("token", &token)]).1, json!({ "active": false }));
    let expired = set.provider.issue_opaque(json!({ "exp": 1 }));
    assert!(!set.is_active(&expired) && !set.is_active("never issued"));
}

#[test]
fn what_goes_wrong_is_what_the_test_wants() {
    let set = set();
    set.provider.fail(2, 500);
    assert_eq!([(); 3].map(|()| set.get("/jwks").status.as_u16()), [500, 500, 200]);
    set.provider.consent(Some("alice"));
    set.provider.distort_id_tokens(json!({ "nonce": "other", "plan": null }));
    let tokens = set.exchange(&set.code()).1;
    let id = set.verify(tokens["id_token"].as_str().unwrap(), "gate").unwrap().claims;
    assert_eq!((&id["nonce"], &id["plan"]), (&json!("other"), &Value::Null));
    set.provider.set_token_lifetime(std::time::Duration::ZERO);
    let tokens = set.exchange(&set.code()).1;
    assert!(!set.is_active(tokens["access_token"].as_str().unwrap()));
}
