//! The server refuses what it should: a client that gets through it has done nothing wrong.

use std::sync::{Arc, Condvar, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hyper::Request;
use serde_json::{Value, json};

use tokio::sync::Notify;

use super::authority::Authority;
use super::state::State;
use super::{Shared, resources};

const BASE: &str = "https://127.0.0.1:1";

/// A client that can do things wrong.
struct Client {
    shared: Arc<Shared>,
    key: EcdsaKeyPair,
}

impl Client {
    fn new() -> Self {
        let (authority, state) = (Authority::new(), Mutex::new(State::default()));
        let shared =
            Shared { base: BASE.into(), authority, state, changed: Condvar::new(), resolved: Notify::new() };
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { shared: Arc::new(shared), key }
    }

    fn nonce(&self) -> String {
        self.shared.state().new_nonce()
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "x": part(&point[1..33]), "y": part(&point[33..]) })
    }

    fn header(&self, path: &str) -> Value {
        json!({ "alg": "ES256", "nonce": self.nonce(), "url": format!("{BASE}{path}"),
            "kid": format!("{BASE}/account/0") })
    }

    fn sign(&self, header: &Value, payload: &str) -> Value {
        let (protected, payload) =
            (BASE64_URL_SAFE_NO_PAD.encode(header.to_string()), BASE64_URL_SAFE_NO_PAD.encode(payload));
        let signed = format!("{protected}.{payload}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        json!({ "protected": protected, "payload": payload,
            "signature": BASE64_URL_SAFE_NO_PAD.encode(signature) })
    }

    /// The kind of the problem, or the location of what was made.
    fn send(&self, path: &str, body: &Value) -> Result<String, String> {
        let request = Request::post(path).header("Content-Type", "application/jose+json");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let response = resources::answer(&head, body.to_string().as_bytes(), &self.shared);
        assert!(response.headers().contains_key("Replay-Nonce"));
        if response.status().is_success() {
            let location = response.headers().get("Location");
            return Ok(location.map_or(String::new(), |location| location.to_str().unwrap().to_owned()));
        }
        let counts = self.shared.state().counts.clone();
        Err((*counts.problems.last().unwrap()).to_owned())
    }

    fn post(&self, path: &str, payload: &str) -> Result<String, String> {
        self.send(path, &self.sign(&self.header(path), payload))
    }

    fn make_account(&self) -> Result<String, String> {
        let mut header = self.header("/new-account");
        header.as_object_mut().unwrap().remove("kid");
        header["jwk"] = self.jwk();
        self.send("/new-account", &self.sign(&header, r#"{"termsOfServiceAgreed":true}"#))
    }

    fn with_account() -> Self {
        let client = Self::new();
        assert_eq!(client.make_account(), Ok(format!("{BASE}/account/0")));
        client
    }
}

const ORDER: &str = r#"{"identifiers":[{"type":"dns","value":"a.example"}]}"#;

#[test]
fn what_is_right_gets_through() {
    let client = Client::with_account();
    assert_eq!(client.make_account(), Ok(format!("{BASE}/account/0")), "the same account again");
    assert_eq!(client.post("/new-order", ORDER), Ok(format!("{BASE}/order/0")));
    assert_eq!(client.post("/order/0", ""), Ok(String::new()));
    assert_eq!(client.post("/authorization/0", ""), Ok(String::new()));
    let counts = client.shared.state().counts.clone();
    assert_eq!((counts.accounts, counts.orders, counts.open_orders_max), (1, 1, 1));
}

#[test]
fn a_nonce_is_good_once_and_only_if_it_was_handed_out() {
    let client = Client::with_account();
    let body = client.sign(&client.header("/new-order"), ORDER);
    assert!(client.send("/new-order", &body).is_ok());
    assert_eq!(client.send("/new-order", &body), Err("badNonce".into()));
    let mut header = client.header("/new-order");
    header["nonce"] = json!("made-up");
    assert_eq!(client.send("/new-order", &client.sign(&header, ORDER)), Err("badNonce".into()));
}

#[test]
fn signatures_addresses_and_accounts_are_checked() {
    let client = Client::with_account();
    let mut body = client.sign(&client.header("/new-order"), ORDER);
    body["payload"] = json!(BASE64_URL_SAFE_NO_PAD.encode(r#"{"identifiers":[]}"#));
    assert_eq!(client.send("/new-order", &body), Err("malformed".into()), "another payload");
    let stranger = Client { shared: client.shared.clone(), ..Client::new() };
    assert_eq!(stranger.post("/new-order", ORDER), Err("malformed".into()), "another's account");
    let body = client.sign(&client.header("/order/0"), ORDER);
    assert_eq!(client.send("/new-order", &body), Err("unauthorized".into()), "another address");
    let changes = [
        ("alg", json!("HS256"), "badSignatureAlgorithm"),
        ("kid", json!(format!("{BASE}/account/7")), "accountDoesNotExist"),
        ("jwk", client.jwk(), "malformed"),
    ];
    for (field, value, expected) in changes {
        let mut header = client.header("/new-order");
        header[field] = value;
        let sent = client.send("/new-order", &client.sign(&header, ORDER));
        assert_eq!(sent, Err(expected.into()), "{field}");
    }
    assert_eq!(client.shared.state().counts.orders, 0);
}

#[test]
fn orders_are_seen_by_their_account_only_and_finalized_when_ready_only() {
    let client = Client::with_account();
    client.post("/new-order", ORDER).unwrap();
    assert_eq!(client.post("/order/0/finalize", r#"{"csr":"AAAA"}"#), Err("orderNotReady".into()));
    for path in ["/order/1", "/order/x", "/authorization/9", "/certificate/0", "/nothing"] {
        assert_eq!(client.post(path, ""), Err("malformed".into()), "{path}");
    }
    assert_eq!(client.post("/order/0", "{}"), Err("malformed".into()), "reading takes no payload");
    client.shared.state().orders[0].account = 1;
    assert_eq!(client.post("/order/0", ""), Err("unauthorized".into()));
    let wildcard = ORDER.replace("a.example", "*.example");
    assert_eq!(client.post("/new-order", &wildcard), Err("rejectedIdentifier".into()));
}
