//! Tokens that confuse verifiers.

use serde_json::{Value, json};
use tollgate_decision::Reason;
use tollgate_testkit::{Algorithm, OidcProvider, Origin, Response, SignWith, Tollgate};

use super::{get_with, guarded, now, refused};

const DOCUMENT: &str = "auth: { idp: { jwt: { issuer: \"{issuer}\", audience: api, jwks: \"{issuer}/jwks\", clock_skew: 60s, required_claims: [jti] } } }\n\
    routes: [{ path: /, to: \"http://{origin}\", auth: idp, retry: none }]\n";

/// A provider, an origin, and the program between them.
struct Stage {
    provider: OidcProvider,
    origin: Origin,
    tollgate: Tollgate,
}

impl Stage {
    fn new() -> Self {
        let (provider, origin) = (OidcProvider::start(), Origin::saying("secret"));
        let tollgate = guarded(DOCUMENT, &[("issuer", &provider.issuer()), ("origin", &origin.address())]);
        Self { provider, origin, tollgate }
    }

    /// Good claims, with these in their place.
    fn claims(&self, other: Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.issuer(), "aud": "api", "sub": "alice", "jti": "1",
            "iat": now(), "exp": now() + 300,
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn header(&self, other: Value) -> String {
        let mut header =
            json!({ "alg": "ES256", "typ": "JWT", "kid": self.provider.key_id(Algorithm::Es256) });
        for (name, value) in other.as_object().unwrap() {
            header[name] = value.clone();
        }
        header.to_string()
    }

    fn ask(&self, token: &str) -> Response {
        self.tollgate.request(get_with("/", &format!("Authorization: Bearer {token}\r\n")))
    }

    fn signed(&self, header: Value, claims: Value, key: SignWith<'_>) -> Response {
        let (header, claims) = (self.header(header), self.claims(claims).to_string());
        self.ask(&self.provider.sign_raw(&header, &claims, key))
    }

    #[track_caller]
    fn refuses(&self, response: &Response, reason: Reason) {
        refused(&self.tollgate, response, reason);
        let challenge = response.get("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm=") && challenge.contains("invalid_token"), "{challenge}");
    }

    fn reached(&self) -> usize {
        self.origin.requests().len()
    }
}

const OWN: SignWith<'_> = SignWith::Own(Algorithm::Es256);

#[test]
fn headers_that_choose_how_they_are_verified_are_refused() {
    let stage = Stage::new();
    assert_eq!(stage.signed(json!({}), json!({}), OWN).status, 200);
    let pem = stage.provider.public_pem(Algorithm::Rs256);
    let rsa = stage.provider.key_id(Algorithm::Rs256);
    let stranger = stage.provider.jwks()["keys"][1].clone();
    for (header, key, reason) in [
        (json!({ "alg": "none" }), SignWith::Nothing, Reason::TokenAlgorithm),
        (json!({ "alg": "nOnE" }), SignWith::Nothing, Reason::TokenAlgorithm),
        (json!({ "alg": "HS256", "kid": rsa }), SignWith::Hmac(pem.as_bytes()), Reason::TokenAlgorithm),
        (json!({ "alg": "ES384" }), OWN, Reason::TokenAlgorithm),
        (json!({ "alg": "RS256" }), SignWith::Own(Algorithm::Rs256), Reason::TokenAlgorithm),
        (json!({ "kid": "../../../dev/null" }), OWN, Reason::TokenKeyUnknown),
        (json!({ "kid": "' OR 1=1 --" }), OWN, Reason::TokenKeyUnknown),
        (
            json!({ "jwk": stranger, "kid": "mine" }),
            SignWith::Stranger(Algorithm::Es256),
            Reason::TokenKeyUnknown,
        ),
        (json!({ "jwk": stranger }), SignWith::Stranger(Algorithm::Es256), Reason::TokenSignature),
        (
            json!({ "jku": "http://127.0.0.1:1/jwks" }),
            SignWith::Stranger(Algorithm::Es256),
            Reason::TokenSignature,
        ),
        (json!({ "crit": ["exp"] }), OWN, Reason::TokenMalformed),
        (json!({ "crit": [] }), OWN, Reason::TokenMalformed),
        (json!({}), SignWith::Stranger(Algorithm::Es256), Reason::TokenSignature),
        (json!({}), SignWith::Nothing, Reason::TokenSignature),
    ] {
        let response = stage.signed(header, json!({}), key);
        stage.refuses(&response, reason);
    }
    assert_eq!(stage.reached(), 1);
}

