//! The keys that session tickets are encrypted with.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{error::Unspecified, hkdf};
use rustls::crypto::{SecureRandom, aws_lc_rs::default_provider};
use rustls::server::ProducesTickets;
use tollgate_runtime::clock::Clock;

const NAME_LEN: usize = 16;
const SECRET_LEN: usize = 32;
/// A secret as it is passed on.
const SAVED_LEN: usize = NAME_LEN + SECRET_LEN;

/// The secrets that session tickets are made from: one set for the whole process, shared by all workers and
/// kept over reloads, so that a client can resume wherever it comes back to. They are never written anywhere, and
/// known to one other process at most: the one that takes this one's place ([`TicketKeys::save`]).
///
/// A secret is used for one period; tickets made with it are accepted for one period more. Tickets of one
/// listener are not accepted by another that asks for other client certificates (CVE-2025-23419): each such
/// policy derives its own keys.
pub struct TicketKeys {
    clock: Clock,
    period: Duration,
    /// Where secrets and nonces come from: what rustls itself uses.
    random: &'static dyn SecureRandom,
    generations: RwLock<Generations>,
}

#[derive(Clone)]
struct Generations {
    current: Arc<Secret>,
    previous: Option<Arc<Secret>>,
    /// When the current one was made, by the clock; before its beginning where it was another process that made it.
    since_ms: i64,
}

struct Secret {
    /// Stands at the beginning of each ticket.
    name: [u8; NAME_LEN],
    bytes: [u8; SECRET_LEN],
    secret: hkdf::Prk,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").field("period", &self.period).finish_non_exhaustive()
    }
}

impl TicketKeys {
    /// Keys that change after each `period`, which is to be at most a few days (RFC 8446 section 4.6.1 allows
    /// seven).
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn new(clock: Clock, period: Duration) -> Result<Self, Unspecified> {
        let random = default_provider().secure_random;
        let first = Secret::random(random)?;
        let since_ms = signed(clock.now_ms());
        let generations = Generations { current: Arc::new(first), previous: None, since_ms };
        Ok(Self { clock, period, random, generations: RwLock::new(generations) })
    }

    /// The secrets, for the process that takes this one's place. They are to go nowhere else.
    pub fn save(&self) -> Vec<u8> {
        let Generations { current, previous, since_ms } = self.current();
        let age_ms = self.age_ms(since_ms);
        let mut saved = age_ms.to_be_bytes().to_vec();
        for secret in [Some(current), previous].into_iter().flatten() {
            saved.extend_from_slice(&secret.name);
            saved.extend_from_slice(&secret.bytes);
        }
        saved
    }

    /// The keys of the process before this one, which go on as they would have there. `None` where these are none.
    pub fn restore(clock: Clock, period: Duration, saved: &[u8]) -> Option<Self> {
        let (age_ms, secrets) = saved.split_first_chunk()?;
        let age_ms = u64::from_be_bytes(*age_ms);
        let (secrets, []) = secrets.as_chunks::<SAVED_LEN>() else { return None };
        let mut secrets = secrets.iter().map(|saved| {
            let (mut name, mut bytes) = ([0; NAME_LEN], [0; SECRET_LEN]);
            name.copy_from_slice(&saved[..NAME_LEN]);
            bytes.copy_from_slice(&saved[NAME_LEN..]);
            Arc::new(Secret::of(name, bytes))
        });
        let (current, previous) = (secrets.next()?, secrets.next());
        let since_ms = signed(clock.now_ms()).saturating_sub(signed(age_ms));
        let generations = RwLock::new(Generations { current, previous, since_ms });
        Some(Self { clock, period, random: default_provider().secure_random, generations })
    }

