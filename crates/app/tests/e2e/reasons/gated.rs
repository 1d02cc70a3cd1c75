//! What the policies of a route refuse and answer.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tollgate_decision::Reason;
use tollgate_testkit::{
    Algorithm, Authority, Issued, OidcProvider, Origin, Response, SignWith, TlsClient, Tollgate, Versions,
    Wanted,
};

use super::{Provoke, Row, There};
use crate::gate::consumers;
use crate::gate::signer::{CONSUMER, Signed};

/// A provider that all rows share, with a client and a user.
static PROVIDER: LazyLock<OidcProvider> = LazyLock::new(|| {
    let provider = OidcProvider::start();
    provider.register("gate", "s3cret", &["http://a.example/oauth2/callback"]);
    provider.add_user("alice", "hunter2", json!({}));
    provider.consent(Some("alice"));
    provider
});

/// Certificates of clients.
static CLIENTS: LazyLock<(Authority, Issued, Issued)> = LazyLock::new(|| {
    let authority = Authority::new("Test clients");
    let server = authority.issue("server", &["shop.example"]);
    let client = authority.make("client", &Wanted::client("mallory"));
    (authority, server, client)
});

/// What is the same in most documents, in the places of their names.
pub(super) fn fill(document: &str) -> String {
    if !document.contains('<') {
        return document.to_owned();
    }
    let mut filled = document.replace("<consumers>", &consumers()).replace("<signers>", CONSUMER);
    for (name, value) in [("<issuer>", 0), ("<clients>", 1), ("<server>", 2)] {
        if filled.contains(name) {
            let value = match value {
                0 => PROVIDER.issuer().to_owned(),
                1 => CLIENTS.0.roots().display().to_string(),
                _ => CLIENTS.1.yaml(),
            };
            filled = filled.replace(name, &value);
        }
    }
    filled
}

const API_KEY: &str = "<consumers>auth: { keys: { api_key: { header: X-API-Key } } }\nroutes: [{ name: all, path: /, respond: 204, auth: keys }]\n";
const TWO_KEYS: &str = "<consumers>auth: { one: { api_key: { header: X-One } }, two: { api_key: { header: X-Two } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: { all: [one, two] } }]\n";
/// Nobody knows the password; a check takes about a second.
const BASIC: &str = "consumers: { alice: { credentials: [{ password: { user: alice, hash: \"$2b$14$AAAAAAAAAAAAAAAAAAAAAOKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK\" } }] } }\n\
    auth: { office: { basic: {} } }\nroutes: [{ name: all, path: /, respond: 204, auth: office }]\n";
const CHEAP_BASIC: &str = "consumers: { alice: { credentials: [{ password: { user: alice, hash: \"$2b$04$AAAAAAAAAAAAAAAAAAAAAOKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK\" } }] } }\n\
    auth: { office: { basic: {} } }\nroutes: [{ name: all, path: /, respond: 204, auth: office }]\n";
const TOKEN: &str = "<consumers>auth: { idp: { jwt: { issuer: \"<issuer>\", jwks: \"<issuer>/jwks\", audience: api, required_claims: [jti] } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: idp }]\n";
const OPAQUE: &str = "<consumers>auth: { opaque: { introspection: { url: \"<issuer>/introspect\", client_id: gate, client_secret: s3cret } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: opaque }]\n";
const SIGNED: &str = "<signers>auth: { signed: { signature: { covered: [\"@method\", \"@target-uri\", \"content-digest\"] } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: signed }]\n";
/// Only what is sent on is compared with its digest.
const SIGNED_ON: &str = "<signers>auth: { signed: { signature: {} } }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", auth: signed, retry: none }]\n";
const MESH: &str = "listen: { address: \"127.0.0.1:0\", tls: { certificates: <server>, client_certificates: { ca: \"<clients>\", mode: optional } } }\n\
    auth: { mesh: { certificate: {} } }\nroutes: [{ name: all, path: /, respond: 204, auth: mesh }]\n";
