//! Cross-origin resource sharing: which pages' scripts may read what comes back (the CORS protocol of the WHATWG's
//! fetch standard, with the settings of the Gateway API).
//!
//! Preflights are answered here, before anybody asks who sends them: a browser sends them without credentials.
//! On all other requests the fields go on the response, whoever makes it, so that a page can also read a refusal;
//! what the origin itself says of CORS is removed, since two voices would contradict each other. A request
//! is never refused here: the protocol has the browser do that. Refusing what comes from foreign pages
//! is what [`csrf`](crate::csrf) is for.

mod settings;

use std::borrow::Cow;

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_message::{Known, Method};
use tollgate_policy::{Answer, Asked, Gate, Policy, Resolution, Stage, Verdict};

use crate::origin::OriginSet;
use crate::unusable::is_token;
pub use settings::Settings;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const REQUEST_METHOD: &[u8] = b"access-control-request-method";
const REQUEST_HEADERS: &[u8] = b"access-control-request-headers";

/// The most bytes of names that are echoed in one answer.
const MAX_ECHO: usize = 4 * 1024;

/// The policy.
#[derive(Debug)]
pub struct Cors {
    origins: OriginSet,
    /// Every response says `*`, to whomever.
    is_open: bool,
    methods: Allowed,
    headers: Allowed,
    /// On all responses but preflights' answers.
    always: Edits,
    /// On the responses to the pages that may read them.
    matched: Edits,
    /// On all answers to preflights.
    preflight: Edits,
    /// On the answers to preflights of the pages that may ask.
    preflight_matched: Edits,
}

/// What is said to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// This, the same each time.
    Listed,
    /// What the preflight asks for: `*` means nothing to a browser that sends credentials.
    Asked,
}

impl Policy for Cors {
    fn name(&self) -> &str {
        "cors"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        if let Some(method) = preflight_method(asked) {
            return Verdict::Answer(Box::new(self.preflight(asked, method)));
        }
        gate.response.extend(&self.always);
        if self.is_open {
            gate.response.extend(&self.matched);
        } else if let Some(origin) = self.matching(asked) {
            gate.response.extend(&self.matched);
            gate.response.add_with(ALLOW_ORIGIN, |out| out.extend_from_slice(origin));
        }
        Verdict::CONTINUE
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

impl Cors {
    fn preflight(&self, asked: &Asked<'_>, method: &[u8]) -> Answer {
        let reason = Some(Reason::CorsPreflight);
        let answer = |fields, note: Option<Cow<'static, str>>| Answer {
            reason,
            status: Reason::CorsPreflight.status(),
            fields,
            note,
            ..Answer::default()
        };
        let mut fields = self.preflight.clone();
        let origin = if self.is_open { Some(&b"*"[..]) } else { self.matching(asked) };
        let Some(origin) = origin else { return answer(fields, Some("the origin is not allowed".into())) };
        if !is_token(method) {
            return answer(fields, Some("the method that is asked for is not a method".into()));
        }
        fields.extend(&self.preflight_matched);
        fields.add_with(ALLOW_ORIGIN, |out| out.extend_from_slice(origin));
        if self.methods == Allowed::Asked {
            fields.add_with("Access-Control-Allow-Methods", |out| out.extend_from_slice(method));
        }
        let names = if self.headers == Allowed::Asked { asked_headers(asked) } else { None };
        if let Some(names) = names {
            fields.add_with("Access-Control-Allow-Headers", |out| out.extend_from_slice(&names));
        }
        answer(fields, None)
    }

    /// The request's origin as it was spelled, if it is one that may read responses. Of several nobody knows which
    /// one the browser means.
    fn matching<'a>(&self, asked: &Asked<'a>) -> Option<&'a [u8]> {
        let mut origins = asked.fields.all(Known::Origin);
        let origin = asked.fields.has(Known::Origin).then(|| origins.next()).flatten()?;
        (origins.next().is_none() && self.origins.contains(origin)).then_some(origin)
    }
}

/// The method that a preflight asks for; `None` for any other request.
fn preflight_method<'a>(asked: &Asked<'a>) -> Option<&'a [u8]> {
    let may_be = asked.method == Method::Options && asked.fields.has(Known::Origin);
    may_be.then(|| asked.fields.get_by_name(REQUEST_METHOD)).flatten()
}

/// The names of fields that a preflight asks for; `None` for none, or if one of them is no name.
fn asked_headers(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let mut names = Vec::new();
    for (_, list, _) in asked.fields.iter().filter(|(name, _, _)| name.eq_ignore_ascii_case(REQUEST_HEADERS))
    {
        for name in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
            if !is_token(name) || names.len() + name.len() > MAX_ECHO {
                return None;
            }
            if !names.is_empty() {
                names.extend_from_slice(b", ");
            }
            names.extend_from_slice(name);
        }
    }
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
