//! The examples of RFC 9421 appendix B, and attacks.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_message::{Field, FieldList, Fields, Known, Span};

use super::{Algorithm, Component, Key, MAX_COMPONENTS, Rejection, Request, Rules, Verified, verify};

const CREATED: u64 = 1_618_884_473;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

/// A request whose fields own their bytes.
struct Made {
    method: String,
    authority: String,
    target: String,
    has_body: bool,
    bytes: Vec<u8>,
    list: FieldList,
}

impl Made {
    fn new(method: &str, authority: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let mut made = Self {
            method: method.to_owned(),
            authority: authority.to_owned(),
            target: target.to_owned(),
            has_body: false,
            bytes: Vec::new(),
            list: FieldList::default(),
        };
        fields.iter().for_each(|(name, value)| made.add(name, value));
        made
    }

    /// The request of appendix B.2, signed so.
    fn example(input: &str, signature: &str) -> Self {
        let digest = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        let fields = [
            ("Host", "example.com"),
            ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("Content-Type", "application/json"),
            ("Content-Digest", digest),
            ("Content-Length", "18"),
            ("Signature-Input", input),
            ("Signature", signature),
        ];
        Self::new("POST", "example.com", "/foo?param=Value&Pet=dog", &fields)
    }

    fn add(&mut self, name: &str, value: &str) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value.as_bytes());
        self.list.push(Field {
            name: Span::new(start, middle),
            value: Span::new(middle, self.bytes.len()),
            known: Known::from_name(name.as_bytes()),
        });
    }

    fn request(&self) -> Request<'_> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (self.target.as_str(), None),
        };
        Request {
            method: self.method.as_bytes(),
            scheme: "https",
            authority: self.authority.as_bytes(),
            target: self.target.as_bytes(),
            path: path.as_bytes(),
            query,
            has_body: self.has_body,
            fields: Fields::new(&self.bytes, &self.list),
        }
    }
}

fn rules() -> Rules {
    Rules { covered: Vec::new(), max_age: 300, clock_skew: 30, nonce_required: false, label: None, tag: None }
}

fn covering(covered: &[&str]) -> Rules {
    Rules { covered: covered.iter().map(|text| Component::parse(text).unwrap()).collect(), ..rules() }
}

fn check(made: &Made, key: &Key) -> Result<Verified, Rejection> {
    verify(&made.request(), |_| Some(key), &rules(), CREATED)
}

fn secret() -> Key {
    Key::from_secret(SECRET).unwrap()
}

/// Signs a base under `SECRET`; the signature field's value.
fn hmac_of(base: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), base.as_bytes());
    format!("s=:{}:", STANDARD.encode(tag.as_ref()))
}

