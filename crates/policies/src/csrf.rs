//! Cross-site request forgery: a foreign page must not make a browser change something here with the
//! cookies that the browser adds.
//!
//! Browsers tell where a request comes from in `Sec-Fetch-Site` (W3C Fetch Metadata), older ones in `Origin`; neither
//! can be set by scripts. A request with neither is not a browser's, or one of a browser so old that it cannot be
//! helped, and passes: so does Go's `http.CrossOriginProtection`, while Envoy's filter refuses it, and with it all
//! programs that call an API.
//!
//! GET, HEAD and OPTIONS change nothing (RFC 9110 section 9.2.1) and pass, but for those that open a WebSocket: the
//! same-origin policy does not hold there, and whatever a foreign page then sends arrives with the cookies' powers.

use tollgate_decision::Reason;
use tollgate_message::{Known, Method};
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Verdict};

use crate::Unusable;
use crate::origin::{Origin, OriginSet};

const SEC_FETCH_SITE: &[u8] = b"sec-fetch-site";

/// Whose pages may send requests that change something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Pages of other sites: `https://pay.example`, or `https://*.example.com` for all names below it.
    pub trusted_origins: Vec<String>,
    /// Whether pages of the same site may: other hosts under the same registrable domain, and with them whoever
    /// can put a page on any of those.
    pub same_site: bool,
}

/// The policy.
#[derive(Debug)]
pub struct Csrf {
    trusted: OriginSet,
    same_site: bool,
}

impl Csrf {
    /// The policy of these settings.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let trusted = OriginSet::new("trusted_origins", &settings.trusted_origins)?;
        if trusted.is_any() || trusted.has_null() {
            let of_nobody = |origin: &String| matches!(origin.as_str(), "*" | "null");
            let index = settings.trusted_origins.iter().position(of_nobody).unwrap_or_default();
            let problem = "`*` and `null` would trust every page: leave the policy out instead";
            return Err(Unusable::new("trusted_origins", index, problem));
        }
        Ok(Self { trusted, same_site: settings.same_site })
    }

    /// What is wrong with where the request comes from.
    fn objection(&self, asked: &Asked<'_>) -> Option<&'static str> {
        let origin = match only(asked.fields.all(Known::Origin)) {
            Ok(origin) => origin,
            Err(()) => return Some("several Origin fields"),
        };
        let named = asked.fields.iter().filter(|(name, _, _)| name.eq_ignore_ascii_case(SEC_FETCH_SITE));
        let Ok(site) = only(named.map(|(_, value, _)| value)) else {
            return Some("several Sec-Fetch-Site fields");
        };
        let objection = match (site, origin) {
            (Some(b"same-origin" | b"none"), _) | (None, None) => return None,
            (Some(b"same-site"), _) if self.same_site => return None,
            (Some(b"same-site"), _) => "Sec-Fetch-Site is same-site",
            (Some(b"cross-site"), _) => "Sec-Fetch-Site is cross-site",
            (Some(_), _) => "Sec-Fetch-Site has a value that it cannot have",
            (None, Some(origin)) if is_own(asked, origin) => return None,
            (None, Some(_)) => "Origin is another than the request's",
        };
        (!origin.is_some_and(|origin| self.trusted.contains(origin))).then_some(objection)
    }
}

impl Policy for Csrf {
    fn name(&self) -> &str {
        "csrf"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn decide(&self, asked: &Asked<'_>, _: &mut Gate, _: Option<Resolution>) -> Verdict {
        let is_safe = matches!(asked.method, Method::Get | Method::Head | Method::Options);
        if is_safe && !asked.fields.has(Known::Upgrade) {
            return Verdict::CONTINUE;
        }
        match self.objection(asked) {
            None => Verdict::CONTINUE,
            Some(objection) => Verdict::Refuse(Refused::because(Reason::CrossSite, objection)),
        }
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

/// Whether a page of this origin is one of the request's own host and port. A page that came over TLS may send
/// to a connection without: TLS then ended before us. The other way round, whoever sits on the network
/// could have written the page.
fn is_own(asked: &Asked<'_>, origin: &[u8]) -> bool {
    let Some(origin) = Origin::parse(origin) else { return false };
    let is_at_least_as_safe = match origin.scheme() {
        b"https" => true,
        scheme => scheme == asked.scheme().as_bytes(),
    };
    let own = Origin::of(origin.scheme(), asked.authority);
    is_at_least_as_safe && own.is_some_and(|own| own.host() == origin.host() && own.port() == origin.port())
}

/// The only value, `None` for none, and an error for several.
fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, ()> {
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

#[cfg(test)]
mod tests;
