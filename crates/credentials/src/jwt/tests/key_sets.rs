//! Sets of keys, as issuers publish them and documents name them.

use super::*;

#[test]
fn a_token_without_key_id_is_tried_with_a_few_keys_only() {
    let others: Vec<_> = (0..4)
        .map(|n| {
            let pair = Ed25519KeyPair::generate().unwrap();
            json!({"kty": "OKP", "crv": "Ed25519", "kid": n.to_string(), "x": text(pair.public_key().as_ref())})
        })
        .collect();
    let few = keys(&[&others[..3], &[ed_jwk()]].concat());
    assert_eq!(check(&ed_token(&good_claims()), &few), Ok("alice".to_owned()));
    let many = keys(&[&others[..], &[ed_jwk()]].concat());
    assert_eq!(check(&ed_token(&good_claims()), &many), Err(Rejection::KeyNotNamed));
}

#[test]
fn unusable_keys_of_a_set_are_skipped_with_a_reason() {
    let p256 = ec_jwk("P-256", &pairs().p256);
    let bad = [
        with(rsa_jwk(), json!({"use": "enc"})),
        with(rsa_jwk(), json!({"key_ops": ["encrypt"]})),
        with(rsa_jwk(), json!({"alg": "RSA-OAEP"})),
        with(rsa_jwk(), json!({"alg": "none"})),
        with(rsa_jwk(), json!({"alg": "ES256"})),
        with(rsa_jwk(), json!({"alg": 7})),
        with(rsa_jwk(), json!({"n": text(&[0xc1; 128])})),
        with(rsa_jwk(), json!({"n": "AQ"})),
        with(rsa_jwk(), json!({"n": "!"})),
        with(rsa_jwk(), json!({"kid": 7})),
        with(p256.clone(), json!({"crv": "P-384"})),
        with(p256.clone(), json!({"crv": "secp256k1"})),
        with(p256.clone(), json!({"y": text(&[1; 32])})),
        with(p256.clone(), json!({"x": text(&[0; 32]), "y": text(&[0; 32])})),
        with(ed_jwk(), json!({"crv": "X25519"})),
        with(ed_jwk(), json!({"x": text(&[1; 31])})),
        json!({"kty": "oct", "k": text(SECRET), "alg": "HS256"}),
        json!({"kty": "AKP"}),
        json!({}),
        json!(7),
    ];
    let set = json!({ "keys": ([&bad[..], &[p256]].concat()) }).to_string();
    let (good, skipped) = Keys::from_jwks(set.as_bytes(), all_algorithms(), false).unwrap();
    assert_eq!(skipped.iter().map(|one| one.place).collect::<Vec<_>>(), (0..bad.len()).collect::<Vec<_>>());
    assert_eq!(good.len(), 1);
}

#[test]
fn what_is_no_key_set_is_refused_whole() {
    let many = json!({"keys": vec![json!({}); MAX_KEYS + 1]}).to_string();
    let long = format!("{{\"keys\":[]{}}}", " ".repeat(super::super::MAX_JWKS_BYTES));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>", &many, &long] {
        assert!(Keys::from_jwks(text.as_bytes(), all_algorithms(), false).is_err(), "{text:.30}");
    }
}

#[test]
fn secrets_are_taken_from_a_set_only_where_that_is_wanted_and_only_long_ones() {
    let jwk =
        |secret: &[u8]| json!({"keys": [{"kty": "oct", "k": text(secret), "alg": "HS256"}]}).to_string();
    let (good, _) = Keys::from_jwks(jwk(SECRET).as_bytes(), all_algorithms(), true).unwrap();
    let made = token(r#"{"alg":"HS256"}"#, &good_claims(), hs256(SECRET));
    assert_eq!(check(&made, &good), Ok("alice".to_owned()));
    let (none, skipped) = Keys::from_jwks(jwk(&SECRET[1..]).as_bytes(), all_algorithms(), true).unwrap();
    assert!(none.is_empty() && skipped.len() == 1);
    assert!(!format!("{good:?}").contains("0123456789"), "a secret is not printed");
}

#[test]
fn the_fingerprint_changes_with_the_keys_and_not_without() {
    let one = || keys(&[with(ed_jwk(), json!({"kid": "d"}))]);
    assert_eq!(one().fingerprint(), one().fingerprint());
    assert_ne!(one().fingerprint(), keys(&[ed_jwk()]).fingerprint());
    assert_ne!(one().fingerprint(), keys(&[with(rsa_jwk(), json!({"kid": "d"}))]).fingerprint());
    assert_ne!(one().fingerprint(), Keys::default().fingerprint());
}

#[test]
fn private_keys_and_other_texts_are_refused_as_pem() {
    let pem = rsa_pem();
    assert!(Key::from_pem(None, pem.as_bytes(), Algorithm::PS512).is_ok());
    assert!(Key::from_pem(None, pem.as_bytes(), Algorithm::ES256).is_err());
    assert!(Key::from_pem(None, pem.as_bytes(), Algorithm::HS256).is_err());
    for text in [
        pem.replace("PUBLIC", "PRIVATE"),
        pem.replace("END", "EXIT"),
        pem.replace("MII", "MIJ"),
        pem[..pem.len() / 2].to_owned(),
        String::new(),
    ] {
        assert!(Key::from_pem(None, text.as_bytes(), Algorithm::RS256).is_err());
    }
}