/// A GET of `/` that covers `lines` (identifier, value), with these parameters, signed under `SECRET`.
fn signed(lines: &[(&str, &str)], parameters: &str) -> Made {
    let ids: Vec<_> = lines.iter().map(|(id, _)| *id).collect();
    let list = format!("({}){parameters}", ids.join(" "));
    let base: String = lines.iter().map(|(id, value)| format!("{id}: {value}\n")).collect();
    let base = format!("{base}\"@signature-params\": {list}");
    let fields = [("Signature-Input", format!("s={list}")), ("Signature", hmac_of(&base))];
    Made::new("GET", "example.com", "/", &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
}

fn params(rest: &str) -> String {
    format!(";created={CREATED};keyid=\"k\"{rest}")
}

#[test]
fn minimal_signature_of_rfc_9421_b_2_1() {
    let made = Made::example(
        "sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
        "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZs\
         ckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56Y\
         CE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU\
         1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
    );
    let key = Key::from_pem(RSA_PSS.as_bytes(), Algorithm::RsaPssSha512).unwrap();
    let verified = check(&made, &key).unwrap();
    assert_eq!((verified.key_id.as_str(), verified.covers_digest), ("test-key-rsa-pss", false));
}

#[test]
fn selective_components_of_rfc_9421_b_2_2() {
    let made = Made::example(
        "sig-b22=(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473;\
         keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
        "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMk\
         SowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqW\
         FQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0a\
         aUEb0rQl3/XaVe4bXTugEjHSw==:",
    );
    let key = Key::from_pem(RSA_PSS.as_bytes(), Algorithm::RsaPssSha512).unwrap();
    assert!(check(&made, &key).unwrap().covers_digest);
    let tagged = |tag: &str| Rules { tag: Some(tag.to_owned()), ..rules() };
    assert!(verify(&made.request(), |_| Some(&key), &tagged("header-example"), CREATED).is_ok());
    let other = verify(&made.request(), |_| Some(&key), &tagged("other"), CREATED);
    assert_eq!(other, Err(Rejection::WrongTag));
}

#[test]
fn full_coverage_of_rfc_9421_b_2_3() {
    let made = Made::example(
        "sig-b23=(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" \
         \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"",
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp7\
         68ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91\
         kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoE\
         ZAFL2FUo5fTIztsDZKEgM4cUA==:",
    );
    let key = Key::from_pem(RSA_PSS.as_bytes(), Algorithm::RsaPssSha512).unwrap();
    assert!(check(&made, &key).is_ok());
    let same_key = Key::from_pem(RSA_PSS.as_bytes(), Algorithm::RsaV15Sha256).unwrap();
    assert_eq!(check(&made, &same_key), Err(Rejection::BadSignature));
}

#[test]
fn hmac_of_rfc_9421_b_2_5_and_ed25519_of_b_2_6() {
    let made = Made::example(
        "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"",
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    );
    let shared = Key::from_secret(&STANDARD.decode(SHARED).unwrap()).unwrap();
    assert!(check(&made, &shared).is_ok());
    let made = Made::example(
        "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;\
         keyid=\"test-key-ed25519\"",
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    );
    assert!(check(&made, &Key::from_pem(ED25519.as_bytes(), Algorithm::Ed25519).unwrap()).is_ok());
    assert_eq!(check(&made, &shared), Err(Rejection::BadSignature));
}

#[test]
fn a_proxys_signature_of_rfc_9421_b_3() {
    let certificate = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMM\
        EkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIK\
        oZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQ\
        YDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQY\
        DVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEA\
        x/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";
    let fields = [
        ("Client-Cert", certificate),
        (
            "Signature-Input",
            "ttrp=(\"@path\" \"@query\" \"@method\" \"@authority\" \"client-cert\");created=1618884473;\
             keyid=\"test-key-ecc-p256\"",
        ),
        (
            "Signature",
            "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:",
        ),
    ];
    let made = Made::new("POST", "service.internal.example", "/foo?param=Value&Pet=dog", &fields);
    assert!(check(&made, &Key::from_pem(P256.as_bytes(), Algorithm::EcdsaP256Sha256).unwrap()).is_ok());
}

#[test]
fn transformations_of_rfc_9421_b_4() {
    let input = "transform=(\"@method\" \"@path\" \"@authority\" \"accept\");created=1618884473;keyid=\"test-key-ed25519\"";
    let signature = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:";
    let key = Key::from_pem(ED25519.as_bytes(), Algorithm::Ed25519).unwrap();
    let sent = |method: &str, authority: &str, target: &str, accept: &[&str]| {
        let mut made =
            Made::new(method, authority, target, &[("Signature-Input", input), ("Signature", signature)]);
        accept.iter().for_each(|value| made.add("Accept", value));
        check(&made, &key)
    };
    let target = "/demo?name1=Value1&Name2=value2";
    assert!(sent("GET", "example.org", target, &["application/json", "*/*"]).is_ok());
    assert!(
        sent("GET", "example.org", &format!("{target}&param=added"), &["application/json", "*/*"]).is_ok()
    );
    assert!(sent("GET", "example.org", target, &["application/json, */*"]).is_ok());
    assert!(sent("GET", "EXAMPLE.org:443", target, &[" application/json\t", "*/*"]).is_ok());
    let bad = Err(Rejection::BadSignature);
    assert_eq!(sent("POST", "example.com", target, &["application/json", "*/*"]), bad);
    assert_eq!(sent("GET", "example.org", target, &["*/*", "application/json"]), bad);
    assert_eq!(sent("GET", "example.org:8443", target, &["application/json", "*/*"]), bad);
    assert_eq!(sent("GET", "example.org", "/Demo", &["application/json", "*/*"]), bad);
}

#[test]
fn all_other_algorithms_verify_and_are_pinned() {
    let pem = |der: PublicKeyX509Der<'_>| {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()))
    };
    let random = SystemRandom::new();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let rsa = RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let list = format!("(\"@method\"){}", params(""));
    let base = format!("\"@method\": GET\n\"@signature-params\": {list}");
    let mut by_rsa = vec![0; 256];
    rsa.sign(&RSA_PKCS1_SHA256, &random, base.as_bytes(), &mut by_rsa).unwrap();
    let all = [
        (
            pem(p256.public_key().as_der().unwrap()),
            Algorithm::EcdsaP256Sha256,
            p256.sign(&random, base.as_bytes()).unwrap().as_ref().to_vec(),
        ),
        (
            pem(p384.public_key().as_der().unwrap()),
            Algorithm::EcdsaP384Sha384,
            p384.sign(&random, base.as_bytes()).unwrap().as_ref().to_vec(),
        ),
        (pem(rsa.public_key().as_der().unwrap()), Algorithm::RsaV15Sha256, by_rsa),
    ];
    for (pem, algorithm, signature) in &all {
        let signature = format!("s=:{}:", STANDARD.encode(signature));
        let made = Made::new(
            "GET",
            "example.com",
            "/",
            &[("Signature-Input", &format!("s={list}")), ("Signature", &signature)],
        );
        assert!(check(&made, &Key::from_pem(pem.as_bytes(), *algorithm).unwrap()).is_ok(), "{algorithm:?}");
        assert_eq!(check(&made, &secret()), Err(Rejection::BadSignature));
        for other in Algorithm::ALL {
            let related = (*algorithm, other) == (Algorithm::RsaV15Sha256, Algorithm::RsaPssSha512);
            let taken = Key::from_pem(pem.as_bytes(), other).is_ok();
            assert_eq!(taken, other == *algorithm || related, "{algorithm:?} {other:?}");
        }
        assert!(Key::from_secret(pem.as_bytes()).is_err(), "a public key is no secret");
    }
}

