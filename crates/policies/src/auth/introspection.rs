//! Tokens that an authorization server is asked about (RFC 7662).
//!
//! Answers are remembered, good and bad ones apart, and calls for one token that come at the same time are one call. A
//! server that cannot be reached, or does not answer as the standard says, proves nobody.

mod answers;
mod asking;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_outbound::{HttpClient, Url};
use tollgate_policy::{Asked, Gate, Moment, Refused, Resolution, Wait};

use super::bearer::{self, TokenSettings};
use super::{Finding, Method};

pub use answers::{Answers, AnswersSettings};
use answers::{Known, TokenHash};
use asking::Outcome;

/// The longest token that a server is asked about, in bytes.
const LONGEST: usize = 16 * 1024;

/// What a document sets.
#[derive(Clone)]
pub struct Settings {
    /// Where tokens are, and what is made of good ones.
    pub tokens: TokenSettings,
    /// Where to ask.
    pub url: Url,
    /// What the server calls us.
    pub client_id: String,
    /// The secret that goes with it.
    pub client_secret: String,
    /// How long the server may take to answer.
    pub timeout: std::time::Duration,
    /// Scopes that a token must have, all of them.
    pub scopes: Vec<String>,
    /// `aud` has one of these; empty: it is not looked at.
    pub audience: Vec<String>,
    /// `iss` is one of these; empty: it is not looked at.
    pub issuers: Vec<String>,
    /// How long an answer is remembered, and never past the token's end: so long a token works on after it was
    /// withdrawn. Zero asks each time.
    pub ttl: std::time::Duration,
}

impl std::fmt::Debug for Settings {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tokens, url, client_id, client_secret: _, timeout, scopes, audience, issuers, ttl } = self;
        write!(f, "{tokens:?} {url:?} {client_id:?} {timeout:?} {scopes:?} {audience:?} {issuers:?} {ttl:?}")
    }
}

/// Finds out who calls by asking about a token.
#[derive(Debug)]
pub struct Introspection {
    shared: Arc<Shared>,
}

/// What calls under way need.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    client: HttpClient,
    answers: Arc<Answers>,
    /// Other settings make another number, so that answers that were judged by others are not used.
    generation: u64,
}

impl Introspection {
    /// A method with these settings. The answers may be older than it; those that other settings judged are not used.
    pub fn new(settings: Settings, client: HttpClient, answers: Arc<Answers>) -> Self {
        let hash = digest(&SHA256, format!("{settings:?}").as_bytes());
        let generation = hash.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Self { shared: Arc::new(Shared { settings, client, answers, generation }) }
    }

    /// What is known of a token, or the wait for it.
    fn look_up(&self, asked: &Asked<'_>, token: &[u8]) -> Result<Known, Wait> {
        let (shared, moment) = (&self.shared, asked.moment);
        let hash = shared.answers.hash(token);
        if let Some(known) = shared.answers.get(&hash, shared.generation, moment) {
            return Ok(known);
        }
        let (shared, token) = (shared.clone(), token.to_vec());
        Err(Wait::new("the authorization server's answer about the token", async move {
            shared.ask(hash, token, moment).await
        }))
    }
}

impl Shared {
    /// Asks, together with all who want to know the same.
    async fn ask(&self, hash: TokenHash, token: Vec<u8>, moment: Moment) -> Outcome {
        let call = self.answers.call(hash, self.generation);
        let outcome = call.outcome().get_or_init(|| async {
            let outcome = asking::ask(&self.settings, &self.client, &token, moment).await;
            if let Outcome::Known { known, expires_at } = &outcome {
                let ttl = self.settings.ttl;
                self.answers.put(hash, self.generation, known.clone(), *expires_at, ttl, moment);
            }
            outcome
        });
        outcome.await.clone()
    }
}

impl Method for Introspection {
    fn name(&self) -> &Arc<str> {
        &self.shared.settings.tokens.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        let tokens = &self.shared.settings.tokens;
        let token = match tokens.find(asked) {
            Ok(token) => token,
            Err(finding) => return finding,
        };
        // What cannot be a token (RFC 6750 section 2.1) is not worth a call.
        let can_be = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if token.len() > LONGEST || !token.iter().all(can_be) {
            let why = "the token is longer than 16 KiB or has characters that no token has";
            return bearer::refused(Reason::TokenMalformed, why);
        }
        let known = match resolution.map(Resolution::downcast::<Outcome>) {
            Some(Ok(outcome)) => match *outcome {
                Outcome::Known { known, .. } => known,
                Outcome::Unknown(why) => return bearer::refused(Reason::IdentityUnavailable, why),
            },
            _ => match self.look_up(asked, &token) {
                Ok(known) => known,
                Err(wait) => return Finding::Wait(wait),
            },
        };
        match known {
            Known::Good(good) => tokens.accept(asked, gate, &good),
            Known::Bad(reason, note) => Finding::Refused(Refused { note, ..reason.into() }),
        }
    }

    fn challenge(&self, reason: Reason) -> Option<String> {
        self.shared.settings.tokens.challenge(reason)
    }

    fn remove_forged(&self, edits: &mut Edits) {
        self.shared.settings.tokens.claims.remove(edits);
    }
}

#[cfg(test)]
mod tests;
