//! The gate under attack: who is refused learns nothing by it, and the operator is told why.

mod browsers;
mod concurrency;
mod http3;
mod identity;
mod keys;
mod modes;
mod paths;
mod quotas;
mod rates;
mod signatures;
pub(crate) mod signer;
mod tokens;

use std::fmt::Display;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tollgate_decision::Reason;
use tollgate_testkit::{PATIENCE, Response, Tollgate};

use crate::launch;

/// Two consumers with API keys, and a method that finds them.
pub(crate) const KEYS: &str = "consumers:\n  alice: { groups: [staff, gold], credentials: [{ api_key: \"{alice}\" }, { subject: alice }] }\n  \
     bob: { credentials: [{ api_key: \"{bob}\" }, { subject: bob }] }\n";

/// What a document keeps of an API key.
pub(crate) fn hash_of(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// [`KEYS`] with the hashes of `alice-key` and `bob-key`.
pub(crate) fn consumers() -> String {
    KEYS.replace("{alice}", &hash_of("alice-key")).replace("{bob}", &hash_of("bob-key"))
}

/// A program with these consumers that keeps what was decided about each request.
fn guarded(document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    launch(&guarded_document(document), values)
}

fn guarded_document(document: &str) -> String {
    format!("recorder: {{ sample: 100% }}\n{}{document}", consumers())
}

/// A GET with fields, each with its line end.
fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

/// What the operator is told about the exchange of this response, as soon as it is there.
fn told(tollgate: &Tollgate, response: &Response) -> Value {
    let id = response.get("x-request-id").unwrap_or_else(|| panic!("{response:?}"));
    let began = Instant::now();
    loop {
        let (status, body) = tollgate.api("GET", &format!("/api/v1/exchanges/{id}"), "");
        if status == 200 {
            let told: Value = serde_json::from_str(&body).unwrap();
            return told["exchanges"].get(0).cloned().unwrap_or(told);
        }
        assert!(began.elapsed() < PATIENCE, "{status} {body}");
    }
}

/// A refusal: the client is told what all are told that are refused with this status, the operator why.
#[track_caller]
fn refused(tollgate: &Tollgate, response: &Response, reason: Reason) -> Value {
    let told = told(tollgate, response);
    assert_eq!(told["reason"], reason.code(), "{response:?}\n{told}");
    assert_eq!(response.status, reason.status(), "{response:?}");
    assert_eq!(response.reason().as_deref(), Some(reason.shown().code()), "{response:?}");
    if reason.shown() != reason {
        let all = format!("{:?} {}", response, response.text());
        assert!(!all.contains(reason.code()) && !all.contains(reason.explanation()), "{all}");
    }
    told
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a policy decided about an exchange.
fn policy<'a>(told: &'a Value, name: &str) -> &'a Value {
    find(told, name).unwrap_or_else(|| panic!("{name} did not decide: {told}"))
}

fn find<'a>(told: &'a Value, name: &str) -> Option<&'a Value> {
    match told {
        Value::Object(members) if members.get("policy") == Some(&json!(name)) => Some(told),
        Value::Object(members) => members.values().find_map(|member| find(member, name)),
        Value::Array(entries) => entries.iter().find_map(|entry| find(entry, name)),
        _ => None,
    }
}
