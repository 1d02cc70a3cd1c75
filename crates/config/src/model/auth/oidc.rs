//! Login of browsers.

use crate::section::{section, words};
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, CookieName, Duration, FieldValue, FilePath, HeaderName, HttpUrl};
use crate::units::{KeySecret, PathPattern, ScopeName, Secret};

section! {
    /// Login of browsers at an OpenID provider (code flow with PKCE), kept in an encrypted cookie.
    pub struct OidcAuth {
        /// The provider; what it offers is found by `/.well-known/openid-configuration` below it.
        issuer: Located<HttpUrl> = required;
        /// What the provider calls Tollgate.
        client_id: FieldValue = required;
        /// The secret that goes with it; without one, Tollgate is a public client.
        client_secret: Option<Secret> = optional;
        /// What is asked for; `openid` must be among it.
        scopes: Many<Located<ScopeName>> = default(Many(vec![Located::nowhere(ScopeName::openid())]));
        /// The path that browsers come back to, on the host that they came to. The provider must know it.
        callback: PathPattern = default(PathPattern::of("/oauth2/callback"));
        /// The path that ends the login.
        logout: PathPattern = default(PathPattern::of("/oauth2/logout"));
        /// Where browsers go after that: a path, or a URL that the provider knows.
        after_logout: Located<FieldValue> = default(Located::nowhere(FieldValue::of("/")));
        /// The cookie that keeps the login.
        cookie: SessionCookie = required;
        /// The claim that names the consumer, by its credential `subject`.
        consumer: ClaimPath = default(ClaimPath::sub());
        /// Request headers for the upstream, and the claims they come from. What clients send under these names is
        /// removed.
        claims_to_headers: Table<HeaderName, ClaimPath> = default(Table::none());
        /// How long the provider may take to answer.
        timeout: Duration<1> = default(Duration::seconds(5));
        /// The authorities that may have issued the provider's certificate, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
    }
}

section! {
    /// A cookie that keeps a login.
    pub struct SessionCookie {
        /// Its name.
        name: CookieName = default(CookieName::session());
        /// Secrets of 32 bytes at least. The first one encrypts, all decrypt: to change it, put the new one first.
        secrets: Many<Located<KeySecret>> = required;
        /// How long a login lasts.
        lifetime: Duration<1> = default(Duration::seconds(8 * 3600));
        /// Whether requests that begin on other sites have the cookie.
        same_site: Located<SameSite> = default(Located::nowhere(SameSite::Lax));
        /// Whether browsers send it over https only.
        secure: Located<bool> = default(Located::nowhere(true));
    }
}

words! {
    /// Whether requests that begin on other sites have a cookie.
    pub enum SameSite {
        /// Never, not even when a link is followed.
        Strict = "strict";
        /// Only when a link is followed.
        Lax = "lax";
        /// Always.
        None = "none";
    }
}
