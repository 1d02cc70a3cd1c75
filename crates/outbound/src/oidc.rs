//! The description of an OpenID provider (OpenID Connect Discovery 1.0), kept fresh.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::Deserialize;

use crate::client::HttpClient;
use crate::message::Request;
use crate::source::{FetchError, Fetched, Freshness, OnEvent, Source, max_age};
use crate::url::{Scheme, Url, UrlError};

/// The longest description that is read.
const DESCRIPTION_MAX: usize = 64 * 1024;

/// Redirections that are followed.
const REDIRECTS_MAX: u8 = 3;

/// An issuer's name, which is an address, too: `https`, or `http` at a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// As it was given: tokens have to name it so, to the letter.
    name: Box<str>,
    description: Url,
}

impl FromStr for Issuer {
    type Err = UrlError;

    fn from_str(name: &str) -> Result<Self, UrlError> {
        let url: Url = name.parse()?;
        if !is_safe(&url) {
            return Err(UrlError::insecure());
        }
        // OpenID Connect Core section 2.
        if url.target().contains('?') {
            return Err(UrlError::query());
        }
        let path = url.target().trim_end_matches('/');
        let description = url.with_target(&format!("{path}/.well-known/openid-configuration"))?;
        Ok(Self { name: name.into(), description })
    }
}

impl Issuer {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Where its description is (section 4.1).
    pub fn description(&self) -> &Url {
        &self.description
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether nobody on the way can change what is said there.
fn is_safe(url: &Url) -> bool {
    url.scheme() == Scheme::Https || url.is_loopback()
}

/// What a provider says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Where its keys are.
    pub jwks: Url,
    /// Where users agree.
    pub authorization: Option<Url>,
    /// Where codes become tokens.
    pub token: Option<Url>,
    /// Where users log out (RP-Initiated Logout 1.0).
    pub end_session: Option<Url>,
    /// Where tokens are asked about (RFC 7662).
    pub introspection: Option<Url>,
    /// Where tokens are taken back (RFC 7009).
    pub revocation: Option<Url>,
    /// Where claims about the user are.
    pub userinfo: Option<Url>,
    /// How clients prove who they are to the token end point, such as `client_secret_basic`. Empty where it does not
    /// say, which means that one.
    pub token_auth_methods: Vec<String>,
    /// Whether it names itself in the parameter `iss` of its answers to authorisation requests (RFC 9207).
    pub names_itself: bool,
}

/// Begins to fetch the description of an issuer, without holding up the caller.
pub fn fetch(
    client: &HttpClient,
    issuer: Issuer,
    freshness: Freshness,
    on_event: OnEvent,
) -> Source<Provider> {
    let for_fetch = client.clone();
    let fetch = Box::new(move || {
        let (client, issuer) = (for_fetch.clone(), issuer.clone());
        Box::pin(async move { fetch_once(&client, &issuer).await }) as _
    });
    Source::start(client, freshness, fetch, on_event)
}

pub(crate) async fn fetch_once(
    client: &HttpClient,
    issuer: &Issuer,
) -> Result<Fetched<Provider>, FetchError> {
    let request = Request::get(issuer.description.clone()).accept_json();
    let request = request.redirects(REDIRECTS_MAX).body_max(DESCRIPTION_MAX);
    let response = client.call(request).await.map_err(FetchError::Call)?;
    if response.status != StatusCode::OK {
        return Err(FetchError::Status(response.status.as_u16()));
    }
    let value = parse(&response.body, issuer).map_err(|why| FetchError::Content(why.into()))?;
    Ok(Fetched { value, raw: response.body, max_age: max_age(&response.headers) })
}

/// Section 3, what of it is used here.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

fn parse(body: &[u8], issuer: &Issuer) -> Result<Provider, String> {
    let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    // Section 4.3: else one provider could speak for another.
    if document.issuer != *issuer.name {
        return Err(format!("it describes another issuer than {issuer}"));
    }
    let url = |name: &str, text: String| {
        let url: Url = text.parse().map_err(|why| format!("{name}: {why}"))?;
        if is_safe(&url) { Ok(url) } else { Err(format!("{name}: {}", UrlError::insecure())) }
    };
    let optional = |name: &str, text: Option<String>| text.map(|text| url(name, text)).transpose();
    Ok(Provider {
        jwks: url("jwks_uri", document.jwks_uri)?,
        authorization: optional("authorization_endpoint", document.authorization_endpoint)?,
        token: optional("token_endpoint", document.token_endpoint)?,
        end_session: optional("end_session_endpoint", document.end_session_endpoint)?,
        introspection: optional("introspection_endpoint", document.introspection_endpoint)?,
        revocation: optional("revocation_endpoint", document.revocation_endpoint)?,
        userinfo: optional("userinfo_endpoint", document.userinfo_endpoint)?,
        token_auth_methods: document.token_endpoint_auth_methods_supported.unwrap_or_default(),
        names_itself: document.authorization_response_iss_parameter_supported.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::{Issuer, parse};

    #[test]
    fn the_description_is_below_the_issuer() {
        let at = |text: &str| text.parse::<Issuer>().map(|issuer| issuer.description.to_string());
        let root = "https://id.example/.well-known/openid-configuration";
        assert_eq!(at("https://id.example").unwrap(), root);
        assert_eq!(at("https://id.example/").unwrap(), root);
        assert_eq!(
            at("https://id.example/a/").unwrap(),
            "https://id.example/a/.well-known/openid-configuration"
        );
        assert!(at("http://127.0.0.1:8080").is_ok());
        for text in ["http://id.example", "https://id.example/?x", "https://id.example/#x", "id.example"] {
            assert!(at(text).is_err(), "{text} was taken");
        }
        assert_eq!("https://id.example/".parse::<Issuer>().unwrap().as_str(), "https://id.example/");
    }

    #[test]
    fn descriptions_are_looked_at_closely() {
        let issuer: Issuer = "https://id.example".parse().unwrap();
        let of = |text: &str| parse(text.as_bytes(), &issuer);
        let least = of(r#"{"issuer":"https://id.example","jwks_uri":"https://k.example/"}"#).unwrap();
        assert_eq!((least.jwks.to_string().as_str(), least.token), ("https://k.example/", None));
        for (text, why) in [
            (r#"{"issuer":"https://id.example/","jwks_uri":"https://k.example/"}"#, "another issuer"),
            (r#"{"issuer":"https://id.example","jwks_uri":"http://k.example/"}"#, "jwks_uri"),
            (r#"{"issuer":"https://id.example","jwks_uri":"file:///etc/passwd"}"#, "jwks_uri"),
            (
                r#"{"issuer":"https://id.example","jwks_uri":"https://k.example/","token_endpoint":"http://t.example"}"#,
                "token_endpoint",
            ),
            (r#"{"issuer":"https://id.example"}"#, "jwks_uri"),
            ("<html>", "expected value"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