const FORWARD_AUTH: &str = "auth: { own: { forward: { url: \"http://{origin}/auth\" } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: own }]\n";
const LOGIN: &str = "<consumers>auth: { web: { oidc: { issuer: \"<issuer>\", client_id: gate, client_secret: s3cret, cookie: { secure: false, secrets: \"0123456789abcdef0123456789abcdef\" } } } }\n\
    routes: [{ name: all, path: /, respond: 204, auth: web }]\n";

impl Row {
    /// What a route's policies decide about these bytes.
    const fn gated(
        reason: Reason,
        document: &'static str,
        bytes: &'static str,
        told: &'static [&'static str],
    ) -> Self {
        Self { document, told, ..Self::refused(reason, bytes, &[]) }
    }

    /// The same for what a function sends.
    const fn gated_by(
        reason: Reason,
        document: &'static str,
        provoke: fn(&Tollgate) -> Option<String>,
        told: &'static [&'static str],
    ) -> Self {
        Self { provoke: Provoke::Doing(provoke), ..Self::gated(reason, document, "", told) }
    }
}

fn id_of(response: &Response) -> Option<String> {
    response.get("x-request-id").map(str::to_owned)
}

/// A request with a token of these parts.
fn with_token(tollgate: &Tollgate, header: &Value, claims: &Value, key: SignWith<'_>) -> Option<String> {
    let provider = &*PROVIDER;
    let now = crate::gate::now();
    let mut whole_header = json!({ "alg": "ES256", "kid": provider.key_id(Algorithm::Es256) });
    let mut whole =
        json!({ "iss": provider.issuer(), "aud": "api", "jti": "1", "sub": "alice", "exp": now + 300 });
    for (whole, part) in [(&mut whole_header, header), (&mut whole, claims)] {
        part.as_object().unwrap().iter().for_each(|(name, value)| whole[name] = value.clone());
    }
    show(tollgate, &provider.sign_raw(&whole_header.to_string(), &whole.to_string(), key))
}

fn with_claims(tollgate: &Tollgate, claims: Value) -> Option<String> {
    with_token(tollgate, &json!({}), &claims, SignWith::Own(Algorithm::Es256))
}

