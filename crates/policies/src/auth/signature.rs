//! Requests that callers sign (HTTP Message Signatures, RFC 9421), each with a key of a consumer.
//!
//! A key is a consumer's credential of the kind `SigningKey`: its value is the key's id, its secret the key as
//! [`key::parse`] reads it. Where a signature covers `content-digest` (RFC 9530) and the request has a body, the
//! body is held and compared with it before the origin gets any of it.
//!
//! Signatures with a nonce are taken once, by the [`ReplayGuard`], which all routes and reloads share; with
//! [`Nonces::Required`] all are. Explaining a request uses none up.

mod body;
pub mod key;

use std::cell::OnceCell;
use std::sync::Arc;

use tollgate_credentials::signature::{
    Component, Rejection, ReplayGuard, Replayed, Request, Rules, Verified, verify,
};
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_message::BodyLength;
use tollgate_policy::{Asked, Caller, CredentialKind, Gate, Refused, Resolution};

use super::{Finding, Method, called};
use crate::Unusable;
use body::DigestedBody;
use key::KeyCache;

/// What a signature has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the document calls the method.
    pub name: String,
    /// What it has to cover; `content-digest` only of a request with a body.
    pub covered: Vec<String>,
    /// The greatest age, in seconds since `created`.
    pub max_age_s: u64,
    /// How far clocks may differ, in seconds.
    pub clock_skew_s: u64,
    /// What nonces mean.
    pub nonces: Nonces,
    /// The label of the signature that counts; `None`: there may be one only.
    pub label: Option<String>,
    /// The `tag` that it has to have; `None`: any or none.
    pub tag: Option<String>,
    /// Bytes of the longest body that is held to be compared with its digest; a longer one is refused.
    pub body_max: usize,
}

impl Settings {
    /// Five minutes of age, half a minute of skew, nonces taken once where they are, a mebibyte of body.
    pub fn new(name: impl Into<String>, covered: &[&str]) -> Self {
        Self {
            name: name.into(),
            covered: covered.iter().map(|id| (*id).to_owned()).collect(),
            max_age_s: 300,
            clock_skew_s: 30,
            nonces: Nonces::Once,
            label: None,
            tag: None,
            body_max: 1024 * 1024,
        }
    }
}

/// What is made of the `nonce` of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonces {
    /// There has to be one, and it is taken once.
    Required,
    /// One that is there is taken once.
    Once,
    /// Nothing: signatures can be used again while they are young enough.
    Ignored,
}

/// The method.
#[derive(Debug)]
pub struct Signature {
    name: Arc<str>,
    rules: Rules,
    nonces: Nonces,
    body_max: usize,
    guard: Arc<ReplayGuard>,
    keys: KeyCache,
}

impl Signature {
    /// The method of these settings. The guard outlives it: a reload hands in the same one.
    ///
    /// # Errors
    /// A component that cannot be covered.
    pub fn new(settings: &Settings, guard: Arc<ReplayGuard>) -> Result<Self, Unusable> {
        let mut covered = Vec::with_capacity(settings.covered.len());
        for (index, id) in settings.covered.iter().enumerate() {
            let component = Component::parse(id)
                .map_err(|why| Unusable::new("covered", index, format!("`{id}`: {why}")))?;
            covered.push(component);
        }
        let rules = Rules {
            covered,
            max_age: settings.max_age_s,
            clock_skew: settings.clock_skew_s,
            nonce_required: settings.nonces == Nonces::Required,
            label: settings.label.clone(),
            tag: settings.tag.clone(),
        };
        let (name, keys) = (settings.name.as_str().into(), KeyCache::default());
        Ok(Self { name, rules, nonces: settings.nonces, body_max: settings.body_max, guard, keys })
    }

