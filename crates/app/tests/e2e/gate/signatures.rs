//! Signed requests: used twice, altered, too large.

use tollgate_decision::Reason;
use tollgate_testkit::{Origin, Response, Tollgate};

use super::signer::{CONSUMER, Signed};
use super::{now, refused};
use crate::launch;

const ROUTES: &str = "auth: { signed: { signature: { covered: [\"@method\", \"@target-uri\", \"content-digest\"], nonce: required } } }\n\
    routes: [{ path: /, to: \"http://{origin}\", auth: signed, retry: none }]\n";

fn start(origin: &Origin) -> Tollgate {
    let document = format!("recorder: {{ sample: 100% }}\n{CONSUMER}{ROUTES}");
    launch(&document, &[("origin", &origin.address())])
}

fn send(tollgate: &Tollgate, signed: &Signed) -> Response {
    tollgate.request(signed.bytes())
}

#[test]
fn a_signature_is_good_once() {
    let origin = Origin::echo();
    let tollgate = start(&origin);
    let signed = Signed::new("/pay?to=bob", b"amount=5", now(), "n1");
    let response = send(&tollgate, &signed);
    assert_eq!((response.status, response.text().as_str()), (200, "amount=5"), "{response:?}");
    for _ in 0..2 {
        refused(&tollgate, &send(&tollgate, &signed), Reason::SignatureReplayed);
    }
    // Nor is it over another connection, with more fields, or with another nonce than the signed one.
    let with_more = Signed { more: "X-More: 1\r\n".to_owned(), ..signed.clone() };
    refused(&tollgate, &send(&tollgate, &with_more), Reason::SignatureReplayed);
    let fresh = Signed { signature: signed.signature.replace("\"n1\"", "\"n2\""), ..signed };
    refused(&tollgate, &send(&tollgate, &fresh), Reason::SignatureWrong);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_is_altered_is_refused_and_the_origin_gets_none_of_it() {
    let origin = Origin::echo();
    let tollgate = start(&origin);
    let fresh = |nonce: &str| Signed::new("/pay?to=bob", b"amount=5", now(), nonce);
    let other_body = Signed { body: b"amount=9".to_vec(), ..fresh("a") };
    refused(&tollgate, &send(&tollgate, &other_body), Reason::DigestWrong);
    let shorter = Signed { body: b"amount=".to_vec(), ..fresh("b") };
    refused(&tollgate, &send(&tollgate, &shorter), Reason::DigestWrong);
    let other_target = Signed { target: "/pay?to=eve".to_owned(), ..fresh("c") };
    refused(&tollgate, &send(&tollgate, &other_target), Reason::SignatureWrong);
    let other_digest = Signed { digest: fresh("d").digest.replace("=:", "=:A"), ..fresh("d") };
    assert!(matches!(send(&tollgate, &other_digest).status, 400 | 401));
    let both = Signed::new("/pay", b"amount=9", now(), "e");
    let mixed = Signed { digest: both.digest, body: both.body, ..fresh("f") };
    refused(&tollgate, &send(&tollgate, &mixed), Reason::SignatureWrong);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn signatures_that_are_old_or_cover_too_little_are_refused() {
    let origin = Origin::echo();
    let tollgate = start(&origin);
    for (created, nonce) in [(now() - 400, "a"), (now() + 90, "b")] {
        refused(
            &tollgate,
            &send(&tollgate, &Signed::new("/", b"x", created, nonce)),
            Reason::SignatureExpired,
        );
    }
    for (covered, more) in [
        (&["@method"][..], ";nonce=\"c\""),
        (&["@method", "@target-uri"], ";nonce=\"d\""),
        (&["@method", "@target-uri", "content-digest"], ""),
    ] {
        let signed = Signed::covering(covered, "/", b"x", now(), more);
        refused(&tollgate, &send(&tollgate, &signed), Reason::SignatureIncomplete);
    }
    let broken = Signed {
        signature: "Signature-Input: sig1=(\r\nSignature: sig1=::\r\n".to_owned(),
        ..Signed::new("/", b"x", now(), "e")
    };
    refused(&tollgate, &send(&tollgate, &broken), Reason::SignatureMalformed);
    let unknown = Signed::new("/", b"x", now(), "f");
    let unknown = Signed { signature: unknown.signature.replace("\"k1\"", "\"k2\""), ..unknown };
    refused(&tollgate, &send(&tollgate, &unknown), Reason::CredentialUnknown);
    assert_eq!(origin.requests().len(), 0);
}

/// Only so much of a body is held to be compared.
#[test]
fn a_body_that_is_larger_than_what_is_held_is_refused() {
    let origin = Origin::echo();
    let tollgate = start(&origin);
    let limit = 1024 * 1024;
    let signed = Signed::new("/", &vec![b'x'; limit], now(), "a");
    assert_eq!(send(&tollgate, &signed).status, 200);
    let signed = Signed::new("/", &vec![b'x'; limit + 1], now(), "b");
    let mut client = tollgate.connect();
    // It may be answered before its last byte is sent.
    let _ = client.try_send(signed.bytes());
    let response = client.response();
    refused(&tollgate, &response, Reason::BodyTooLarge);
    // The length need not be told beforehand.
    let head = Signed::new("/", &vec![b'x'; limit + 1], now(), "c").head();
    let cut = head.find("Content-Length").unwrap();
    let end = cut + head[cut..].find("\r\n").unwrap();
    let head = format!("{}Transfer-Encoding: chunked{}", &head[..cut], &head[end..]);
    let mut client = tollgate.connect();
    let _ = client.try_send(format!("{head}{:x}\r\n{}\r\n0\r\n\r\n", limit + 1, "x".repeat(limit + 1)));
    let response = client.response();
    refused(&tollgate, &response, Reason::BodyTooLarge);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_body_that_has_to_be_asked_for_is_asked_for_only_by_good_signatures() {
    let origin = Origin::echo();
    let tollgate = start(&origin);
    let expecting = |nonce: &str| Signed {
        more: "Expect: 100-continue\r\n".to_owned(),
        ..Signed::new("/", b"amount=5", now(), nonce)
    };
    let good = expecting("a");
    let mut client = tollgate.connect();
    client.send(good.head());
    assert_eq!(client.any_response().status, 100);
    client.send(&good.body);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "amount=5"));

    let mut client = tollgate.connect();
    client.send(good.head());
    // Without a 100 before it.
    let response = client.any_response();
    refused(&tollgate, &response, Reason::SignatureReplayed);

    let wrong = expecting("b");
    let mut client = tollgate.connect();
    client.send(wrong.head());
    assert_eq!(client.any_response().status, 100);
    client.send(b"amount=9");
    let response = client.response();
    refused(&tollgate, &response, Reason::DigestWrong);
    assert_eq!(origin.requests().len(), 1);
}
