use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::*;
use crate::auth::trial::{Trial, get};

fn der(common_name: &str, name: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names =
        name.map(|name| SanType::DnsName(name.try_into().unwrap())).into_iter().collect();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn method(allow_unknown: bool) -> Certificate {
    Certificate::new(Settings { name: "mesh".into(), allow_unknown })
}

fn text(text: &str) -> String {
    tollgate_credentials::certificate::Credential::parse(text).unwrap().to_string()
}

#[test]
fn consumers_are_found_by_hash_then_name_then_subject() {
    let der = der("alice", Some("Alice.example"));
    let fingerprint = digest_text(&der);
    let mut trial = Trial::new();
    trial.certificate = Some(der);
    let method = method(false);
    trial.give("bob", CredentialKind::Certificate, text("subject: CN=alice").as_bytes(), None);
    assert_eq!(trial.caller(&method, &get("")).0.name(), "bob");
    trial.give("alice", CredentialKind::Certificate, text("san:ALICE.example").as_bytes(), None);
    let (caller, gate) = trial.caller(&method, &get(""));
    assert_eq!((caller.name(), caller.subject.as_deref()), ("alice", Some("alice.example")));
    assert!(gate.changes_nothing());
    trial.give("bob", CredentialKind::Certificate, text(&fingerprint).as_bytes(), None);
    assert_eq!(trial.caller(&method, &get("")).0.name(), "bob");
}

fn digest_text(der: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02X}"))
}

#[test]
fn strangers_are_refused_unless_they_are_allowed() {
    let mut trial = Trial::new();
    assert!(matches!(trial.ask(&method(false), &get(""), &mut Gate::default()), Finding::Absent));
    trial.certificate = Some(der("carol", None));
    assert_eq!(trial.refusal(&method(false), &get("")), Reason::CertificateUnknown);
    let (caller, _) = trial.caller(&method(true), &get(""));
    assert_eq!((caller.name(), caller.subject.as_deref(), &*caller.auth), ("", Some("CN=carol"), "mesh"));
    trial.certificate = Some(b"no certificate, and longer than thirty-two bytes".to_vec());
    assert_eq!(trial.refusal(&method(true), &get("")), Reason::CredentialMalformed);
    trial.certificate = Some(Vec::new());
    assert_eq!(trial.refusal(&method(true), &get("")), Reason::CredentialMalformed);
}

#[test]
fn certificates_of_one_tail_are_told_apart_and_memory_is_bounded() {
    let (mut trial, method) = (Trial::new(), method(true));
    let remembered =
        |method: &Certificate| -> usize { method.read.iter().map(|shard| shard.lock().unwrap().len()).sum() };
    let alice = der("alice", None);
    trial.certificate = Some(alice.clone());
    trial.explains = true;
    trial.caller(&method, &get(""));
    assert_eq!(remembered(&method), 0, "explaining keeps nothing");
    trial.explains = false;
    trial.caller(&method, &get(""));
    assert_eq!(remembered(&method), 1);
    // The same but for the name, which the signature no longer fits: whether it does was the handshake's to see.
    let at = alice.windows(5).rposition(|bytes| bytes == b"alice").unwrap();
    let mut other = alice.clone();
    other[at] = b'b';
    trial.certificate = Some(other.clone());
    assert_eq!(trial.caller(&method, &get("")).0.subject.as_deref(), Some("CN=blice"));
    for n in 0..10_000_u32 {
        let tail = other.len() - 4;
        other[tail..].copy_from_slice(&n.to_be_bytes());
        trial.certificate = Some(other.clone());
        trial.caller(&method, &get(""));
    }
    assert!(remembered(&method) <= REMEMBERED, "{}", remembered(&method));
}
