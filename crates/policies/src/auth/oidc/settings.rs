//! What a login is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tollgate_credentials::jwt::Keys;
use tollgate_outbound::HttpClient;
use tollgate_outbound::jwks::KeySource;
use tollgate_outbound::oidc::Provider;
use tollgate_outbound::source::Source;

use super::refreshes::Refreshes;
use crate::auth::HandedOn;

/// How browsers log in.
#[derive(Clone)]
pub struct Settings {
    /// What the document calls the method.
    pub name: String,
    /// The provider's name, to the letter: `iss` of its tokens.
    pub issuer: String,
    /// What the provider calls us.
    pub client_id: String,
    /// The secret that goes with it; `None`: a public client.
    pub client_secret: Option<String>,
    /// What is asked for; `openid` is among it.
    pub scopes: Vec<String>,
    /// Where browsers come back to: a path on the host that they came to, or a URL of that host, where TLS ends
    /// before us and the scheme is not the connection's.
    pub callback: String,
    /// The path that ends the login; `None`: there is none.
    pub logout: Option<String>,
    /// Where browsers go after that: a path, or a URL. The provider must know it.
    pub after_logout: String,
    /// The cookies.
    pub cookie: CookieSettings,
    /// What becomes of the tokens.
    pub tokens: TokenSettings,
    /// The path of the claim that names the consumer, by its credential of the kind `Subject`.
    pub consumer: String,
    /// Claims for the origin.
    pub claims_to_headers: HandedOn,
    /// How long the provider may take to answer.
    pub timeout: Duration,
    /// How far the provider's clock may be off, in seconds.
    pub clock_skew_s: u64,
}

/// How the cookies of a login are.
#[derive(Clone)]
pub struct CookieSettings {
    /// The name of the session's. `None`: `__Host-tollgate`, which browsers take only over https and for this host
    /// only, or `tollgate` where it is not `secure`.
    pub name: Option<String>,
    /// Secrets of 32 bytes at least. The first one seals, all open.
    pub secrets: Vec<Vec<u8>>,
    /// How long a login lasts, in seconds, refreshed or not.
    pub lifetime_s: u64,
    /// Whether requests that begin on other sites have the session's.
    pub same_site: SameSite,
    /// Whether browsers send them over https only.
    pub secure: bool,
}

/// Whether requests that begin on other sites have a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never, not even when a link is followed.
    Strict,
    /// Only when a link is followed.
    Lax,
    /// Always.
    None,
}

/// What becomes of the tokens of a login. All that is kept is in the session's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Whether the refresh token is kept, and used when the others have expired.
    pub refresh: bool,
    /// Whether the access token is kept, and origins get it in `Authorization`.
    pub forward_access: bool,
    /// Whether the ID token is kept, and the provider gets it back at the end (`id_token_hint`): most ask users to
    /// confirm that they log out without it. It makes the cookie larger.
    pub hint_at_logout: bool,
}

/// What it needs from outside.
#[derive(Clone)]
pub struct Outside {
    /// Calls the provider.
    pub client: HttpClient,
    /// The provider's description.
    pub provider: Source<Provider>,
    /// The provider's keys.
    pub keys: KeySource<Keys>,
    /// Refreshes under way. They outlive the method: a reload hands in the same ones.
    pub refreshes: Arc<Refreshes>,
    /// Fills in random bytes, fit for keys.
    pub random: Arc<dyn Fn(&mut [u8]) + Send + Sync>,
}

impl Settings {
    /// A login with the usual paths, cookies for eight hours, and refreshing.
    pub fn new(name: &str, issuer: &str, client_id: &str, secrets: Vec<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: None,
            scopes: vec!["openid".to_owned()],
            callback: "/oauth2/callback".to_owned(),
            logout: Some("/oauth2/logout".to_owned()),
            after_logout: "/".to_owned(),
            cookie: CookieSettings {
                name: None,
                secrets,
                lifetime_s: 8 * 3600,
                same_site: SameSite::Lax,
                secure: true,
            },
            tokens: TokenSettings { refresh: true, forward_access: false, hint_at_logout: false },
            consumer: "sub".to_owned(),
            claims_to_headers: HandedOn::default(),
            timeout: Duration::from_secs(5),
            clock_skew_s: 60,
        }
    }
}

impl fmt::Debug for Settings {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CookieSettings {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("provider", &self.provider).finish_non_exhaustive()
    }
}
