//! Fields that tell origins who it is: only Tollgate may write them.

use serde_json::json;
use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Algorithm, OidcProvider, Origin, Request, Tollgate};

use super::{get_with, guarded};

const DOCUMENT: &str = "auth:\n  idp: { jwt: { issuer: \"{issuer}\", jwks: \"{issuer}/jwks\", claims_to_headers: { X-User: sub, X-Plan: plan } } }\n  \
    keys: { api_key: { header: X-API-Key } }\nroutes:\n  - path: /\n    to: \"http://{origin}\"\n    retry: none\n    \
    auth: { any: [idp, keys], anonymous: true, identity_headers: { consumer: X-Consumer, groups: X-Groups, subject: X-Subject, auth: X-Auth } }\n";

/// What Tollgate says, by the names that the document has.
const OURS: [&str; 6] = ["x-consumer", "x-groups", "x-subject", "x-auth", "x-user", "x-plan"];

fn start(origin: &Origin, provider: &OidcProvider) -> Tollgate {
    guarded(DOCUMENT, &[("origin", &origin.address()), ("issuer", &provider.issuer())])
}

/// What an origin was told, by our names.
fn said(request: &Request) -> Vec<(&'static str, Vec<String>)> {
    let values = |name| request.all(name).into_iter().map(str::to_owned).collect();
    OURS.iter()
        .map(|name| (*name, values(name)))
        .filter(|(_, values): &(_, Vec<_>)| !values.is_empty())
        .collect()
}

fn only(name: &'static str, value: &str) -> (&'static str, Vec<String>) {
    (name, vec![value.to_owned()])
}

#[test]
fn forged_identities_do_not_reach_the_origin_in_any_spelling() {
    let (origin, provider) = (Origin::saying("ok"), OidcProvider::start());
    let tollgate = start(&origin, &provider);
    let forged = "X-Consumer: root\r\nx-consumer: root\r\nX-CONSUMER:root\r\nX-Groups: staff\r\nx-Groups:admin\r\n\
                  X-Subject: root\r\nX-Auth: idp\r\nX-User: root\r\nX-uSER: root\r\nX-Plan: pro\r\n";
    assert_eq!(tollgate.request(get_with("/", forged)).status, 200);
    assert_eq!(said(&origin.only_request()), []);

    let response = tollgate.request(get_with("/", &format!("{forged}X-API-Key: alice-key\r\n{forged}")));
    assert_eq!(response.status, 200);
    let ours = [only("x-consumer", "alice"), only("x-groups", "staff,gold"), only("x-auth", "keys")];
    assert_eq!(said(&origin.requests()[1]), ours);
    assert_eq!(origin.requests()[1].get("x-api-key"), None);

    let token = provider.issue(json!({ "sub": "bob", "plan": "free" }), Algorithm::Es256);
    let response = tollgate.request(get_with("/", &format!("{forged}Authorization: Bearer {token}\r\n")));
    assert_eq!(response.status, 200);
    let ours = [
        only("x-consumer", "bob"),
        only("x-subject", "bob"),
        only("x-auth", "idp"),
        only("x-user", "bob"),
        only("x-plan", "free"),
    ];
    assert_eq!(said(&origin.requests()[2]), ours);

    // Over HTTP/2 the same, several times each.
    let client = Http2Client::connect(tollgate.address());
    let fields: Vec<_> = OURS.iter().flat_map(|name| [(*name, "root"), (*name, "root")]).collect();
    assert_eq!(client.ask("GET", "/", &fields).response().status, 200);
    assert_eq!(said(&origin.requests()[3]), []);
}

#[test]
fn what_only_looks_like_our_names_stays_what_it_is() {
    let (origin, provider) = (Origin::saying("ok"), OidcProvider::start());
    let tollgate = start(&origin, &provider);
    let fields = "X-API-Key: bob-key\r\nX_Consumer: root\r\nX-Consumer-: root\r\nXX-Consumer: root\r\n";
    assert_eq!(tollgate.request(get_with("/", fields)).status, 200);
    let request = origin.only_request();
    assert_eq!(said(&request), [only("x-consumer", "bob"), only("x-auth", "keys")]);
    for name in ["x_consumer", "x-consumer-", "xx-consumer"] {
        assert_eq!(request.all(name), ["root"], "{name}");
    }
}

/// Whom a client calls a field of its connection is not passed on; what Tollgate says is none of the client's.
#[test]
fn clients_cannot_have_identities_taken_away_or_put_behind_a_body() {
    let (origin, provider) = (Origin::saying("ok"), OidcProvider::start());
    let tollgate = start(&origin, &provider);
    let fields = "X-API-Key: bob-key\r\nConnection: X-Consumer, X-Auth, X-Groups\r\nX-Consumer: root\r\n";
    assert_eq!(tollgate.request(get_with("/", fields)).status, 200);
    assert_eq!(said(&origin.only_request()), [only("x-consumer", "bob"), only("x-auth", "keys")]);

    let response = tollgate.request(
        "POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: bob-key\r\nTrailer: X-Consumer\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\nx\r\n0\r\nX-Consumer: root\r\nX-Groups: staff\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let request = origin.requests().pop().unwrap();
    assert_eq!(said(&request), [only("x-consumer", "bob"), only("x-auth", "keys")]);
    let forged = |(name, _): &(String, String)| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
    assert!(!request.trailers.iter().any(forged), "{:?}", request.trailers);
}