#[test]
fn the_algorithm_is_the_keys() {
    let made = signed(&[], &params(";alg=\"hmac-sha256\""));
    assert!(check(&made, &secret()).is_ok());
    for name in ["ed25519", "HMAC-SHA256", "none", "", "rsa-v1_5-sha256"] {
        let made = signed(&[], &params(&format!(";alg=\"{name}\"")));
        assert_eq!(check(&made, &secret()), Err(Rejection::AlgorithmMismatch), "{name}");
    }
    // The public key's text as the secret, which everyone knows.
    let key = Key::from_pem(ED25519.as_bytes(), Algorithm::Ed25519).unwrap();
    assert_eq!(check(&signed(&[], &params("")), &key), Err(Rejection::BadSignature));
}

#[test]
fn what_has_to_be_covered_is() {
    let method = ("\"@method\"", "GET");
    let uri = ("\"@target-uri\"", "https://example.com/");
    let sent = |lines: &[(&str, &str)], rules: &Rules, has_body: bool| {
        let made = Made { has_body, ..signed(lines, &params("")) };
        verify(&made.request(), |_| Some(secret_static()), rules, CREATED).map(|_| ())
    };
    let rules = covering(&["@method", "@target-uri", "Content-Digest"]);
    assert_eq!(sent(&[method, uri], &rules, false), Ok(()));
    assert_eq!(sent(&[method], &rules, false), Err(Rejection::NotCovered("\"@target-uri\"".to_owned())));
    assert_eq!(
        sent(&[method, uri], &rules, true),
        Err(Rejection::NotCovered("\"content-digest\"".to_owned()))
    );
    assert!(Component::parse("\"@query-param\";name=\"a\"").is_ok());
    for bad in ["@query-param", "@status", "@nothing", "a b", "", "\"date\";sf", "@signature-params"] {
        assert!(Component::parse(bad).is_err(), "{bad}");
    }
}