#[test]
fn claims_that_are_not_right_are_refused_each_with_its_reason() {
    let stage = Stage::new();
    for (claims, reason) in [
        (json!({ "exp": now() - 62 }), Reason::TokenExpired),
        (json!({ "nbf": now() + 90 }), Reason::TokenNotYetValid),
        (json!({ "iss": "http://127.0.0.1:1" }), Reason::TokenIssuer),
        (json!({ "iss": [stage.provider.issuer()] }), Reason::TokenIssuer),
        (json!({ "aud": "other" }), Reason::TokenAudience),
        (json!({ "jti": null }), Reason::TokenClaims),
        (json!({ "exp": "tomorrow" }), Reason::TokenClaims),
    ] {
        let told = claims.to_string();
        let response = stage.signed(json!({}), claims, OWN);
        assert_eq!(response.status, 401, "{told}");
        let all = [reason, Reason::TokenClaims];
        let said = super::told(&stage.tollgate, &response);
        assert!(all.iter().any(|reason| said["reason"] == reason.code()), "{told}: {said}");
        if !told.contains('[') {
            stage.refuses(&response, reason);
        }
    }
    assert_eq!(stage.reached(), 0);
    // The skew is granted, and not a second more than it.
    assert_eq!(stage.signed(json!({}), json!({ "exp": now() - 30 }), OWN).status, 200);
}

#[test]
fn members_that_stand_twice_are_refused() {
    let stage = Stage::new();
    let (header, claims) = (stage.header(json!({})), stage.claims(json!({})).to_string());
    let twice_claims = claims.replacen('{', "{\"sub\":\"root\",", 1);
    let twice_header = header.replacen('{', "{\"alg\":\"none\",", 1);
    for (header, claims) in [(&header, &twice_claims), (&twice_header, &claims)] {
        let response = stage.ask(&stage.provider.sign_raw(header, claims, OWN));
        stage.refuses(&response, Reason::TokenMalformed);
    }
    for token in ["a", "a.b", "a.b.c", "..", "a.b.c.d.e", &"x".repeat(9000)] {
        let response = stage.ask(token);
        stage.refuses(&response, Reason::TokenMalformed);
    }
    assert_eq!(stage.reached(), 0);
}

#[test]
fn a_token_that_is_remembered_is_still_refused_when_it_is_altered() {
    let stage = Stage::new();
    let token = stage.provider.issue(json!({ "aud": "api", "sub": "alice", "jti": "1" }), Algorithm::Es256);
    for _ in 0..3 {
        assert_eq!(stage.ask(&token).status, 200);
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let altered = format!("{signed}.{other}{}", &signature[1..]);
    stage.refuses(&stage.ask(&altered), Reason::TokenSignature);
    assert_eq!(stage.reached(), 3);
}

#[test]
fn two_authorization_fields_are_one_too_many() {
    let stage = Stage::new();
    let token = stage.provider.issue(json!({ "aud": "api", "sub": "alice", "jti": "1" }), Algorithm::Es256);
    for lines in [
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer other\r\n"),
        format!("Authorization: Bearer other\r\nauthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
    ] {
        let response = stage.tollgate.request(get_with("/", &lines));
        refused(&stage.tollgate, &response, Reason::CredentialMalformed);
    }
    assert_eq!(stage.reached(), 0);
}
