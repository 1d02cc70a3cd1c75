//! Bearer tokens (RFC 6750): what is common to those that are verified here and those that are asked about.

use std::sync::Arc;

use serde_json::Value as Json;
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Asked, Caller, Claims, CredentialKind, Gate, Refused};

use super::places::{Places, Shown};
use super::{Finding, HandedOn};

/// What a document sets for tokens of all kinds.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// What the document calls the method.
    pub name: Arc<str>,
    /// Where a token may be. The first place that holds something counts.
    pub places: Places,
    /// Whether the origin gets the token too.
    pub forward: bool,
    /// The claim that names the consumer, by its credential [`CredentialKind::Subject`].
    pub consumer: String,
    /// Whether a token that names no consumer is refused.
    pub consumer_required: bool,
    /// The claims that origins are told of.
    pub claims: HandedOn,
    /// The protection space that callers are told of.
    pub realm: String,
    /// Where callers read how to get a token (RFC 9728 section 5.1).
    pub resource_metadata: Option<String>,
}

impl TokenSettings {
    /// Of a method of this name, as a document that sets nothing: `Authorization: Bearer …`, forwarded, consumers
    /// by `sub`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            places: Places::bearer(),
            forward: true,
            consumer: "sub".to_owned(),
            consumer_required: false,
            claims: HandedOn::default(),
            realm: "tollgate".to_owned(),
            resource_metadata: None,
        }
    }

    /// The token of a request. `Err` where there is none that could be looked at.
    pub(super) fn find<'a>(&self, asked: &Asked<'a>) -> Result<std::borrow::Cow<'a, [u8]>, Finding> {
        match self.places.first(asked) {
            Shown::Nothing => Err(Finding::Absent),
            Shown::Unclear(why) => Err(refused(Reason::CredentialMalformed, why)),
            Shown::One(token) if token.is_empty() => {
                Err(refused(Reason::CredentialMalformed, "there is no token behind the scheme"))
            }
            Shown::One(token) => Ok(token),
        }
    }

    /// Who a good token names.
    pub(super) fn accept(&self, asked: &Asked<'_>, gate: &mut Gate, token: &Good) -> Finding {
        let named = token.consumer.as_deref();
        let consumer = named.and_then(|name| asked.consumers.find(CredentialKind::Subject, name.as_bytes()));
        if consumer.is_none() && self.consumer_required {
            let note = match named {
                Some(name) => format!("no consumer has the subject {name:?}"),
                None => format!("the token has no claim `{}` that is a name", self.consumer),
            };
            return refused(Reason::ConsumerUnknown, note);
        }
        gate.request.extend(&token.fields);
        if !self.forward {
            self.places.take_away(asked, gate);
        }
        Finding::Known(Caller {
            consumer: consumer.map(|(consumer, _)| consumer.clone()),
            subject: token.subject.clone(),
            auth: self.name.clone(),
            claims: Some(token.claims.clone()),
            anonymous: false,
        })
    }

    /// Section 3. Only for tokens is an error told, and only the one: which it is would help to guess.
    pub(super) fn challenge(&self, reason: Reason) -> Option<String> {
        let mut challenge = realm("Bearer", &self.realm);
        if is_of_token(reason) {
            challenge.push_str(", error=\"invalid_token\"");
        }
        if let Some(url) = &self.resource_metadata {
            challenge.push_str(", resource_metadata=");
            push_quoted(&mut challenge, url);
        }
        Some(challenge)
    }
}

/// A token that was found good, and what is made of it for each request that shows it.
#[derive(Debug)]
pub struct Good {
    claims: Arc<Claims>,
    subject: Option<Arc<str>>,
    consumer: Option<Box<str>>,
    /// What origins are told.
    fields: Edits,
}

impl Good {
    /// Of these claims.
    pub(super) fn new(claims: Claims, settings: &TokenSettings) -> Result<Self, Refused> {
        let caller = Caller { claims: Some(Arc::new(claims)), ..Caller::default() };
        let consumer = caller.claim(&settings.consumer).and_then(name_of);
        let subject = caller.claim("sub").and_then(name_of).or_else(|| consumer.clone());
        let mut fields = Edits::default();
        if let Err(claim) = settings.claims.write(&mut fields, &caller) {
            let note = format!("the claim `{claim}` cannot stand in a field");
            return Err(Refused::because(Reason::TokenClaims, note));
        }
        let claims = caller.claims.unwrap_or_default();
        let (consumer, subject) = (consumer.map(Into::into), subject.map(Into::into));
        Ok(Self { claims, subject, consumer, fields })
    }
}

/// Some issuers number their subjects.
fn name_of(claim: &Json) -> Option<String> {
    match claim {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

fn is_of_token(reason: Reason) -> bool {
    use Reason::*;
    matches!(
        reason,
        TokenMalformed
            | TokenAlgorithm
            | TokenKeyUnknown
            | TokenSignature
            | TokenExpired
            | TokenNotYetValid
            | TokenIssuer
            | TokenAudience
            | TokenClaims
            | TokenInactive
    )
}

pub(super) fn refused(reason: Reason, note: impl Into<std::borrow::Cow<'static, str>>) -> Finding {
    Finding::Refused(Refused::because(reason, note))
}

/// The beginning of a challenge: a scheme and its realm (RFC 9110 section 11.5).
pub(super) fn realm(scheme: &str, realm: &str) -> String {
    let mut challenge = format!("{scheme} realm=");
    push_quoted(&mut challenge, realm);
    challenge
}

/// A quoted string (RFC 9110 section 5.6.4). What cannot stand in one is left out.
fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}