    fn verify(&self, asked: &Asked<'_>) -> Result<(Verified, Caller), Refused> {
        let target = called::target(asked);
        let request = Request {
            method: asked.method_bytes,
            scheme: asked.scheme(),
            authority: asked.authority,
            target: &target,
            path: asked.path,
            query: asked.query,
            has_body: has_body(asked),
            fields: asked.fields,
        };
        let (found, mut unusable) = (OnceCell::new(), None);
        let by_id = |id: &str| {
            let (consumer, text) = asked.consumers.find(CredentialKind::SigningKey, id.as_bytes())?;
            match self.keys.get(text?) {
                Ok(key) => Some(&*found.get_or_init(|| (consumer.clone(), key)).1),
                Err(why) => {
                    unusable = Some(format!("the key of consumer {} cannot be used: {why}", consumer.name));
                    None
                }
            }
        };
        let verified = verify(&request, by_id, &self.rules, asked.moment.wall_s());
        let verified = verified.map_err(|why| match unusable {
            Some(note) => Refused::because(Reason::CredentialUnknown, note),
            None => refused(&why),
        })?;
        let consumer = found.into_inner().map(|(consumer, _)| consumer);
        let subject = Some(Arc::from(verified.key_id.as_str()));
        let caller = Caller { consumer, subject, auth: self.name.clone(), ..Caller::default() };
        Ok((verified, caller))
    }

    /// Takes the signature's nonce, once.
    fn take(&self, asked: &Asked<'_>, verified: &Verified) -> Result<(), Refused> {
        let Verified { key_id, replay, expires_at, has_nonce, .. } = verified;
        if !has_nonce || self.nonces == Nonces::Ignored || !asked.mode.serves() {
            return Ok(());
        }
        let admitted = self.guard.admit(key_id, replay, *expires_at, asked.moment.wall_s());
        admitted.map_err(|why| match why {
            Replayed::Seen => Refused::because(Reason::SignatureReplayed, "its nonce was used before"),
            Replayed::Full => Refused::because(
                Reason::SignatureReplayed,
                format!("whether it was used cannot be told: {why}"),
            ),
        })
    }
}

fn has_body(asked: &Asked<'_>) -> bool {
    !matches!(asked.body, BodyLength::None | BodyLength::Known(0))
}

fn refused(why: &Rejection) -> Refused {
    let reason = match why {
        Rejection::Missing => Reason::Unauthenticated,
        Rejection::TooLong
        | Rejection::Malformed(_)
        | Rejection::NoSuchLabel
        | Rejection::ManySignatures
        | Rejection::DuplicateComponent
        | Rejection::Unsupported(_)
        | Rejection::NoKeyId => Reason::SignatureMalformed,
        Rejection::MissingComponent(_)
        | Rejection::NotCovered(_)
        | Rejection::WrongTag
        | Rejection::NoCreated
        | Rejection::NoNonce => Reason::SignatureIncomplete,
        Rejection::UnknownKey => Reason::CredentialUnknown,
        Rejection::CreatedInFuture | Rejection::TooOld | Rejection::Expired => Reason::SignatureExpired,
        Rejection::AlgorithmMismatch | Rejection::BadSignature => Reason::SignatureWrong,
    };
    Refused::because(reason, why.to_string())
}

impl Method for Signature {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Finding {
        let is_signed = |name: &[u8]| asked.fields.get_by_name(name).is_some();
        if !is_signed(b"signature") && !is_signed(b"signature-input") {
            return Finding::Absent;
        }
        let (verified, caller) = match self.verify(asked) {
            Ok(verified) => verified,
            Err(refused) => return Finding::Refused(refused),
        };
        let mut check = None;
        if verified.covers_digest {
            match DigestedBody::new(asked.fields, self.body_max) {
                // Without a body there is nothing to wait for.
                Ok(body) if !has_body(asked) => {
                    if let Err(refused) = body.compare() {
                        return Finding::Refused(refused);
                    }
                }
                Ok(body) => check = Some(body),
                Err(refused) => return Finding::Refused(refused),
            }
        }
        // Last, so that nothing else that is wrong uses it up.
        if let Err(refused) = self.take(asked, &verified) {
            return Finding::Refused(refused);
        }
        if let Some(check) = check {
            gate.body = Some(Box::new(check));
        }
        Finding::Known(caller)
    }

    /// What RFC 9421 has for it, `Accept-Signature`, is no challenge of RFC 9110.
    fn challenge(&self, _: Reason) -> Option<String> {
        None
    }

    fn remove_forged(&self, _: &mut Edits) {}
}

#[cfg(test)]
mod tests;
