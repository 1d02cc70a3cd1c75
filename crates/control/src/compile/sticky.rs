//! Sessions that are kept at their endpoints.

use std::fmt;
use std::sync::Arc;

use tollgate_config::{self as config, SameSite, SecureCookie, SessionCarrier, StickyCookie, Switch};
use tollgate_credentials::session_token::SessionTokens;
use tollgate_proxy::snapshot::{Carrier, Sessions, Sticky};
use tollgate_runtime::random::unguessable;

use super::Compiler;

/// Bytes of the process's own key.
const OWN_KEY: usize = 32;

/// The key of sessions for which the document has none: made with the first of them, kept over reloads, and known to one
/// other process at most, the one that takes this one's place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SessionKey(Option<Arc<[u8; OWN_KEY]>>);

impl fmt::Debug for SessionKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&self.0.is_some()).finish()
    }
}

impl SessionKey {
    /// Its bytes, for the process that takes this one's place; none where there was no need for one.
    pub fn save(&self) -> Vec<u8> {
        self.0.as_ref().map_or_else(Vec::new, |key| key.to_vec())
    }

    /// The key that was saved; none of anything else.
    pub(super) fn restore(saved: &[u8]) -> Self {
        Self(saved.try_into().ok().map(Arc::new))
    }

    fn get(&mut self) -> std::io::Result<Arc<[u8; OWN_KEY]>> {
        if let Some(key) = &self.0 {
            return Ok(key.clone());
        }
        let mut key = [0; OWN_KEY];
        unguessable(&mut key)?;
        Ok(self.0.insert(Arc::new(key)).clone())
    }
}

impl Compiler<'_> {
    /// Which sessions the exchanges of a route belong to.
    pub(super) fn sessions(&mut self, route: &config::Route) -> Sessions {
        match route.forwarding.sticky.as_ref().map(|sticky| &*sticky.value) {
            None => Sessions::OfUpstream,
            Some(Switch::Off) => Sessions::None,
            Some(Switch::On(sticky)) => self.sticky(sticky).map_or(Sessions::None, Sessions::Own),
        }
    }

    /// How sessions are kept; `None` after a finding.
    pub(super) fn sticky(&mut self, sticky: &config::Sticky) -> Option<Arc<Sticky>> {
        let lifetime_s = sticky.lifetime.map(|lifetime| lifetime.get().as_secs().max(1));
        let (name, carrier) = match &sticky.carrier {
            SessionCarrier::Cookie(cookie) => {
                let attributes = attributes(cookie, lifetime_s).into();
                let secure = match cookie.secure.value {
                    SecureCookie::Auto => None,
                    SecureCookie::Set(secure) => Some(secure),
                };
                let name = cookie.name.value.as_str();
                (name.to_owned(), Carrier::Cookie { name: name.into(), attributes, secure })
            }
            // Of a header the case does not matter, so it does not to tokens either.
            SessionCarrier::Header(name) => {
                let name = name.value.as_ref();
                (name.to_ascii_lowercase(), Carrier::Header(name.into()))
            }
        };
        let tokens = match sticky.keys.is_empty() {
            true => match self.carried.session_key.get() {
                Ok(own) => SessionTokens::new(&name, &[*own]),
                Err(_) => {
                    let message = "the machine gives no random numbers for the key of sessions";
                    self.diagnostics.push(config::Diagnostic::error(config::Origin::start_of(0), message));
                    return None;
                }
            },
            false => {
                let keys: Vec<&[u8]> = sticky.keys.iter().map(|key| key.value.reveal()).collect();
                SessionTokens::new(&name, &keys)
            }
        };
        // The document was checked for what else may be wrong with keys.
        let drain_ms = sticky.drain.get().as_millis() as u64;
        Some(Arc::new(Sticky {
            carrier,
            tokens: tokens.ok()?,
            lifetime_s,
            drain_ms,
            private: sticky.nocache,
        }))
    }
}

/// The attributes of a cookie (RFC 6265bis section 4.1.2), but `Secure`.
fn attributes(cookie: &StickyCookie, lifetime_s: Option<u64>) -> String {
    let mut text = format!("; Path={}", cookie.path.value.as_str());
    if let Some(domain) = &cookie.domain {
        text += &format!("; Domain={}", domain.value);
    }
    if let Some(lifetime_s) = lifetime_s {
        text += &format!("; Max-Age={lifetime_s}");
    }
    if cookie.http_only {
        text += "; HttpOnly";
    }
    text + match cookie.same_site.value {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    }
}
