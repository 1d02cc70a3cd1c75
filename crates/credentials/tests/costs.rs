//! What verifying costs: run with `cargo test --release -p tollgate-credentials --test costs -- --ignored --nocapture`.
//! Ignored otherwise: it shows, and holds nothing to a bound.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tollgate_credentials::jwt::{Algorithm, Keys, Rules, TokenCache, verify};
use tollgate_credentials::password::{PasswordCache, Stored};
use tollgate_credentials::sealed::Sealer;
use tollgate_credentials::{api_key, password};

const NOW: u64 = 1_800_000_000;

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The best of five rounds, in nanoseconds a call.
fn cost(what: &str, calls: u32, mut call: impl FnMut()) {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    let best = (0..5).map(|_| round(&mut call)).fold(f64::MAX, f64::min);
    eprintln!("{what:<40} {best:>12.0} ns");
}

fn token(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let claims = json!({
        "iss": "https://id.example.com/realms/shop", "aud": ["api", "orders"], "sub": "0b7c9a52-8d7e-4a2f-b1d6-1f0e3c9d2a77",
        "exp": NOW + 300, "iat": NOW - 5, "nbf": NOW - 5, "jti": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "scope": "openid profile orders:read orders:write", "plan": "pro", "email": "alice@shop.example",
        "groups": ["gold", "staff"], "azp": "web", "session_state": "8a6e0804-2bd0-4672-b79d-d97027f9071a",
    });
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": algorithm});
    let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
    format!("{signed}.{}", text(&sign(signed.as_bytes())))
}

#[test]
#[ignore = "shows costs, holds nothing to a bound"]
fn costs() {
    let key = api_key::generate(|bytes| bytes.fill(5)).shown;
    cost("api key: hash", 200_000, || {
        let _ = black_box(api_key::hash(black_box(key.as_bytes())));
    });

    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let random = SystemRandom::new();
    let point = p256.public_key().as_ref();
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let set = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "ES256", "x": text(&point[1..33]), "y": text(&point[33..])},
        {"kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "x": text(ed.public_key().as_ref())},
        {"kty": "RSA", "kid": "RS256", "n": text(&parts.n), "e": text(&parts.e)},
    ]});
    let algorithms = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256].into_iter().collect();
    let (keys, skipped) = Keys::from_jwks(set.to_string().as_bytes(), algorithms, false).unwrap();
    assert!(skipped.is_empty());
    let rules = Rules {
        issuers: vec!["https://id.example.com/realms/shop".to_owned()],
        audience: vec!["api".to_owned()],
        algorithms,
        ..Rules::default()
    };
    let es256 = token("ES256", |message| p256.sign(&random, message).unwrap().as_ref().to_vec());
    let eddsa = token("EdDSA", |message| ed.sign(message).as_ref().to_vec());
    let rs256 = token("RS256", |message| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    });
    for (name, token) in [("ES256", &es256), ("EdDSA", &eddsa), ("RS256", &rs256)] {
        let what = format!("token: {name}, {} bytes, verify", token.len());
        cost(&what, 2000, || drop(black_box(verify(token.as_bytes(), &keys, &rules, NOW).unwrap())));
    }
    let alone = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).parse().unwrap();
    let (signed, signature) = es256.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    cost("token: ES256, the signature alone", 2000, || {
        alone.verify_sig(signed.as_bytes(), &signature).unwrap()
    });
    token_cache(&es256, Arc::new(verify(es256.as_bytes(), &keys, &rules, NOW).unwrap()));

    let sealer = Sealer::new("session", &[[3; 32]]).unwrap();
    let sealed = sealer.seal("tollgate", &[b'x'; 600], NOW + 9, |nonce| nonce.fill(4)).unwrap();
    cost("cookie: open, 600 bytes of content", 50_000, || {
        drop(black_box(sealer.open("tollgate", sealed.as_bytes(), NOW).unwrap()));
    });
    passwords();
}

fn token_cache(token: &str, verified: Arc<tollgate_credentials::jwt::Verified>) {
    let cache = TokenCache::new(10_000, &std::array::from_fn(|place| (place as u8).wrapping_mul(151)));
    let tokens: Vec<_> = (0..5000).map(|n| format!("{}{n:08}", &token[..token.len() - 8])).collect();
    tokens.iter().for_each(|token| cache.put(token.as_bytes(), 1, verified.clone()));
    cost("token cache: hit, one token", 500_000, || {
        drop(black_box(cache.get(black_box(tokens[7].as_bytes()), 1, NOW)));
    });
    let mut next = 0;
    cost("token cache: hit, 5000 tokens in turn", 500_000, || {
        next = (next + 1777) % tokens.len();
        drop(black_box(cache.get(black_box(tokens[next].as_bytes()), 1, NOW)));
    });
    cost("token cache: miss", 500_000, || {
        drop(black_box(cache.get(black_box(b"not.there.but_long_enough_to_be_hashed_whole_tail"), 1, NOW)));
    });
}

fn passwords() {
    let hash = password::hash(b"correct horse", |salt| salt.fill(3)).unwrap();
    let stored = Stored::parse(&hash).unwrap();
    cost("password: argon2id, default costs", 3, || assert!(stored.verify(b"correct horse")));
    let cache = PasswordCache::new(1000, 60, &[1; 32]);
    cache.put(b"alice", b"correct horse", &stored, NOW);
    cost("password cache: hit", 100_000, || {
        assert!(cache.knows(b"alice", black_box(b"correct horse"), &stored, NOW));
    });
}
