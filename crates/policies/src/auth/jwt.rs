//! Signed tokens (JWT, RFC 7519), verified with the keys of their issuer.
//!
//! A token that is seen for the first time is verified at once, on the worker: 20 to 100 µs for the usual algorithms,
//! less than handing it to another thread and back would delay others. After that it is found in the cache, which
//! allocates nothing. What has to be waited for is keys: the first fetch, and one more when a token names a key that
//! is not known, which all such tokens share.

mod keys;

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use tollgate_credentials::jwt::{Rejection, Rules, TokenCache, verify};
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_outbound::source::Refresh;
use tollgate_policy::{Asked, Gate, Refused, Resolution, Wait};

use super::bearer::{Good, TokenSettings};
use super::{Finding, Method};

pub use keys::{KeyUse, TokenKeys, read_keys};

/// What a document sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where tokens are, and what is made of good ones.
    pub tokens: TokenSettings,
    /// What makes a token a good one.
    pub rules: Rules,
}

/// Verified tokens, with what is made of them.
pub type GoodTokens = TokenCache<Good>;

/// Finds out who calls by a signed token.
#[derive(Debug)]
pub struct Jwt {
    settings: Settings,
    keys: TokenKeys,
    cache: Option<Arc<GoodTokens>>,
    /// Other settings and other keys known beforehand make another number, so that a cache that is older than they
    /// are tells nothing that they would not.
    base: u64,
}

/// Why a token is not accepted.
enum Fault {
    Rejected(Rejection),
    Refused(Refused),
    /// The issuer's keys are not there, and no other is the token's.
    NoKeys,
}

impl Jwt {
    /// A method with these settings. The cache goes with the source of the keys: with another source comes another
    /// cache. `None` verifies each time.
    pub fn new(settings: Settings, keys: TokenKeys, cache: Option<Arc<GoodTokens>>) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(format!("{settings:?}").as_bytes());
        context.update(&keys.known().fingerprint());
        let base = context.finish().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Self { settings, keys, cache, base }
    }

    fn check(&self, asked: &Asked<'_>, token: &[u8]) -> Result<Arc<Good>, Fault> {
        let now = asked.moment.wall_s();
        // Before the keys are read: a set that comes in between belongs to a later number.
        let generation = self.base.wrapping_add(self.keys.generation());
        // Explaining leaves no trace, not even that an entry was read.
        let cache = self.cache.as_ref().filter(|_| asked.mode.serves());
        if let Some(good) = cache.and_then(|cache| cache.get(token, generation, now)) {
            return Ok(good);
        }
        let verified = self.verify(token, now)?;
        let good = Good::new(verified.claims.into_map(), &self.settings.tokens).map_err(Fault::Refused)?;
        let good = Arc::new(good);
        if let Some(cache) = cache {
            cache.put(token, generation, verified.expires_at, good.clone());
        }
        Ok(good)
    }

    /// With the keys known beforehand; where none of them has signed, with those of the issuer.
    fn verify(&self, token: &[u8], now: u64) -> Result<tollgate_credentials::jwt::Verified, Fault> {
        let rules = &self.settings.rules;
        let Some(source) = self.keys.source() else {
            return verify(token, self.keys.known(), rules, now).map_err(Fault::Rejected);
        };
        if !self.keys.known().is_empty() {
            match verify(token, self.keys.known(), rules, now) {
                Err(rejection) if is_about_the_key(&rejection) => {}
                done => return done.map_err(Fault::Rejected),
            }
        }
        match source.current() {
            Some(set) => verify(token, &set.value, rules, now).map_err(Fault::Rejected),
            None => Err(self.without_keys(token, now)),
        }
    }

    /// What is wrong with a token whatever the keys are needs none to be told, and nobody waits for them.
    fn without_keys(&self, token: &[u8], now: u64) -> Fault {
        match verify(token, &Default::default(), &self.settings.rules, now) {
            Err(rejection) if !is_about_the_key(&rejection) => Fault::Rejected(rejection),
            _ => Fault::NoKeys,
        }
    }

    fn wait(&self, fault: &Fault) -> Option<Wait> {
        let source = self.keys.source()?;
        let wait = match fault {
            Fault::NoKeys => {
                let (source, interval) = (source.clone(), self.keys.interval());
                Wait::new("the issuer's keys", async move {
                    let first = source.ready().await;
                    let is_there = source.current().is_some();
                    if is_there || first != Refresh::Done {
                        return first;
                    }
                    source.refresh_if_older_than(interval).await
                })
            }
            Fault::Rejected(rejection) if rejection.may_refetch() => {
                let (source, interval) = (source.clone(), self.keys.interval());
                Wait::new("a newer set of the issuer's keys", async move {
                    source.refresh_if_older_than(interval).await
                })
            }
            _ => return None,
        };
        Some(wait)
    }
}

impl Method for Jwt {
    fn name(&self) -> &Arc<str> {
        &self.settings.tokens.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        let token = match self.settings.tokens.find(asked) {
            Ok(token) => token,
            Err(finding) => return finding,
        };
        let fault = match self.check(asked, &token) {
            Ok(good) => return self.settings.tokens.accept(asked, gate, &good),
            Err(fault) => fault,
        };
        // Once is enough: what came of the wait is in the source, or not.
        let waited = resolution.is_some_and(|resolution| resolution.is::<Refresh>());
        match self.wait(&fault) {
            Some(wait) if !waited => Finding::Wait(wait),
            _ => Finding::Refused(fault.into()),
        }
    }

    fn challenge(&self, reason: Reason) -> Option<String> {
        self.settings.tokens.challenge(reason)
    }

    fn remove_forged(&self, edits: &mut Edits) {
        self.settings.tokens.claims.remove(edits);
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rejected(rejection) => Self::because(reason_of(&rejection), rejection.to_string()),
            Fault::Refused(refused) => refused,
            Fault::NoKeys => {
                Self::because(Reason::IdentityUnavailable, "there are no keys of the issuer yet")
            }
        }
    }
}

/// Whether other keys could come to another end.
fn is_about_the_key(rejection: &Rejection) -> bool {
    use Rejection::*;
    matches!(rejection, UnknownKey | EmbeddedKey | KeyMismatch | KeyNotNamed | BadSignature)
}

fn reason_of(rejection: &Rejection) -> Reason {
    use Rejection::*;
    match rejection {
        TooLong | Malformed(_) | Encrypted | Duplicate | CriticalHeader | WrongType => Reason::TokenMalformed,
        Unsigned | AlgorithmNotAllowed | KeyMismatch => Reason::TokenAlgorithm,
        UnknownKey | EmbeddedKey | KeyNotNamed => Reason::TokenKeyUnknown,
        BadSignature => Reason::TokenSignature,
        Expired => Reason::TokenExpired,
        NotYetValid | IssuedInFuture => Reason::TokenNotYetValid,
        WrongIssuer => Reason::TokenIssuer,
        WrongAudience => Reason::TokenAudience,
        MissingClaim(_) | BadClaim(_) => Reason::TokenClaims,
    }
}

#[cfg(test)]
mod tests;
