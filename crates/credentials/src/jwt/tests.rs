//! Attacks on tokens, one a test; what they claim and the sets of their keys in files of their own.

mod claims;
mod key_sets;

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Algorithm, Algorithms, Claim, Key, Keys, LONGEST, MAX_KEYS, Rejection, Rules, verify};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// One key pair of each kind, made once.
struct Pairs {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

fn pairs() -> &'static Pairs {
    static PAIRS: OnceLock<Pairs> = OnceLock::new();
    PAIRS.get_or_init(|| Pairs {
        rsa: RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap(),
        p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
        ed: Ed25519KeyPair::generate().unwrap(),
    })
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_jwk() -> Value {
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pairs().rsa.public_key());
    json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e)})
}

fn ec_jwk(curve: &str, pair: &EcdsaKeyPair) -> Value {
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
}

fn ed_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": text(pairs().ed.public_key().as_ref())})
}

fn with(mut jwk: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("an object") };
    jwk.as_object_mut().unwrap().extend(members);
    jwk
}

fn rsa_pem() -> String {
    let der: PublicKeyX509Der<'_> = pairs().rsa.public_key().as_der().unwrap();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()))
}

fn all_algorithms() -> Algorithms {
    Algorithm::ALL.into_iter().collect()
}

fn keys(jwks: &[Value]) -> Keys {
    let set = json!({ "keys": jwks }).to_string();
    let (keys, skipped) = Keys::from_jwks(set.as_bytes(), all_algorithms(), false).unwrap();
    assert_eq!(skipped, []);
    keys
}

fn rules() -> Rules {
    Rules { algorithms: all_algorithms(), ..Rules::default() }
}

