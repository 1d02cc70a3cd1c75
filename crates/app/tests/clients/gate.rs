//! The gate with browsers, services and makers of credentials that nobody here wrote.

mod browser;
mod forward;
mod login;
mod proofs;
mod services;

use serde_json::json;
use tollgate_testkit::{OidcProvider, Origin, Request, Tollgate};

/// What the provider calls Tollgate.
const CLIENT: &str = "tollgate";
/// A user of the provider.
const USER: &str = "alice";

/// What documents with a login have in common: `page` needs one, `/bye` does not.
const LOGIN: &str = "\
consumers: { alice: { groups: [staff], credentials: [{ subject: \"alice@shop.example\" }] } }
auth:
  web:
    oidc:
      issuer: \"{issuer}\"{more}
      client_id: tollgate
      client_secret: the-secret-of-the-client
      scopes: [openid, profile]
      after_logout: /bye
      consumer: email
      claims_to_headers: { X-Mail: email }
      cookie: {cookie}
routes:
  - { path: /bye, to: \"http://{origin}\" }
  - { path: /, to: \"http://{origin}\", auth: { any: [web], identity_headers: { consumer: X-Consumer, groups: X-Groups, subject: X-Subject, auth: X-Auth } } }
";

/// Secrets of cookies are of 32 bytes at least.
const SEALING: &str = "0123456789abcdef0123456789abcdef";

/// Gives a provider its one user.
fn with_user(provider: OidcProvider) -> OidcProvider {
    provider.add_user(USER, "the password", json!({ "email": "alice@shop.example" }));
    provider
}

/// Makes a provider know a site.
fn register(provider: &OidcProvider, site: &str) {
    let [callback, bye] = ["/oauth2/callback", "/bye"].map(|path| format!("{site}{path}"));
    provider.register(CLIENT, "the-secret-of-the-client", &[&callback, &bye]);
}

/// An origin that tells what it was told: the target, and the fields of the gate that are there.
fn telling() -> Origin {
    Origin::answering(|request| {
        let body = told(request);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    })
}

fn told(request: &Request) -> String {
    let mut told = request.target().to_owned();
    for name in request.names() {
        let is_told =
            name.to_ascii_lowercase().starts_with("x-") && !name.eq_ignore_ascii_case("x-request-id");
        let is_told = is_told && !name.to_ascii_lowercase().starts_with("x-forwarded-");
        if is_told || ["cookie", "authorization", "host"].iter().any(|known| name.eq_ignore_ascii_case(known))
        {
            let value = request.all(name).join(",");
            told.push_str(&format!("\n{}={value}", name.to_ascii_lowercase()));
        }
    }
    told
}

/// How many exchanges ended for a reason.
fn ended(tollgate: &Tollgate, reason: &str, side: &str) -> f64 {
    tollgate.metric(&series(reason, side))
}

fn series(reason: &str, side: &str) -> String {
    format!("tollgate_exchanges_total{{reason=\"{reason}\",side=\"{side}\"}}")
}
