//! Paths that are spelled so that a rule about another spelling might not see them.

use tollgate_decision::Reason;
use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Origin, Response, Tollgate};

use super::{get_with, guarded, refused, told};

const DOCUMENT: &str = "auth: { keys: { api_key: { header: X-API-Key } } }\nroutes:\n  \
    - { name: admin, path: /admin, to: \"http://{origin}\", auth: keys, access: { allow: [{ group: staff }] } }\n  \
    - { name: open, path: /, to: \"http://{origin}\", retry: none }\n";

/// All are `/admin` or below it for an origin that normalises paths.
const DISGUISED: [&str; 16] = [
    "/admin",
    "/admin/",
    "/admin?x=/open",
    "//admin",
    "///admin//users",
    "/%61dmin",
    "/%61%64%6d%69%6E/users",
    "/x/../admin",
    "/./admin",
    "/admin/.",
    "/admin/x/..",
    "/x/%2e%2e/admin",
    "/x/%2E./admin",
    "/%2e/admin",
    "/open/../admin/users",
    "/admin/users;x",
];

/// What one origin reads as a slash, a backslash or nothing, and another one does not.
const AMBIGUOUS: [&str; 12] = [
    "/admin;x",
    "/;x/admin",
    "/admin%3bx/users",
    "/x/..;/admin",
    "/admin%2f",
    "/admin%2Fusers",
    "/x%2f..%2fadmin",
    "/%5cadmin",
    "/x/..%5cadmin",
    "/admin%00",
    "/../admin/../../admin",
    "/%zzadmin",
];

/// Asks by both versions.
fn ask(tollgate: &Tollgate, path: &str, key: Option<&str>) -> [Response; 2] {
    let line = key.map_or(String::new(), |key| format!("X-API-Key: {key}\r\n"));
    let fields: Vec<_> = key.iter().map(|key| ("x-api-key", *key)).collect();
    let by_2 = Http2Client::connect(tollgate.address()).ask("GET", path, &fields).response();
    [tollgate.request(get_with(path, &line)), by_2]
}

#[test]
fn no_spelling_of_a_path_gets_around_its_rule() {
    let origin = Origin::saying("secret");
    let tollgate = guarded(DOCUMENT, &[("origin", &origin.address())]);
    for path in DISGUISED {
        for response in ask(&tollgate, path, None) {
            let told = refused(&tollgate, &response, Reason::Unauthenticated);
            assert_eq!(told["went"]["route"], "admin", "{path}: {told}");
        }
        for response in ask(&tollgate, path, Some("bob-key")) {
            refused(&tollgate, &response, Reason::NotAllowed);
        }
        for response in ask(&tollgate, path, Some("alice-key")) {
            assert_eq!(response.status, 200, "{path}");
        }
    }
    assert_eq!(origin.requests().len(), 2 * DISGUISED.len());
    // What passed is below it in the origin's eyes, too.
    for request in origin.requests() {
        assert!(request.target().starts_with("/admin"), "{}", request.line());
    }
}

#[test]
fn paths_that_origins_read_differently_reach_none() {
    let origin = Origin::saying("secret");
    let tollgate = guarded(DOCUMENT, &[("origin", &origin.address())]);
    for path in AMBIGUOUS {
        for response in ask(&tollgate, path, None) {
            refused(&tollgate, &response, Reason::BadPath);
        }
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_is_another_path_stays_another() {
    let origin = Origin::saying("open");
    let tollgate = guarded(DOCUMENT, &[("origin", &origin.address())]);
    for path in ["/ADMIN", "/admins", "/x/admin", "/admin.txt", "/%2561dmin", "/x?/admin"] {
        for response in ask(&tollgate, path, None) {
            assert_eq!(response.status, 200, "{path}");
            assert_eq!(told(&tollgate, &response)["went"]["route"], "open");
        }
        assert_eq!(origin.requests().pop().unwrap().target(), path);
    }
}