fn secret_static() -> &'static Key {
    static KEY: std::sync::OnceLock<Key> = std::sync::OnceLock::new();
    KEY.get_or_init(secret)
}

#[test]
fn components_are_taken_once_and_only_known_ones() {
    let twice = signed(&[("\"@method\"", "GET"), ("\"@method\"", "GET")], &params(""));
    assert_eq!(check(&twice, &secret()), Err(Rejection::DuplicateComponent));
    for id in [
        "\"date\";sf",
        "\"date\";bs",
        "\"date\";key=\"a\"",
        "\"date\";tr",
        "\"@method\";req",
        "\"date\";x=1",
        "\"@status\"",
        "\"@x\"",
    ] {
        let refused = check(&signed(&[(id, "x")], &params("")), &secret());
        assert!(matches!(refused, Err(Rejection::Unsupported(_))), "{id}: {refused:?}");
    }
    for id in ["\"Date\"", "\"\"", "date", "7", "\"da te\"", "\"@signature-params\"", "\"@query-param\""] {
        let refused = check(&signed(&[(id, "x")], &params("")), &secret());
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{id}: {refused:?}");
    }
    let absent = check(&signed(&[("\"x-none\"", "")], &params("")), &secret());
    assert_eq!(absent, Err(Rejection::MissingComponent("\"x-none\"".to_owned())));
    let many: Vec<_> = (0..=MAX_COMPONENTS).map(|n| format!("\"x{n}\"")).collect();
    let many: Vec<_> = many.iter().map(|id| (id.as_str(), "")).collect();
    assert_eq!(check(&signed(&many, &params("")), &secret()), Err(Rejection::TooLong));
}

#[test]
fn parameters_of_the_query_are_those_of_the_rfc() {
    // Section 2.2.8.
    let query = "/?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&qux=&a=1&a=2&b=%zz";
    let taken = |name: &str, value: &str| {
        let id = format!("\"@query-param\";name=\"{name}\"");
        let made = Made { target: query.to_owned(), ..signed(&[(&id, value)], &params("")) };
        check(&made, &secret()).map(|_| ())
    };
    assert_eq!(taken("var", "this%20is%20a%20big%0Amultiline%20value"), Ok(()));
    assert_eq!(taken("bar", "with%20plus%20whitespace"), Ok(()));
    assert_eq!(taken("fa%C3%A7ade%22%3A%20", "something"), Ok(()));
    assert_eq!(taken("qux", ""), Ok(()));
    assert_eq!(taken("b", "%25zz"), Ok(()));
    assert!(matches!(taken("a", "1"), Err(Rejection::MissingComponent(_))), "which of the two?");
    assert!(matches!(taken("none", ""), Err(Rejection::MissingComponent(_))));
}

#[test]
fn derived_components_are_those_of_the_rfc() {
    let lines = [
        ("\"@target-uri\"", "https://example.com/p/a?q=1"),
        ("\"@scheme\"", "https"),
        ("\"@request-target\"", "/p/a?q=1"),
        ("\"@path\"", "/p/a"),
        ("\"@query\"", "?q=1"),
    ];
    let made = Made { target: "/p/a?q=1".to_owned(), ..signed(&lines, &params("")) };
    assert!(check(&made, &secret()).is_ok());
    let no_query = signed(
        &[("\"@query\"", "?"), ("\"@path\"", "/"), ("\"@target-uri\"", "https://example.com/")],
        &params(""),
    );
    assert!(check(&no_query, &secret()).is_ok());
}

