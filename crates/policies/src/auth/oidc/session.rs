//! A session: who logged in, and what goes on without a new login.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_decision::Reason;
use tollgate_policy::{Asked, Caller, Claims, CredentialKind, Gate, Refused};

use super::Oidc;
use super::settings::Settings;
use super::tokens::TokenAnswer;
use crate::auth::Finding;

/// What the cookie of a session says. Names are short, for it is sent with each request.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    #[serde(rename = "c")]
    pub(super) claims: Claims,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) access_token: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<String>,
    /// When the tokens expire, in seconds since 1970.
    #[serde(rename = "t")]
    pub(super) tokens_until: u64,
    /// When the session ends, refreshed or not, in seconds since 1970.
    #[serde(rename = "e")]
    pub(super) ends: u64,
}

impl Session {
    /// A session of these claims, which were verified and are good until then.
    pub(super) fn begin(settings: &Settings, claims: Claims, until: u64, now: u64) -> Self {
        Self {
            claims,
            access_token: None,
            refresh_token: None,
            id_token: None,
            tokens_until: until,
            ends: now.saturating_add(settings.cookie.lifetime_s),
        }
    }

    /// Takes what it keeps of the provider's answer; what the answer does not say stays as it was.
    pub(super) fn take(&mut self, settings: &Settings, answer: &TokenAnswer, now: u64) {
        let kept = settings.tokens;
        if let Some(seconds) = answer.expires_in_s() {
            self.tokens_until = now.saturating_add(seconds);
        }
        if kept.refresh && answer.refresh_token.is_some() {
            self.refresh_token.clone_from(&answer.refresh_token);
        }
        if kept.forward_access {
            self.access_token.clone_from(&answer.access_token);
        }
        if kept.hint_at_logout && answer.id_token.is_some() {
            self.id_token.clone_from(&answer.id_token);
        }
        // Rules ask for scopes by this claim, which ID tokens seldom have.
        if let Some(scope) = &answer.scope {
            self.claims.insert("scope".to_owned(), Value::from(scope.as_str()));
        }
    }

    /// Takes what a refreshed ID token claims, good until then. A scope that was given before stays: what a refresh
    /// does not say has not changed (RFC 6749 section 5.1).
    pub(super) fn renew(&mut self, claims: Claims, until: u64) {
        let scope = self.claims.remove("scope");
        self.claims = claims;
        self.tokens_until = until;
        if let Some(scope) = scope {
            self.claims.entry("scope").or_insert(scope);
        }
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }
}

impl Oidc {
    /// Who a session says that the request comes from.
    pub(super) fn known(&self, asked: &Asked<'_>, gate: &mut Gate, session: &Session) -> Finding {
        let mut caller = Caller {
            subject: session.subject().map(Arc::from),
            auth: self.name.clone(),
            claims: Some(Arc::new(session.claims.clone())),
            ..Caller::default()
        };
        let named = caller.claim(&self.settings.consumer).and_then(Value::as_str);
        let found = named.and_then(|name| asked.consumers.find(CredentialKind::Subject, name.as_bytes()));
        caller.consumer = found.map(|(consumer, _)| consumer.clone());
        if let Err(path) = self.settings.claims_to_headers.write(&mut gate.request, &caller) {
            let note = format!("the claim `{path}` cannot stand in a field");
            return Finding::Refused(Refused::because(Reason::TokenClaims, note));
        }
        if let Some(token) = session.access_token.as_deref().filter(|_| self.settings.tokens.forward_access) {
            // Tokens have no other characters (RFC 6750 section 2.1).
            if token.bytes().all(|byte| byte.is_ascii_graphic()) {
                gate.request.set("Authorization", &format!("Bearer {token}"));
            }
        }
        Finding::Known(caller)
    }
}
