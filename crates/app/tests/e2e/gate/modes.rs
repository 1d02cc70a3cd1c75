//! How policies are put together: in shadow, for anonymous callers, all of several methods, for gRPC.

use serde_json::json;
use tollgate_decision::Reason;
use tollgate_testkit::http2::{Http2Client, Http2Origin, Served};
use tollgate_testkit::{Algorithm, OidcProvider, Origin, Tollgate};

use super::{get_with, guarded, policy, refused, told};
use crate::verbs::verb;

#[test]
fn in_shadow_all_pass_and_the_operator_is_told_what_would_have_been() {
    let origin = Origin::saying("ok");
    let tollgate = guarded(
        "auth: { keys: { api_key: { header: X-API-Key } } }\nroutes:\n  - path: /\n    to: \"http://{origin}\"\n    \
         auth: { any: keys, shadow: true }\n    access: { allow: [{ group: staff }], shadow: true }\n    \
         addresses: { deny: [127.0.0.0/8], shadow: true }\n    csrf: { shadow: true }\n    \
         request_limits: { methods: [GET], shadow: true }\n    rate_limit: { rate: 1/h, by: address, shadow: true }\n",
        &[("origin", &origin.address())],
    );
    let ask = || {
        tollgate
            .request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nSec-Fetch-Site: cross-site\r\n\r\n")
    };
    assert_eq!(ask().status, 200);
    let response = ask();
    assert_eq!(response.status, 200);
    assert_eq!(response.get("www-authenticate"), None, "{response:?}");
    assert_eq!(response.get("retry-after"), None, "{response:?}");
    let told = told(&tollgate, &response);
    assert_eq!(told["reason"], "forwarded");
    for (name, reason) in [
        ("addresses", "address_denied"),
        ("request_limits", "method_not_allowed"),
        ("csrf", "cross_site"),
        ("auth keys", "unauthenticated"),
        ("access", "not_allowed"),
        ("rate_limit", "rate_limited"),
    ] {
        let verdict = policy(&told, name);
        assert_eq!(
            (&verdict["outcome"], &verdict["reason"]),
            (&json!("would_stop"), &json!(reason)),
            "{told}"
        );
    }
    let why = verb(&tollgate, &["why", response.get("x-request-id").unwrap()]);
    assert!(
        why.stdout.contains("in shadow: would have stopped the request, unauthenticated"),
        "{}",
        why.stdout
    );
}

#[test]
fn who_shows_nothing_is_the_anonymous_consumer_and_who_shows_something_wrong_is_nobody() {
    let origin = Origin::saying("ok");
    let tollgate = guarded(
        "consumer_files: [\"{directory}/*.consumers\"]\nauth: { keys: { api_key: { header: X-API-Key } } }\nroutes:\n  - path: /\n    \
         to: \"http://{origin}\"\n    auth: { any: keys, anonymous: bob, identity_headers: { consumer: X-Consumer } }\n    \
         rate_limit: { rate: 2/h, groups: { gold: 10/h } }\n",
        &[("origin", &origin.address())],
    );
    for _ in 0..2 {
        assert_eq!(tollgate.request(get_with("/", "")).status, 200);
        assert_eq!(origin.requests().pop().unwrap().all("x-consumer"), ["bob"]);
    }
    refused(&tollgate, &tollgate.request(get_with("/", "")), Reason::RateLimited);
    refused(&tollgate, &tollgate.request(get_with("/", "X-API-Key: wrong\r\n")), Reason::CredentialUnknown);
    assert_eq!(tollgate.request(get_with("/", "X-API-Key: alice-key\r\n")).status, 200);
    assert_eq!(origin.requests().pop().unwrap().all("x-consumer"), ["alice"]);
}

