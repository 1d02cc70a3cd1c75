//! Asking whether a certificate is revoked, and what answers are worth.

mod parts;

use std::sync::LazyLock;
use std::time::Duration;

use parts::Authority;
use proptest::prelude::*;
use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tollgate_tls::ocsp;

/// 2026-01-01.
const NOW: Duration = Duration::from_secs(1_767_225_600);

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = content.len();
    let header = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [header, content].concat()
}

fn leaf_of(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM").to_vec()
}

/// The parts of an answer that a test may want otherwise.
struct Answer<'a> {
    status: u8,
    /// The CertID.
    about: Vec<u8>,
    made: &'a str,
    next: Option<&'a str>,
    delegate: Option<&'a [u8]>,
}

impl Answer<'_> {
    fn signed(&self, key: &KeyPair) -> Vec<u8> {
        let time = |text: &str| der(0x18, &[text.as_bytes()]);
        let next = self.next.map(|next| der(0xa0, &[&time(next)])).unwrap_or_default();
        let status = match self.status {
            1 => der(0xa1, &[&time("20250101000000Z")]),
            status => vec![0x80 | status, 0],
        };
        let single = der(0x30, &[&self.about, &status, &time(self.made), &next]);
        let by_key = der(0xa2, &[&der(4, &[&[1; 20]])]);
        let data = der(0x30, &[&by_key, &time(self.made), &der(0x30, &[&single])]);
        // ecdsa-with-SHA256.
        let algorithm = der(0x30, &[&der(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
        let signature = der(3, &[&[0], &key.sign(&data).expect("signed")]);
        let delegates = self.delegate.map(|raw| der(0xa0, &[&der(0x30, &[raw])])).unwrap_or_default();
        let basic = der(0x30, &[&data, &algorithm, &signature, &delegates]);
        let kind = der(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
        let bytes = der(0x30, &[&kind, &der(4, &[&basic])]);
        der(0x30, &[&der(10, &[&[0]]), &der(0xa0, &[&bytes])])
    }
}

fn good(about: Vec<u8>) -> Answer<'static> {
    let (made, next) = ("20251231000000Z", Some("20260107000000Z"));
    Answer { status: 0, about, made, next, delegate: None }
}

/// A leaf, its issuer, and the CertID by which they are asked for.
fn asked(authority: &Authority) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let leaf = leaf_of(&authority.issue(&["shop.example"]).0);
    let issuer = leaf_of(&authority.pem());
    let request = ocsp::request(&leaf, &issuer).expect("a request");
    // What is in five sequences, all of them shorter than 128 bytes.
    let about = request[2 * 4..].to_vec();
    (leaf, issuer, about)
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("CA"));

#[test]
fn a_request_names_the_certificate() {
    let (leaf, issuer, about) = asked(&AUTHORITY);
    assert_eq!(about[0], 0x30);
    // CertID: AlgorithmIdentifier of SHA-1, two hashes of 20 bytes, the serial number.
    assert_eq!(about[2..13], [0x30, 9, 6, 5, 0x2b, 14, 3, 2, 0x1a, 5, 0]);
    assert_eq!((about[13..15].to_vec(), about[35..37].to_vec()), (vec![4, 20], vec![4, 20]));
    let serial = &about[57..];
    assert!(leaf.windows(serial.len()).any(|part| part == serial));
    assert!(ocsp::request(b"nonsense", &issuer).is_err());
}

#[test]
fn the_responder_is_found_in_the_certificate() {
    assert_eq!(ocsp::responder(&leaf_of(&AUTHORITY.issue(&["shop.example"]).0)), None);
    let (chain, _) = AUTHORITY.issue_with(&["shop.example"], &PKCS_ECDSA_P256_SHA256, |params| {
        let method = der(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]);
        let access = der(0x30, &[&der(0x30, &[&method, &der(0x86, &[b"http://ocsp.example/a"])])]);
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, access));
    });
    assert_eq!(ocsp::responder(&leaf_of(&chain)).as_deref(), Some("http://ocsp.example/a"));
    assert_eq!(ocsp::responder(b"nonsense"), None);
}

#[test]
fn good_answers_are_taken_and_others_are_not() {
    let (leaf, issuer, about) = asked(&AUTHORITY);
    let judge = |answer: Answer<'_>| {
        let response = answer.signed(AUTHORITY.key());
        ocsp::accept(&response, &leaf, &issuer, NOW).map_err(|problem| problem.to_string())
    };
    let staple = judge(good(about.clone())).expect("a staple");
    assert_eq!(staple.this_update, 1_767_139_200);
    assert_eq!(staple.next_update, 1_767_744_000);
    let unlimited = Answer { next: None, made: "20251231120000Z", ..good(about.clone()) };
    assert_eq!(judge(unlimited).map(|staple| staple.next_update), Ok(1_767_268_800));
    let (_, _, other) = asked(&AUTHORITY);
    for (answer, why) in [
        (Answer { status: 1, ..good(about.clone()) }, "the certificate is revoked"),
        (Answer { status: 2, ..good(about.clone()) }, "the responder does not know the certificate"),
        (good(other), "the response is about another certificate"),
        (Answer { next: Some("20251231230000Z"), ..good(about.clone()) }, "the response is too old"),
        (Answer { next: None, made: "20251230000000Z", ..good(about.clone()) }, "the response is too old"),
        (Answer { made: "20260101001000Z", ..good(about.clone()) }, "the response is from the future"),
    ] {
        assert_eq!(judge(answer).expect_err(why), why);
    }
    let foreign = good(about).signed(Authority::new("CA").key());
    let problem = ocsp::accept(&foreign, &leaf, &issuer, NOW).expect_err("not signed");
    assert_eq!(problem.to_string(), "the response is not signed by the issuer or its responder");
    let later = der(0x30, &[&der(10, &[&[3]])]);
    let problem = ocsp::accept(&later, &leaf, &issuer, NOW).expect_err("an error");
    assert_eq!(problem.to_string(), "the responder answers: try later");
}

#[test]
fn the_issuer_can_have_a_responder() {
    let (leaf, issuer, about) = asked(&AUTHORITY);
    let judge = |authority: &Authority, usage: ExtendedKeyUsagePurpose, until: i32| {
        let (chain, key) = authority.issue_with(&["responder"], &PKCS_ECDSA_P256_SHA256, |params| {
            params.extended_key_usages.push(usage);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
        });
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let key = KeyPair::try_from(&key).expect("a key");
        let delegate = leaf_of(&chain);
        let answer = Answer { delegate: Some(&delegate), ..good(about.clone()) };
        ocsp::accept(&answer.signed(&key), &leaf, &issuer, NOW).is_ok()
    };
    use ExtendedKeyUsagePurpose::{OcspSigning, ServerAuth};
    assert!(judge(&AUTHORITY, OcspSigning, 2030));
    assert!(!judge(&AUTHORITY, ServerAuth, 2030));
    assert!(!judge(&AUTHORITY, OcspSigning, 2025));
    assert!(!judge(&Authority::new("CA"), OcspSigning, 2030));
}

proptest! {
    /// A response with a fault is refused, whatever it is.
    #[test]
    fn spoilt_answers_are_refused(at in any::<prop::sample::Index>(), with in 1u8.., cut: bool) {
        let (leaf, issuer, about) = asked(&AUTHORITY);
        let mut response = good(about).signed(AUTHORITY.key());
        let at = at.index(response.len());
        response[at] ^= with;
        if cut {
            response.truncate(at);
        }
        prop_assert!(ocsp::accept(&response, &leaf, &issuer, NOW).is_err());
    }
}