fn show(tollgate: &Tollgate, token: &str) -> Option<String> {
    id_of(&tollgate.request(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")))
}

fn signed() -> Signed {
    Signed::new("/pay", b"amount=5", crate::gate::now(), "n1")
}

fn send(tollgate: &Tollgate, signed: &Signed) -> Option<String> {
    id_of(&tollgate.request(signed.bytes()))
}

/// Over TLS, with a certificate or without.
fn over_tls(tollgate: &Tollgate, shown: Option<&Issued>) -> Option<String> {
    let client = TlsClient::made(&CLIENTS.0, "shop.example", Versions::Both, shown);
    let mut client = client.connect(tollgate.address());
    id_of(&client.request("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"))
}

/// More passwords at once than are checked or may wait for it.
fn many_passwords(tollgate: &Tollgate) -> Option<String> {
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6";
    let mut clients: Vec<_> = (0..200).map(|_| tollgate.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        // `wrong` and a number, in base64.
        client.send(format!("{ask}d3Jv{:04}\r\n\r\n", number + 1000));
    }
    None
}

/// A browser asks for a page, logs in at the provider, and comes back.
fn log_in(tollgate: &Tollgate) -> Option<String> {
    let page = |target: &str, cookies: &str| {
        tollgate.request(format!(
            "GET {target} HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\nCookie: {cookies}\r\n\r\n"
        ))
    };
    let began = page("/shop", "none=0");
    let cookies: Vec<_> =
        began.all("set-cookie").iter().map(|c| c.split(';').next().unwrap().to_owned()).collect();
    let there = began.get("location").unwrap().strip_prefix(PROVIDER.issuer()).unwrap().to_owned();
    let mut provider = tollgate_testkit::Client::connect(PROVIDER.address());
    let agreed = provider.request(format!("GET {there} HTTP/1.1\r\nHost: {}\r\n\r\n", PROVIDER.address()));
    let back = agreed.get("location").unwrap().strip_prefix("http://a.example").unwrap().to_owned();
    let done = page(&back, &cookies.join("; "));
    assert_eq!((done.status, done.get("location")), (302, Some("/shop")), "{done:?}");
    id_of(&done)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const PAGE: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\n\r\n";
const OWN: SignWith<'static> = SignWith::Own(Algorithm::Es256);

/// Who it is.
pub(super) const IDENTITIES: &[Row] = &[
    Row::gated(
        Reason::Unauthenticated,
        API_KEY,
        GET,
        &["ended with 401 from Tollgate", "auth keys: stopped the request, unauthenticated"],
    ),
    Row::gated(
        Reason::CredentialMalformed,
        API_KEY,
        "GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: one\r\nX-API-Key: two\r\n\r\n",
        &["auth keys: stopped the request, credential_malformed, the "],
    ),
    Row::gated(
        Reason::CredentialUnknown,
        API_KEY,
        "GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: eve-key\r\n\r\n",
        &["auth keys: stopped the request, credential_unknown"],
    ),
    Row::gated(
        Reason::PasswordWrong,
        CHEAP_BASIC,
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n",
        &["auth office: stopped the request, password_wrong"],
    ),
    Row::gated_by(
        Reason::IdentityBusy,
        BASIC,
        many_passwords,
        &["auth office: stopped the request, identity_busy"],
    ),
    Row::gated_by(
        Reason::TokenMalformed,
        TOKEN,
        |t| show(t, "a.b.c"),
        &["auth idp: stopped the request, token_malformed"],
    ),
    Row::gated_by(
        Reason::TokenAlgorithm,
        TOKEN,
        |t| with_token(t, &json!({ "alg": "none" }), &json!({}), SignWith::Nothing),
        &["auth idp: stopped the request, token_algorithm"],
    ),
    Row::gated_by(
        Reason::TokenKeyUnknown,
        TOKEN,
        |t| with_token(t, &json!({ "kid": "../key" }), &json!({}), OWN),
        &["auth idp: stopped the request, token_key_unknown"],
    ),
    Row::gated_by(
        Reason::TokenSignature,
        TOKEN,
        |t| with_token(t, &json!({}), &json!({}), SignWith::Stranger(Algorithm::Es256)),
        &["auth idp: stopped the request, token_signature"],
    ),
    Row::gated_by(
        Reason::TokenExpired,
        TOKEN,
        |t| with_claims(t, json!({ "exp": crate::gate::now() - 100 })),
        &["auth idp: stopped the request, token_expired"],
    ),
    Row::gated_by(
        Reason::TokenNotYetValid,
        TOKEN,
        |t| with_claims(t, json!({ "nbf": crate::gate::now() + 100 })),
        &["auth idp: stopped the request, token_not_yet_valid"],
    ),
    Row::gated_by(
        Reason::TokenIssuer,
        TOKEN,
        |t| with_claims(t, json!({ "iss": "https://other.example" })),
        &["auth idp: stopped the request, token_issuer"],
    ),
    Row::gated_by(
        Reason::TokenAudience,
        TOKEN,
        |t| with_claims(t, json!({ "aud": "other" })),
        &["auth idp: stopped the request, token_audience"],
    ),
    Row::gated_by(
        Reason::TokenClaims,
        TOKEN,
        |t| with_claims(t, json!({ "jti": null })),
        &["auth idp: stopped the request, token_claims"],
    ),
    Row::gated_by(
        Reason::TokenInactive,
        OPAQUE,
        |t| show(t, "unheard-of"),
        &["auth opaque: stopped the request, token_inactive"],
    ),
    // Whoever is at the issuer's address refuses connections.
    Row::gated_by(
        Reason::IdentityUnavailable,
        "<consumers>auth: { idp: { jwt: { issuer: \"https://iss.example\", jwks: \"http://{origin}/jwks\" } } }\n\
             routes: [{ name: all, path: /, respond: 204, auth: idp }]\n",
        |t| with_claims(t, json!({})),
        &["ended with 503 from Tollgate", "auth idp: stopped the request, identity_unavailable"],
    ),
    Row::gated_by(
        Reason::CertificateAbsent,
        MESH,
        |t| over_tls(t, None),
        &["auth mesh: stopped the request, certificate_absent"],
    ),
    Row::gated_by(
        Reason::CertificateUnknown,
        MESH,
        |t| over_tls(t, Some(&CLIENTS.2)),
        &["auth mesh: stopped the request, certificate_unknown, it is of \"CN=mallory\""],
    ),
    Row::gated(
        Reason::IdentityConflict,
        TWO_KEYS,
        "GET / HTTP/1.1\r\nHost: a\r\nX-One: alice-key\r\nX-Two: bob-key\r\n\r\n",
        &["auth one and two: stopped the request, identity_conflict, one proves alice and two proves bob"],
    ),
    Row::gated(
        Reason::ConsumerUnknown,
        "consumer_files: [\"{directory}/guests/*.yaml\"]\nauth: { keys: { api_key: { header: X-API-Key } } }\n\
         routes: [{ name: all, path: /, respond: 204, auth: { any: keys, anonymous: guest } }]\n",
        GET,
        &["auth keys: stopped the request, consumer_unknown, the anonymous consumer guest is not known"],
    ),
    Row {
        there: There::Origin(|| {
            Origin::answering(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec())
        }),
        ..Row::gated(
            Reason::AuthorizationDenied,
            FORWARD_AUTH,
            GET,
            &["ended with 403", "auth own: stopped the request, authorization_denied"],
        )
    },
    Row::gated(
        Reason::AuthorizationUnavailable,
        FORWARD_AUTH,
        GET,
        &["ended with 503 from Tollgate", "auth own: stopped the request, authorization_unavailable"],
    ),
];

/// Signatures and logins.
pub(super) const PROOFS: &[Row] = &[
    Row::gated_by(
        Reason::SignatureMalformed,
        SIGNED,
        |t| {
            send(
                t,
                &Signed {
                    signature: "Signature-Input: sig1=(\r\nSignature: sig1=::\r\n".to_owned(),
                    ..signed()
                },
            )
        },
        &["auth signed: stopped the request, signature_malformed"],
    ),
    Row::gated_by(
        Reason::SignatureIncomplete,
        SIGNED,
        |t| send(t, &Signed::covering(&["@method"], "/", b"x", crate::gate::now(), "")),
        &["auth signed: stopped the request, signature_incomplete"],
    ),
    Row::gated_by(
        Reason::SignatureWrong,
        SIGNED,
        |t| send(t, &Signed { target: "/other".to_owned(), ..signed() }),
        &["auth signed: stopped the request, signature_wrong"],
    ),
    Row::gated_by(
        Reason::SignatureExpired,
        SIGNED,
        |t| send(t, &Signed::new("/", b"x", crate::gate::now() - 1000, "n1")),
        &["auth signed: stopped the request, signature_expired"],
    ),
    Row::gated_by(
        Reason::SignatureReplayed,
        SIGNED,
        |t| {
            let signed = signed();
            send(t, &signed);
            send(t, &signed)
        },
        &["auth signed: stopped the request, signature_replayed, its nonce was used before"],
    ),
    Row {
        there: There::Origin(|| Origin::saying("ok")),
        ..Row::gated_by(
            Reason::DigestWrong,
            SIGNED_ON,
            |t| send(t, &Signed { body: b"amount=9".to_vec(), ..signed() }),
            &["ended with 400 from Tollgate", "auth signed: stopped the request, digest_wrong"],
        )
    },
    Row::gated(Reason::LoginRequired, LOGIN, PAGE, &["302 from Tollgate"]),
    Row::gated(
        Reason::LoginFailed,
        LOGIN,
        "GET /oauth2/callback?code=a&state=b HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\n\r\n",
        &["400 from Tollgate", "login_failed, no login of this state is under way in this browser"],
    ),
    Row::gated_by(Reason::LoggedIn, LOGIN, log_in, &["302 from Tollgate"]),
    Row::gated(
        Reason::LoggedOut,
        LOGIN,
        "GET /oauth2/logout HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\n\r\n",
        &["302 from Tollgate"],
    ),
];

/// A request to `/` with these fields.
macro_rules! asking {
    ($line:literal, $fields:literal) => {
        concat!($line, " HTTP/1.1\r\nHost: a.example\r\n", $fields, "\r\n")
    };
}

/// What they may do, how much, in what shape.
pub(super) const RULES: &[Row] = &[
    Row::gated(
        Reason::DeniedByRule,
        "routes: [{ name: all, path: /, respond: 204, access: { deny: [{ if: 'method == \"GET\"' }] } }]\n",
        GET,
        &["ended with 403 from Tollgate", "access: stopped the request, denied_by_rule"],
    ),
    Row::gated(
        Reason::NotAllowed,
        "routes: [{ name: all, path: /, respond: 204, access: { allow: [{ group: staff }] } }]\n",
        GET,
        &["access: stopped the request, not_allowed"],
    ),
    Row::gated(
        Reason::RuleFailed,
        "routes: [{ name: all, path: /, respond: 204, allow_if: 'int(headers[\"x-level\"]) > 3' }]\n",
        asking!("GET /", "X-Level: high\r\n"),
        &["stopped the request, rule_failed"],
    ),
    Row::gated(
        Reason::AddressDenied,
        "routes: [{ name: all, path: /, respond: 204, addresses: { deny: [127.0.0.0/8] } }]\n",
        GET,
        &["addresses: stopped the request, address_denied"],
    ),
    Row::gated(
        Reason::FaultInjected,
        "routes: [{ name: all, path: /, respond: 204, fault: { abort: 503 } }]\n",
        asking!("GET /", ""),
        &["fault: stopped the request, fault_injected, status 503 on purpose"],
    ),
    Row::gated(
        Reason::CrossSite,
        "routes: [{ name: all, path: /, respond: 204, csrf: true }]\n",
        asking!("POST /", "Content-Length: 0\r\nSec-Fetch-Site: cross-site\r\n"),
        &["csrf: stopped the request, cross_site, Sec-Fetch-Site is cross-site"],
    ),
    Row::gated(
        Reason::CorsPreflight,
        "routes: [{ name: all, path: /, respond: 204, cors: \"https://app.example\" }]\n",
        asking!("OPTIONS /", "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n"),
        &["204 from Tollgate"],
    ),
    Row::gated(
        Reason::MethodNotAllowed,
        "routes: [{ name: all, path: /, respond: 204, request_limits: { methods: [GET] } }]\n",
        asking!("DELETE /", ""),
        &["ended with 405 from Tollgate", "request_limits: stopped the request, method_not_allowed"],
    ),
    Row::gated(
        Reason::ContentTypeNotAllowed,
        "routes: [{ name: all, path: /, respond: 204, request_limits: { content_types: application/json } }]\n",
        asking!("POST /", "Content-Length: 1\r\nContent-Type: text/xml\r\n"),
        &["ended with 415 from Tollgate", "request_limits: stopped the request, content_type_not_allowed"],
    ),
    Row::gated_by(
        Reason::RateLimited,
        "routes: [{ name: all, path: /, respond: 204, rate_limit: 1/h }]\n",
        second,
        &["ended with 429 from Tollgate", "rate_limit: stopped the request, rate_limited"],
    ),
    Row {
        there: There::Origin(|| Origin::start(|connection| drop((connection.request(), connection.rest())))),
        ..Row::gated_by(
            Reason::ConcurrencyLimited,
            "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, concurrency_limit: 1 }]\n",
            beside_another,
            &["ended with 429 from Tollgate", "concurrency_limit: stopped the request, concurrency_limited"],
        )
    },
    Row::gated_by(
        Reason::QuotaExceeded,
        "data_dir: \"{directory}/data\"\nroutes: [{ name: all, path: /, respond: 204, quota: { limit: 1, per: month, by: address } }]\n",
        second,
        &["ended with 429 from Tollgate", "quota: stopped the request, quota_exceeded"],
    ),
];

fn second(tollgate: &Tollgate) -> Option<String> {
    assert_eq!(tollgate.request(GET).status, 204);
    id_of(&tollgate.request(GET))
}

/// Two requests, neither of which would ever be answered by the origin.
fn beside_another(tollgate: &Tollgate) -> Option<String> {
    let mut holders: Vec<_> = (0..2).map(|_| tollgate.connect()).collect();
    holders.iter_mut().for_each(|client| client.send(GET));
    // One of them is refused, whichever came second; both stay.
    std::mem::forget(holders);
    None
}
