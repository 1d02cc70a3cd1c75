//! API keys, over each version of HTTP.

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Origin, Tollgate};

use super::{get_with, guarded, refused};

const DOCUMENT: &str = "auth: { keys: { api_key: { header: X-API-Key, query: key, cookie: key } } }\n\
    routes: [{ path: /, to: \"http://{origin}\", auth: keys, retry: none }]\n";

fn start(origin: &Origin) -> Tollgate {
    guarded(DOCUMENT, &[("origin", &origin.address())])
}

#[test]
fn a_key_is_taken_from_its_places_and_not_handed_on() {
    let origin = Origin::saying("secret");
    let tollgate = start(&origin);
    for (path, fields) in [
        ("/a?x=1&key=alice-key&y=2", ""),
        ("/a?x=1&y=2", "X-API-Key: alice-key\r\n"),
        ("/a?x=1&y=2", "Cookie: a=b; key=alice-key\r\n"),
    ] {
        assert_eq!(tollgate.request(get_with(path, fields)).status, 200, "{path} {fields}");
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.target(), "/a?x=1&y=2");
        assert!(!format!("{request:?}").contains("alice-key"), "{request:?}");
    }
}

#[test]
fn keys_in_two_places_that_differ_are_refused() {
    let origin = Origin::saying("secret");
    let tollgate = start(&origin);
    for (path, fields) in [
        ("/?key=bob-key", "X-API-Key: alice-key\r\n"),
        ("/?key=alice-key&key=bob-key", ""),
        ("/", "X-API-Key: alice-key\r\nX-API-Key: bob-key\r\n"),
        ("/", "X-API-Key: alice-key\r\nCookie: key=wrong\r\n"),
        ("/", "Cookie: key=alice-key; key=bob-key\r\n"),
        ("/", "X-API-Key: alice-key, bob-key\r\n"),
    ] {
        let response = tollgate.request(get_with(path, fields));
        refused(&tollgate, &response, Reason::CredentialMalformed);
    }
    for key in ["alice-ke", "alice-keyy", "ALICE-KEY", "sha256:", &"a".repeat(512)] {
        let response = tollgate.request(get_with("/", &format!("X-API-Key: {key}\r\n")));
        refused(&tollgate, &response, Reason::CredentialUnknown);
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn keys_pass_over_http2() {
    let origin = Origin::saying("secret");
    let tollgate = start(&origin);
    let client = Http2Client::connect(tollgate.address());
    assert_eq!(client.ask("GET", "/", &[("x-api-key", "alice-key")]).response().status, 200);
    let response = client.ask("GET", "/", &[("x-api-key", "other")]).response();
    refused(&tollgate, &response, Reason::CredentialUnknown);
    let response = client.get("/");
    refused(&tollgate, &response, Reason::Unauthenticated);
    assert_eq!(origin.requests().len(), 1);
}

/// What the operator looks at holds none of them.
#[test]
fn keys_are_in_no_log_and_no_explanation() {
    let origin = Origin::saying("secret");
    let tollgate = Arc::new(start(&origin));
    for fields in ["X-API-Key: alice-key\r\n", "X-API-Key: wrong-key\r\n", "Cookie: key=wrong-key\r\n"] {
        let response = tollgate.request(get_with("/?key=wrong-key", fields));
        let text = super::told(&tollgate, &response).to_string();
        assert!(!text.contains("wrong-key") && !text.contains("alice-key"), "{text}");
    }
    assert!(!tollgate.stderr().contains("-key"), "{}", tollgate.stderr());
}