#[test]
fn times_are_held_to_the_second() {
    let at = |parameters: &str, now: u64| {
        let made = signed(&[], &format!("{parameters};keyid=\"k\""));
        verify(&made.request(), |_| Some(secret_static()), &rules(), now).map(|verified| verified.expires_at)
    };
    assert_eq!(at(";created=1000", 970), Ok(1330));
    assert_eq!(at(";created=1000", 969), Err(Rejection::CreatedInFuture));
    assert_eq!(at(";created=1000", 1329), Ok(1330));
    assert_eq!(at(";created=1000", 1330), Err(Rejection::TooOld));
    assert_eq!(at(";created=1000;expires=1100", 1129), Ok(1130));
    assert_eq!(at(";created=1000;expires=1100", 1130), Err(Rejection::Expired));
    assert_eq!(at(";created=1000;expires=999", 1000), Err(Rejection::Expired));
    assert_eq!(at(";created=1000;expires=999999999999999", 1000), Ok(1330));
    assert_eq!(at("", 1000), Err(Rejection::NoCreated));
    for bad in [";created=-1", ";created=1.5", ";created=\"1000\"", ";created", ";created=1000;expires=-5"] {
        assert!(matches!(at(bad, 1000), Err(Rejection::Malformed(_))), "{bad}");
    }
}

#[test]
fn keys_and_nonces_are_asked_for() {
    let made = signed(&[], &format!(";created={CREATED}"));
    assert_eq!(check(&made, &secret()), Err(Rejection::NoKeyId));
    let made = signed(&[], &params(""));
    assert_eq!(verify(&made.request(), |_| None, &rules(), CREATED), Err(Rejection::UnknownKey));
    let strict = Rules { nonce_required: true, ..rules() };
    let refused = |made: &Made| verify(&made.request(), |_| Some(secret_static()), &strict, CREATED).err();
    assert_eq!(refused(&made), Some(Rejection::NoNonce));
    assert_eq!(refused(&signed(&[], &params(";nonce=\"\""))), Some(Rejection::NoNonce));
    assert_eq!(refused(&signed(&[], &params(";nonce=\"n\""))), None);
    let long = format!(";nonce=\"{}\"", "n".repeat(257));
    assert!(matches!(refused(&signed(&[], &params(&long))), Some(Rejection::Malformed(_))));
}

#[test]
fn a_replay_is_the_same_whatever_its_spelling() {
    let replay = |made: &Made| check(made, &secret()).unwrap().replay;
    let one = signed(&[("\"@method\"", "GET")], &params(";nonce=\"n\""));
    let another = signed(&[("\"@path\"", "/")], &params(";nonce=\"n\""));
    assert_eq!(replay(&one), replay(&another), "a nonce counts once for a key");
    assert_ne!(replay(&one), replay(&signed(&[], &params(";nonce=\"m\""))));
    let without = signed(&[("\"@method\"", "GET")], &params(""));
    assert_ne!(replay(&one), replay(&without));
    // ECDSA: (r, n - s) is right where (r, s) is. Both are one request.
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
    let key = Key::from_pem(pem.as_bytes(), Algorithm::EcdsaP256Sha256).unwrap();
    let list = format!("(){}", params(""));
    let base = format!("\"@signature-params\": {list}");
    let replays: Vec<_> = (0..2)
        .map(|_| {
            let signature = pair.sign(&SystemRandom::new(), base.as_bytes()).unwrap();
            let field = format!("s=:{}:", STANDARD.encode(signature.as_ref()));
            let fields = [("Signature-Input", format!("s={list}")), ("Signature", field)];
            let made =
                Made::new("GET", "example.com", "/", &fields.each_ref().map(|(n, v)| (*n, v.as_str())));
            check(&made, &key).unwrap().replay
        })
        .collect();
    assert_eq!(replays[0], replays[1], "two signatures of one request");
}