fn rs256(message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; 256];
    pairs().rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn ps256(message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; 256];
    pairs().rsa.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn es256(message: &[u8]) -> Vec<u8> {
    pairs().p256.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn es384(message: &[u8]) -> Vec<u8> {
    pairs().p384.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn eddsa(message: &[u8]) -> Vec<u8> {
    pairs().ed.sign(message).as_ref().to_vec()
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

/// A token of these two texts, signed so.
fn token(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", text(header.as_bytes()), text(claims.as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", text(&signature))
}

fn good_claims() -> String {
    json!({"iss": "https://iss.example", "aud": ["api", "other"], "sub": "alice", "exp": NOW + 300})
        .to_string()
}

fn ed_token(claims: &str) -> String {
    token(r#"{"alg":"EdDSA"}"#, claims, eddsa)
}

fn check(token: &str, keys: &Keys) -> Result<String, Rejection> {
    let verified = verify(token.as_bytes(), keys, &rules(), NOW)?;
    Ok(verified.claims.string("sub").unwrap_or_default().to_owned())
}

fn check_claims(claims: &str, rules: &Rules) -> Result<u64, Rejection> {
    verify(ed_token(claims).as_bytes(), &keys(&[ed_jwk()]), rules, NOW).map(|verified| verified.expires_at)
}

#[test]
fn good_tokens_of_each_kind_of_key_are_taken() {
    let all = keys(&[
        with(rsa_jwk(), json!({"kid": "r"})),
        with(ec_jwk("P-256", &pairs().p256), json!({"kid": "e", "use": "sig", "key_ops": ["verify"]})),
        with(ec_jwk("P-384", &pairs().p384), json!({"kid": "f", "alg": "ES384"})),
        with(ed_jwk(), json!({"kid": "d"})),
    ]);
    let claims = good_claims();
    for made in [
        token(r#"{"alg":"RS256","kid":"r","typ":"JWT"}"#, &claims, rs256),
        token(r#"{"alg":"PS256","kid":"r","typ":"at+jwt"}"#, &claims, ps256),
        token(r#"{"alg":"ES256","kid":"e","typ":"application/at+jwt"}"#, &claims, es256),
        token(r#"{"alg":"ES384","kid":"f"}"#, &claims, es384),
        token(r#"{"alg":"EdDSA","kid":"d"}"#, &claims, eddsa),
        token(r#"{"alg":"Ed25519","kid":"d"}"#, &claims, eddsa),
        token(r#"{"alg":"RS256"}"#, &claims, rs256),
    ] {
        assert_eq!(check(&made, &all), Ok("alice".to_owned()), "{made}");
    }
}

#[test]
fn tokens_of_another_library_are_taken() {
    let secret = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let claims: Value = serde_json::from_str(&good_claims()).unwrap();
    for (theirs, ours) in [
        (jsonwebtoken::Algorithm::HS256, Algorithm::HS256),
        (jsonwebtoken::Algorithm::HS384, Algorithm::HS384),
        (jsonwebtoken::Algorithm::HS512, Algorithm::HS512),
    ] {
        let made = jsonwebtoken::encode(&jsonwebtoken::Header::new(theirs), &claims, &secret).unwrap();
        let key = Key::from_secret(None, SECRET, ours).unwrap();
        assert_eq!(check(&made, &Keys::new(vec![key])), Ok("alice".to_owned()));
    }
}

#[test]
fn the_token_of_rfc_8037_appendix_a_verifies_as_jws() {
    let jwk = json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // Its payload is no claims: that this is the complaint means that the signature was right.
    let refused = verify(token.as_bytes(), &keys(&[jwk]), &rules(), NOW);
    assert_eq!(refused, Err(Rejection::Malformed("its claims are not a JSON object")));
}

#[test]
fn the_token_of_rfc_7515_appendix_a_3_is_taken() {
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb\
                 290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let verified = verify(token.as_bytes(), &keys(&[jwk]), &rules(), 1_300_819_379).unwrap();
    assert_eq!(verified.claims.string("iss"), Some("joe"));
    assert_eq!(verified.expires_at, 1_300_819_380 + 60);
}

#[test]
fn es512_and_keys_of_certificates_are_taken() {
    let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let sign = |message: &[u8]| p521.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
    let made = token(r#"{"alg":"ES512"}"#, &good_claims(), sign);
    assert_eq!(check(&made, &keys(&[ec_jwk("P-521", &p521)])), Ok("alice".to_owned()));
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap().pem();
    assert!(Key::from_pem(None, certificate.as_bytes(), Algorithm::ES256).is_ok());
    assert!(Key::from_pem(None, certificate.as_bytes(), Algorithm::ES384).is_err());
}

#[test]
fn the_public_key_is_no_secret_of_hmac() {
    let jwks = keys(&[rsa_jwk()]);
    let pem = rsa_pem();
    let pinned = Keys::new(vec![Key::from_pem(None, pem.as_bytes(), Algorithm::RS256).unwrap()]);
    let der = pairs().rsa.public_key().as_ref().to_vec();
    let info = STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &der, &info] {
        let forged = token(r#"{"alg":"HS256"}"#, &good_claims(), hs256(secret));
        assert_eq!(check(&forged, &jwks), Err(Rejection::KeyMismatch));
        assert_eq!(check(&forged, &pinned), Err(Rejection::KeyMismatch));
        let usual = verify(forged.as_bytes(), &jwks, &Rules::default(), NOW);
        assert_eq!(usual, Err(Rejection::AlgorithmNotAllowed));
    }
    assert!(
        Key::from_secret(None, pem.as_bytes(), Algorithm::HS256).is_err(),
        "nor may it be configured as one"
    );
}

#[test]
fn none_is_refused_in_every_case_and_with_every_signature() {
    for name in ["none", "None", "NONE", "nOnE"] {
        for signature in [&b""[..], b"x", &[0; 64]] {
            let forged = token(&json!({ "alg": name }).to_string(), &good_claims(), |_| signature.to_vec());
            assert_eq!(check(&forged, &keys(&[ed_jwk()])), Err(Rejection::Unsigned));
        }
    }
}

#[test]
fn names_of_algorithms_are_taken_to_the_letter() {
    for name in ["eddsa", "EDDSA", "EdDSA ", "rs256", "RS256\u{0}", "", "ES256K", "RSA-OAEP", "dir"] {
        let forged = token(&json!({ "alg": name }).to_string(), &good_claims(), eddsa);
        assert_eq!(check(&forged, &keys(&[ed_jwk()])), Err(Rejection::AlgorithmNotAllowed), "{name}");
    }
    for header in [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":["EdDSA"]}"#, r#"{"alg":7}"#] {
        let forged = token(header, &good_claims(), eddsa);
        assert!(matches!(check(&forged, &keys(&[ed_jwk()])), Err(Rejection::Malformed(_))), "{header}");
    }
}

#[test]
fn a_key_is_used_for_its_own_algorithm_only() {
    let claims = good_claims();
    let rs256_only = keys(&[with(rsa_jwk(), json!({"alg": "RS256"}))]);
    assert_eq!(check(&token(r#"{"alg":"RS256"}"#, &claims, rs256), &rs256_only), Ok("alice".to_owned()));
    assert_eq!(check(&token(r#"{"alg":"PS256"}"#, &claims, ps256), &rs256_only), Err(Rejection::KeyMismatch));
    let p384 = keys(&[ec_jwk("P-384", &pairs().p384)]);
    assert_eq!(check(&token(r#"{"alg":"ES256"}"#, &claims, es384), &p384), Err(Rejection::KeyMismatch));
    let p256 = keys(&[ec_jwk("P-256", &pairs().p256)]);
    assert_eq!(check(&token(r#"{"alg":"ES384"}"#, &claims, es256), &p256), Err(Rejection::KeyMismatch));
    assert_eq!(check(&token(r#"{"alg":"RS256"}"#, &claims, es256), &p256), Err(Rejection::KeyMismatch));
}

#[test]
fn what_the_rules_do_not_allow_no_key_allows() {
    let only_rs = Rules { algorithms: [Algorithm::RS256].into_iter().collect(), ..Rules::default() };
    let made = ed_token(&good_claims());
    assert_eq!(
        verify(made.as_bytes(), &keys(&[ed_jwk()]), &only_rs, NOW),
        Err(Rejection::AlgorithmNotAllowed)
    );
}

#[test]
fn zero_signatures_are_refused() {
    // CVE-2022-21449: r and s of 0 were taken by a verifier that did not look.
    let p256 = keys(&[ec_jwk("P-256", &pairs().p256)]);
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let zero_and_order = [[0; 32], order].concat();
    let both_order = [order, order].concat();
    for signature in [&[0; 64][..], &[], &[0; 63], &[0; 65], &zero_and_order, &both_order] {
        let forged = token(r#"{"alg":"ES256"}"#, &good_claims(), |_| signature.to_vec());
        assert_eq!(check(&forged, &p256), Err(Rejection::BadSignature));
    }
    let rsa = keys(&[rsa_jwk()]);
    let forged = token(r#"{"alg":"RS256"}"#, &good_claims(), |_| vec![0; 256]);
    assert_eq!(check(&forged, &rsa), Err(Rejection::BadSignature));
    let ed = keys(&[ed_jwk()]);
    assert_eq!(
        check(&token(r#"{"alg":"EdDSA"}"#, &good_claims(), |_| vec![0; 64]), &ed),
        Err(Rejection::BadSignature)
    );
}

#[test]
fn signatures_of_es256_in_der_are_refused() {
    let p256 = keys(&[ec_jwk("P-256", &pairs().p256)]);
    let in_der = |message: &[u8]| {
        let fixed = es256(message);
        let integer = |part: &[u8]| [&[2, 33, 0], part].concat();
        let both = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
        [&[0x30, both.len() as u8][..], &both].concat()
    };
    let made = token(r#"{"alg":"ES256"}"#, &good_claims(), in_der);
    assert_eq!(check(&made, &p256), Err(Rejection::BadSignature));
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    let other = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": text(other.public_key().as_ref())});
    let sign = |message: &[u8]| other.sign(message).as_ref().to_vec();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({"alg": "EdDSA", name: value}).to_string();
        assert_eq!(
            check(&token(&header, &good_claims(), sign), &keys(&[ed_jwk()])),
            Err(Rejection::BadSignature)
        );
        let header = json!({"alg": "EdDSA", "kid": "evil", name: value}).to_string();
        let named = keys(&[with(ed_jwk(), json!({"kid": "d"}))]);
        assert_eq!(check(&token(&header, &good_claims(), sign), &named), Err(Rejection::EmbeddedKey));
        let header = json!({"alg": "EdDSA", "kid": "d", name: value}).to_string();
        assert_eq!(
            check(&token(&header, &good_claims(), eddsa), &named),
            Ok("alice".to_owned()),
            "only ignored"
        );
    }
}

#[test]
fn strange_key_ids_are_just_unknown() {
    let named = keys(&[with(ed_jwk(), json!({"kid": "d"}))]);
    for id in [
        "../../../../dev/null",
        "/etc/passwd",
        "d' OR 1=1 --",
        "d\u{0}",
        "D",
        "",
        "file:///d",
        "d;ls",
        "${d}",
    ] {
        let header = json!({"alg": "EdDSA", "kid": id}).to_string();
        let refused = check(&token(&header, &good_claims(), eddsa), &named);
        assert_eq!(refused, Err(Rejection::UnknownKey), "{id}");
        assert!(Rejection::UnknownKey.may_refetch());
    }
    for header in
        [r#"{"alg":"EdDSA","kid":7}"#, r#"{"alg":"EdDSA","kid":null}"#, r#"{"alg":"EdDSA","kid":["d"]}"#]
    {
        let refused = check(&token(header, &good_claims(), eddsa), &named);
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{header}");
    }
}

#[test]
fn critical_headers_are_refused_all_of_them() {
    for header in [
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","b64":false}"#,
        r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
        r#"{"alg":"EdDSA","crit":null}"#,
    ] {
        let made = token(header, &good_claims(), eddsa);
        assert_eq!(check(&made, &keys(&[ed_jwk()])), Err(Rejection::CriticalHeader), "{header}");
    }
}

#[test]
fn duplicates_in_header_and_claims_are_refused() {
    let ed = keys(&[ed_jwk()]);
    for header in [r#"{"alg":"EdDSA","alg":"none"}"#, r#"{"alg":"EdDSA","kid":"a","\u006bid":"b"}"#] {
        assert_eq!(check(&token(header, &good_claims(), eddsa), &ed), Err(Rejection::Duplicate), "{header}");
    }
    for claims in [
        format!(r#"{{"sub":"alice","sub":"admin","exp":{}}}"#, NOW + 9),
        format!(r#"{{"exp":1,"exp":{}}}"#, NOW + 9),
        format!(r#"{{"exp":{},"a":{{"b":1,"b":2}}}}"#, NOW + 9),
    ] {
        assert_eq!(check(&ed_token(&claims), &ed), Err(Rejection::Duplicate), "{claims}");
    }
}

#[test]
fn a_token_has_one_spelling() {
    let p256 = keys(&[ec_jwk("P-256", &pairs().p256)]);
    let made = token(r#"{"alg":"ES256","n":1}"#, &good_claims(), es256);
    assert_eq!(check(&made, &p256), Ok("alice".to_owned()));
    let last = made.as_bytes()[made.len() - 1];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.iter().filter(|byte| **byte != last) {
        let respelled = format!("{}{}", &made[..made.len() - 1], char::from(*other));
        assert!(check(&respelled, &p256).is_err(), "{respelled}");
    }
    let (first, rest) = made.split_once('.').unwrap();
    for respelled in [
        format!("{made}="),
        format!("{made}=="),
        format!("{made}\n"),
        format!(" {made}"),
        format!("{made} "),
        format!("{first}=.{rest}"),
        format!("{first} .{rest}"),
        format!("{first}\n.{rest}"),
        format!("{made}."),
        format!(".{made}"),
        made.replace('-', "+").replace('_', "/") + "+",
        format!("{made}\u{0}"),
    ] {
        let refused = check(&respelled, &p256);
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{respelled}: {refused:?}");
    }
    assert!(check(&format!("{made},{made}"), &p256).is_err());
}

#[test]
fn other_shapes_than_three_parts_are_refused() {
    let ed = keys(&[ed_jwk()]);
    for shape in ["", ".", "..", "a", "a.b", "...", "a.b.c.d", "a.b.c.d.e.f"] {
        assert!(matches!(check(shape, &ed), Err(Rejection::Malformed(_))), "{shape}");
    }
    assert_eq!(check("a.b.c.d.e", &ed), Err(Rejection::Encrypted));
    assert_eq!(check(&"a".repeat(LONGEST + 1), &ed), Err(Rejection::TooLong));
    assert!(matches!(check(&".".repeat(LONGEST), &ed), Err(Rejection::Malformed(_))));
}

#[test]
fn bombs_of_nested_json_are_malformed() {
    let ed = keys(&[ed_jwk()]);
    let bomb = format!("{{\"exp\":{},\"a\":{}{}}}", NOW + 9, "[".repeat(5000), "]".repeat(5000));
    assert!(matches!(check(&ed_token(&bomb), &ed), Err(Rejection::Malformed(_))));
    let bomb = format!(
        "{{\"alg\":\"EdDSA\",\"a\":{}{}}}",
        "{\"a\":".repeat(1500),
        "1".to_owned() + &"}".repeat(1500)
    );
    assert!(matches!(check(&token(&bomb, &good_claims(), eddsa), &ed), Err(Rejection::Malformed(_))));
}

#[test]
fn changed_tokens_never_panic_and_never_pass() {
    let all = keys(&[ec_jwk("P-256", &pairs().p256), ed_jwk(), rsa_jwk()]);
    let originals = [
        token(r#"{"alg":"ES256"}"#, &good_claims(), es256),
        token(r#"{"alg":"EdDSA"}"#, &good_claims(), eddsa),
        token(r#"{"alg":"RS256"}"#, &good_claims(), rs256),
    ];
    for seed in 0..3000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        let original = &originals[below(3)];
        let mut changed = original.clone().into_bytes();
        for _ in 0..=below(3) {
            if changed.is_empty() {
                break;
            }
            let at = below(changed.len());
            match below(4) {
                0 => changed[at] ^= 1 << below(8),
                1 => drop(changed.remove(at)),
                2 => changed.insert(at, b"AQ.=-_ \0{"[below(9)]),
                _ => changed.truncate(at.max(1)),
            }
        }
        if changed != original.as_bytes() {
            let result = verify(&changed, &all, &rules(), NOW);
            assert!(result.is_err(), "seed {seed}: {}", changed.escape_ascii());
        }
    }
}