    /// Makes a new secret now. Tickets of the one before are still accepted, older ones are not any more.
    ///
    /// # Errors
    /// The machine has no randomness; nothing has changed.
    pub fn rotate(&self) -> Result<(), Unspecified> {
        let next = Arc::new(Secret::random(self.random)?);
        let now_ms = signed(self.clock.now_ms());
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let period_ms = self.period_ms();
        // After a long time in which nobody asked, the current secret is one whose time is over, too.
        let is_recent = self.age_ms(generations.since_ms) < 2 * period_ms;
        let last = std::mem::replace(&mut generations.current, next);
        generations.previous = is_recent.then_some(last);
        generations.since_ms = now_ms;
        Ok(())
    }

    /// What makes and reads the tickets of listeners with one policy.
    pub(crate) fn ticketer(self: &Arc<Self>, policy: [u8; 32]) -> Arc<dyn ProducesTickets> {
        Arc::new(Ticketer { keys: self.clone(), policy, derived: RwLock::new(Vec::new()) })
    }

    fn age_ms(&self, since_ms: i64) -> u64 {
        u64::try_from(signed(self.clock.now_ms()).saturating_sub(since_ms)).unwrap_or(0)
    }

    fn period_ms(&self) -> u64 {
        u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX / 2)
    }

    fn current(&self) -> Generations {
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner).clone();
        if self.age_ms(generations.since_ms) < self.period_ms() {
            return generations;
        }
        // Two workers may both come here; then one secret is used for a moment only. An old secret serves on
        // where there is no randomness.
        let _ = self.rotate();
        self.generations.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Secret {
    fn of(name: [u8; NAME_LEN], bytes: [u8; SECRET_LEN]) -> Self {
        Self { name, bytes, secret: hkdf::Salt::new(hkdf::HKDF_SHA256, &name).extract(&bytes) }
    }

    fn random(random: &dyn SecureRandom) -> Result<Self, Unspecified> {
        let (mut name, mut bytes) = ([0; NAME_LEN], [0; SECRET_LEN]);
        random.fill(&mut name).map_err(|_| Unspecified)?;
        random.fill(&mut bytes).map_err(|_| Unspecified)?;
        Ok(Self::of(name, bytes))
    }

    /// The key for one policy.
    fn derive(&self, policy: &[u8; 32]) -> Result<LessSafeKey, Unspecified> {
        let mut key = [0; 32];
        self.secret.expand(&[b"tollgate session tickets", policy], hkdf::HKDF_SHA256)?.fill(&mut key)?;
        // This cipher stays safe with as many random nonces as a busy proxy uses in a period.
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key)?))
    }
}

/// Tickets of one policy.
struct Ticketer {
    keys: Arc<TicketKeys>,
    policy: [u8; 32],
    /// The keys of the secrets in use.
    derived: RwLock<Vec<(Arc<Secret>, Arc<LessSafeKey>)>>,
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl Ticketer {
    fn key(&self, secret: &Arc<Secret>) -> Option<Arc<LessSafeKey>> {
        let known = |derived: &[(Arc<Secret>, Arc<LessSafeKey>)]| {
            let found = derived.iter().find(|(of, _)| Arc::ptr_eq(of, secret));
            found.map(|(_, key)| key.clone())
        };
        if let Some(key) = known(&self.derived.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(key);
        }
        let key = Arc::new(secret.derive(&self.policy).ok()?);
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if derived.len() >= 2 {
            derived.remove(0);
        }
        derived.push((secret.clone(), key.clone()));
        Some(key)
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.keys.period.as_secs()).unwrap_or(u32::MAX)
    }

    /// A ticket: the secret's name, a random nonce, what is encrypted.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let secret = self.keys.current().current;
        let key = self.key(&secret)?;
        let mut nonce = [0; NONCE_LEN];
        self.keys.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(secret.name);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([&secret.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let Generations { current, previous, .. } = self.keys.current();
        let secret = [Some(current), previous].into_iter().flatten().find(|secret| secret.name == name)?;
        let key = self.key(&secret)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let len = key.open_in_place(nonce, Aad::from(secret.name), &mut opened).ok()?.len();
        opened.truncate(len);
        Some(opened)
    }
}