#[test]
fn labels_are_chosen_and_never_guessed() {
    let made = signed(&[], &params(""));
    let labelled = |label: &str| Rules { label: Some(label.to_owned()), ..rules() };
    let check_with = |made: &Made, rules: &Rules| {
        verify(&made.request(), |_| Some(secret_static()), rules, CREATED).map(|verified| verified.label)
    };
    assert_eq!(check_with(&made, &labelled("s")), Ok("s".to_owned()));
    assert_eq!(check_with(&made, &labelled("sig1")), Err(Rejection::NoSuchLabel));
    let mut two = signed(&[], &params(""));
    two.add("signature-input", "other=();created=1;keyid=\"x\"");
    two.add("signature", "other=:aGk=:");
    assert_eq!(check_with(&two, &rules()), Err(Rejection::ManySignatures));
    assert_eq!(check_with(&two, &labelled("s")), Ok("s".to_owned()));
    let mut twice = signed(&[], &params(""));
    twice.add("Signature-Input", "s=();created=1;keyid=\"x\"");
    assert!(
        matches!(check_with(&twice, &labelled("s")), Err(Rejection::Malformed(_))),
        "one label, two inputs"
    );
    let alone =
        Made::new("GET", "a", "/", &[("Signature-Input", "s=();created=1"), ("Signature", "t=:aGk=:")]);
    assert_eq!(check_with(&alone, &rules()), Err(Rejection::NoSuchLabel));
}

#[test]
fn fields_that_are_no_signatures_are_refused() {
    let sent = |input: &str, signature: &str| {
        check(&Made::new("GET", "a", "/", &[("Signature-Input", input), ("Signature", signature)]), &secret())
    };
    let none = Made::new("GET", "a", "/", &[]);
    assert_eq!(check(&none, &secret()), Err(Rejection::Missing));
    assert_eq!(sent("", ""), Err(Rejection::Missing));
    assert_eq!(sent(&"a".repeat(9000), "s=:aGk=:"), Err(Rejection::TooLong));
    for (input, signature) in [
        ("s=\"x\"", "s=:aGk=:"),
        ("s=()", "s=\"aGk=\""),
        ("s=()", "s=(:aGk=:)"),
        ("s=(", "s=:aGk=:"),
        ("s=();created=1;created=2", "s=:aGk=:"),
        ("s=()", "s=:aGk:"),
    ] {
        let refused = sent(input, signature);
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{input} {signature}: {refused:?}");
    }
    assert_eq!(sent(&format!("s=(){}", params("")), "s=::"), Err(Rejection::BadSignature));
}

#[test]
fn no_changed_field_passes_or_panics() {
    let good = signed(
        &[("\"@method\"", "GET"), ("\"@target-uri\"", "https://example.com/")],
        &params(";nonce=\"n\""),
    );
    let values: Vec<Vec<u8>> = good.request().fields.iter().map(|(_, value, _)| value.to_vec()).collect();
    for seed in 0..4000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        let mut changed = values.clone();
        let value = &mut changed[below(2)];
        let at = below(value.len());
        match below(3) {
            0 => value[at] = b" \t\"\\;,=()?:@a1"[below(14)],
            1 => drop(value.remove(at)),
            _ => value.insert(at, b" \t\"\\;,=()?:@a1"[below(14)]),
        }
        let texts: Vec<_> = changed.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let made =
            Made::new("GET", "example.com", "/", &[("Signature-Input", &texts[0]), ("Signature", &texts[1])]);
        if let Ok(verified) = check(&made, &secret()) {
            // White space between items, a renamed label: what was signed is the same.
            assert_eq!(verified.replay, check(&good, &secret()).unwrap().replay, "seed {seed}: {texts:?}");
        }
    }
}
