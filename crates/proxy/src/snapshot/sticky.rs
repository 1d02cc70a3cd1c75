//! Sessions that are kept at their endpoints: what carries them, and how long.

use std::sync::Arc;

use tollgate_credentials::session_token::SessionTokens;

use super::{RouteSettings, Snapshot};

/// How sessions are kept.
#[derive(Debug)]
pub struct Sticky {
    /// What carries the token.
    pub carrier: Carrier,
    /// Signs and verifies tokens.
    pub tokens: SessionTokens,
    /// How many seconds a session lasts from its beginning on; `None` for as long as the client keeps its token.
    pub lifetime_s: Option<u64>,
    /// How long a drained endpoint keeps its sessions, in milliseconds.
    pub drain_ms: u64,
    /// Responses with a new token say that they are for one client only.
    pub private: bool,
}

/// What carries the token of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its attributes but `Secure` as they are written behind its value, the first `;` included.
        attributes: Box<str>,
        /// Whether it is `Secure`; `None` for where it is set over TLS.
        secure: Option<bool>,
    },
    /// A header of this name, in responses and requests.
    Header(Box<str>),
}

/// Which sessions a route's exchanges belong to.
#[derive(Clone, Debug, Default)]
pub enum Sessions {
    /// Those of their upstream, if it keeps any.
    #[default]
    OfUpstream,
    /// None.
    None,
    /// The route's own.
    Own(Arc<Sticky>),
}

impl Snapshot {
    /// How the sessions of a route's exchanges at an upstream are kept; `None` where they are not.
    #[inline]
    pub fn sticky<'a>(&'a self, settings: &'a RouteSettings, upstream: u32) -> Option<&'a Sticky> {
        match &settings.sessions {
            Sessions::OfUpstream => self.keys.get(upstream as usize)?.sticky.as_deref(),
            Sessions::None => None,
            Sessions::Own(sticky) => Some(sticky),
        }
    }
}