#[test]
fn where_all_methods_are_wanted_all_must_name_the_same() {
    let (origin, provider) = (Origin::saying("ok"), OidcProvider::start());
    let tollgate = guarded(
        "auth:\n  keys: { api_key: { header: X-API-Key } }\n  idp: { jwt: { issuer: \"{issuer}\", jwks: \"{issuer}/jwks\" } }\n\
         routes: [{ path: /, to: \"http://{origin}\", auth: { all: [keys, idp] } }]\n",
        &[("origin", &origin.address()), ("issuer", &provider.issuer())],
    );
    let key = |of: &str| format!("X-API-Key: {of}-key\r\n");
    let token = |of: &str| {
        let token = provider.issue(json!({ "sub": of }), Algorithm::EdDsa);
        format!("Authorization: Bearer {token}\r\n")
    };
    let ask = |fields: &str| tollgate.request(get_with("/", fields));
    assert_eq!(ask(&(key("alice") + &token("alice"))).status, 200);
    for (fields, reason) in [
        (key("alice") + &token("bob"), Reason::IdentityConflict),
        (key("alice"), Reason::Unauthenticated),
        (token("alice"), Reason::Unauthenticated),
        (key("wrong") + &token("alice"), Reason::CredentialUnknown),
        (key("alice") + "Authorization: Bearer a.b.c\r\n", Reason::TokenMalformed),
    ] {
        refused(&tollgate, &ask(&fields), reason);
    }
    assert_eq!(origin.requests().len(), 1);
}

/// Keys of the issuer may change while tokens are under way.
#[test]
fn tokens_by_new_keys_are_taken_without_a_reload() {
    let (origin, provider) = (Origin::saying("ok"), OidcProvider::start());
    let tollgate = guarded(
        "auth: { idp: { jwt: { issuer: \"{issuer}\" } } }\nroutes: [{ path: /, to: \"http://{origin}\", auth: idp }]\n",
        &[("origin", &origin.address()), ("issuer", &provider.issuer())],
    );
    let ask = |token: &str| tollgate.request(get_with("/", &format!("Authorization: Bearer {token}\r\n")));
    let old = provider.issue(json!({ "sub": "alice" }), Algorithm::Es256);
    assert_eq!(ask(&old).status, 200);
    provider.rotate_keys();
    let new = provider.issue(json!({ "sub": "alice" }), Algorithm::Es256);
    let began = std::time::Instant::now();
    // Unknown keys are not fetched too often.
    while ask(&new).status != 200 {
        assert!(began.elapsed() < 3 * tollgate_testkit::PATIENCE, "the new keys are not fetched");
    }
}

#[test]
fn calls_of_grpc_are_refused_by_its_own_statuses() {
    let origin = Http2Origin::start(|mut served: Served| {
        let _ = served.body();
        served.answer(200, &[("content-type", "application/grpc")], "", &[("grpc-status", "0")]);
    });
    let tollgate = guarded(
        "auth: { keys: { api_key: { header: X-API-Key } } }\n\
         upstreams: { up: { endpoints: [\"{origin}\"], protocol: grpc } }\n\
         routes: [{ name: calls, grpc: {}, to: up, retry: none, auth: keys, access: { deny: [{ consumer: bob }] }, rate_limit: 1/h }]\n",
        &[("origin", &origin.address())],
    );
    assert_eq!(status(&tollgate, Some("alice-key")), ("0".to_owned(), String::new()));
    for (key, code, reason) in [
        (None, "16", "unauthenticated"),
        (Some("wrong"), "16", "unauthenticated"),
        (Some("bob-key"), "7", "not_allowed"),
        (Some("alice-key"), "8", "rate_limited"),
    ] {
        let (status, message) = status(&tollgate, key);
        assert_eq!(status, code, "{message}");
        assert!(message.ends_with(&format!("({reason})")), "{message}");
    }
}

/// The status of a call with this key, and its message.
fn status(tollgate: &Tollgate, key: Option<&str>) -> (String, String) {
    let client = Http2Client::connect(tollgate.address());
    let mut fields = vec![("content-type", "application/grpc"), ("te", "trailers")];
    fields.extend(key.map(|key| ("x-api-key", key)));
    let mut call = client.begin("POST", "/shop.Orders/Create", &fields);
    call.sending.send([0, 0, 0, 0, 0]);
    call.sending.finish();
    let response = call.response();
    assert_eq!(response.status, 200, "{response:?}");
    let trailer =
        |name: &str| response.trailers.iter().find(|(found, _)| found == name).map(|(_, v)| v.clone());
    let found =
        |name: &str| response.get(name).map(str::to_owned).or_else(|| trailer(name)).unwrap_or_default();
    (found("grpc-status"), found("grpc-message"))
}
