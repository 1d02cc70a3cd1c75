//! Pages of other sites: what their scripts may read, and what they may cause.

use tollgate_decision::Reason;
use tollgate_testkit::{Origin, Response, Tollgate};

use super::{guarded, refused, told};

const DOCUMENT: &str = "auth: { keys: { api_key: { header: X-API-Key } } }\nroutes:\n  \
    - { name: api, path: /api, to: \"http://{origin}\", auth: keys, retry: none, cors: { origins: [\"https://app.example\", \"https://*.example.com\"], methods: [GET, PUT], headers: [X-API-Key], credentials: true, max_age: 10m } }\n  \
    - { name: form, path: /, to: \"http://{origin}\", retry: none, csrf: { trusted_origins: [\"https://partner.example\"] } }\n";

fn start(origin: &Origin) -> Tollgate {
    guarded(DOCUMENT, &[("origin", &origin.address())])
}

fn ask(tollgate: &Tollgate, line: &str, fields: &str) -> Response {
    tollgate.request(format!("{line} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n{fields}\r\n"))
}

fn preflight(tollgate: &Tollgate, origin: &str) -> Response {
    let fields = format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-api-key\r\n"
    );
    ask(tollgate, "OPTIONS /api/x", &fields)
}

/// Each looks like one of those that are allowed.
const STRANGERS: [&str; 14] = [
    "null",
    "http://app.example",
    "https://app.example:444",
    "https://app.example.evil.test",
    "https://evil-app.example",
    "https://app.example@evil.test",
    "https://app.example/",
    "https://app.example#.example.com",
    "https://evilexample.com",
    "https://example.com",
    "https://.example.com",
    "https://evil.test?.example.com",
    "https://a.example.com.evil.test",
    "https://a_b%00.example.com",
];

#[test]
fn a_preflight_is_answered_before_anybody_is_asked_who_it_is() {
    let origin = Origin::saying("secret");
    let tollgate = start(&origin);
    for allowed in ["https://app.example", "https://a.example.com", "https://b.a.example.com"] {
        let response = preflight(&tollgate, allowed);
        assert_eq!((response.status, response.get("access-control-allow-origin")), (204, Some(allowed)));
        assert_eq!(response.get("access-control-allow-credentials"), Some("true"));
        assert!(response.get("access-control-allow-methods").unwrap().contains("PUT"));
        assert!(response.get("vary").unwrap().to_ascii_lowercase().contains("origin"), "{response:?}");
        assert_eq!(told(&tollgate, &response)["reason"], "cors_preflight");
    }
    // OPTIONS that are no preflight need a key.
    refused(&tollgate, &ask(&tollgate, "OPTIONS /api/x", ""), Reason::Unauthenticated);
    refused(
        &tollgate,
        &ask(&tollgate, "OPTIONS /api/x", "Access-Control-Request-Method: PUT\r\n"),
        Reason::Unauthenticated,
    );
    assert_eq!(origin.connections(), 0);
}

#[test]
fn origins_that_look_like_allowed_ones_may_read_nothing() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nContent-Length: 0\r\n\r\n"
            .to_vec()
    });
    let tollgate = start(&origin);
    for stranger in STRANGERS {
        let response = preflight(&tollgate, stranger);
        assert_eq!((response.status, response.get("access-control-allow-origin")), (204, None), "{stranger}");
        assert_eq!(response.get("access-control-allow-credentials"), None, "{stranger}");
        let fields = format!("Origin: {stranger}\r\nX-API-Key: alice-key\r\n");
        let response = ask(&tollgate, "GET /api/x", &fields);
        // What the origin says of it itself is not passed on.
        assert_eq!((response.status, response.get("access-control-allow-origin")), (200, None), "{stranger}");
    }
    let two = "Origin: https://app.example\r\nOrigin: https://evil.test\r\nX-API-Key: alice-key\r\n";
    assert_eq!(ask(&tollgate, "GET /api/x", two).get("access-control-allow-origin"), None);
}

#[test]
fn pages_that_may_read_can_read_a_refusal_too() {
    let origin = Origin::saying("secret");
    let tollgate = start(&origin);
    let response = ask(&tollgate, "GET /api/x", "Origin: https://app.example\r\n");
    refused(&tollgate, &response, Reason::Unauthenticated);
    assert_eq!(response.get("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(response.all("access-control-allow-origin").len(), 1);
    let response = ask(&tollgate, "GET /api/x", "Origin: https://evil.test\r\n");
    assert_eq!((response.status, response.get("access-control-allow-origin")), (401, None));
}

#[test]
fn what_begins_on_other_sites_changes_nothing() {
    let origin = Origin::saying("done");
    let tollgate = start(&origin);
    for fields in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: Same-Origin\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: https://evil.test\r\n",
        "Origin: null\r\n",
        "Origin: http://a.example.evil.test\r\n",
        "Origin: http://a.example:81\r\n",
        "Origin: http://a.example\r\nOrigin: https://evil.test\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: https://partner.example.evil.test\r\n",
    ] {
        for method in ["POST", "DELETE", "PATCH"] {
            let response = ask(&tollgate, &format!("{method} /buy"), fields);
            refused(&tollgate, &response, Reason::CrossSite);
        }
        assert_eq!(ask(&tollgate, "GET /buy", fields).status, 200, "{fields}");
    }
    for fields in [
        "",
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
        "Origin: http://a.example\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: https://partner.example\r\n",
    ] {
        assert_eq!(ask(&tollgate, "POST /buy", fields).status, 200, "{fields}");
    }
}
