//! Sessions: requests of one client that go to one endpoint.

use serde_json::Value as Json;

use super::SameSite;
use crate::section::{choice, section};
use crate::setting::{Decoder, Many, Setting};
use crate::shape::Shape;
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{CookieName, Duration, HeaderName, KeySecret, PathPattern};

section! {
    /// Requests of one session go to one endpoint for as long as that is there.
    pub struct Sticky {
        /// What carries the session.
        carrier: SessionCarrier = choice;
        /// How long a session lasts from its beginning on. If left out, as long as the browser keeps the cookie, or the
        /// client the header.
        lifetime: Option<Duration<1>> = optional;
        /// Keys of 32 bytes at least, the same in all instances. The first one signs, all verify: to change it, put the new
        /// one first. Left out, sessions end with the process.
        keys ("key" | "keys"): Many<Located<KeySecret>> = default(Many::none());
        /// How long an endpoint that is drained goes on to serve the sessions that it has.
        drain: Duration<0> = default(Duration::seconds(300));
        /// Adds `Cache-Control: private` to the responses that begin or move a session, so that no shared cache gives one
        /// client's session to others.
        nocache: bool = default(false);
    }
}

choice! {
    /// What carries a session.
    pub enum SessionCarrier {
        /// A cookie: its name, or the long form.
        Cookie("cookie"): StickyCookie;
        /// A response header, which the client sends back as a request header.
        Header("header"): Located<HeaderName>;
    }
}

section! {
    /// A cookie that carries a session.
    pub struct StickyCookie short "name" {
        /// Its name.
        name: Located<CookieName> = default(Located::nowhere(CookieName::sticky()));
        /// The paths that browsers send it to: this one and all below.
        path: Located<PathPattern> = default(Located::nowhere(PathPattern::of("/")));
        /// Browsers send it to this domain and all below; to the host that set it alone if left out.
        domain: Option<Located<String>> = optional;
        /// Whether browsers send it over https only: `auto` where it was set over TLS, `true`, or `false`.
        secure: Located<SecureCookie> = default(Located::nowhere(SecureCookie::Auto));
        /// Whether it is hidden from scripts.
        http_only: bool = default(true);
        /// Whether requests that begin on other sites have it.
        same_site: Located<SameSite> = default(Located::nowhere(SameSite::Lax));
    }
}

/// Whether browsers send a cookie over https only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecureCookie {
    /// Where it was set over TLS.
    Auto,
    /// Always, or never.
    Set(bool),
}

impl Setting for SecureCookie {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.text.as_str() == "auto" => Some(Self::Auto),
            _ => bool::decode(node, decoder).map(Self::Set),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::text("auto"), Shape::Boolean])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Auto => "auto".into(),
            Self::Set(secure) => secure.encode(),
        }
    }
}
