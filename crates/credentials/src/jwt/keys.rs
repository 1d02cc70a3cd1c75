//! Keys that tokens are verified with, each pinned to its algorithms.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;

use super::algorithm::{Algorithm, Algorithms, Needs};
use crate::public_key::{PublicKey, Unusable};

/// The shortest secret of HMAC, in bytes: 256 bits. RFC 7518 section 3.2 wants at least the length of the hash; a
/// shorter one can be searched for with a single token in hand.
pub const MIN_SECRET: usize = 32;

/// One key.
pub struct Key {
    id: Option<String>,
    ways: Vec<(Algorithm, Verifier)>,
    material: Vec<u8>,
}

enum Verifier {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

impl Key {
    /// A public key (or a certificate's) in PEM, for one algorithm.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn from_pem(id: Option<String>, pem: &[u8], algorithm: Algorithm) -> Result<Self, Unusable> {
        if algorithm.is_symmetric() {
            return Err(Unusable("HS256, HS384 and HS512 take a secret, not a public key"));
        }
        Self::from_public(id, &PublicKey::from_pem(pem)?, [algorithm].into_iter().collect())
    }

    /// A secret shared with the issuer, for one of `HS256`, `HS384`, `HS512`.
    ///
    /// # Errors
    /// Why it cannot be used: too short, or not a secret but a public key, with which everyone could sign.
    pub fn from_secret(id: Option<String>, secret: &[u8], algorithm: Algorithm) -> Result<Self, Unusable> {
        let Needs::Secret(_) = algorithm.needs() else {
            return Err(Unusable("a secret is used with HS256, HS384 or HS512"));
        };
        Self::from_octets(id, secret, [algorithm].into_iter().collect())
    }

    /// Its id, that tokens name as `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What it may be used for.
    pub fn algorithms(&self) -> Algorithms {
        self.ways.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// A public key for those of the algorithms that are of its family; there has to be one.
    pub(super) fn from_public(
        id: Option<String>,
        key: &PublicKey,
        algorithms: Algorithms,
    ) -> Result<Self, Unusable> {
        let mut ways = Vec::new();
        for algorithm in algorithms.iter() {
            if let Needs::Public(family, verification) = algorithm.needs()
                && family == key.family
            {
                ways.push((algorithm, Verifier::Public(Box::new(key.prepare(verification)?))));
            }
        }
        Self::new(id, ways, key.material().to_vec())
    }

    pub(super) fn from_octets(
        id: Option<String>,
        secret: &[u8],
        algorithms: Algorithms,
    ) -> Result<Self, Unusable> {
        if secret.len() < MIN_SECRET {
            return Err(Unusable("the secret is shorter than 32 bytes"));
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err(Unusable("the secret is PEM text: a public key is no secret"));
        }
        let mut ways = Vec::new();
        for algorithm in algorithms.iter() {
            if let Needs::Secret(hash) = algorithm.needs() {
                ways.push((algorithm, Verifier::Secret(Box::new(hmac::Key::new(hash, secret)))));
            }
        }
        Self::new(id, ways, secret.to_vec())
    }

    /// Whether `signature` is this key's over `message` by this algorithm. `None` if the key is not for it.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let (_, verifier) = self.ways.iter().find(|(way, _)| *way == algorithm)?;
        Some(match verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Secret(key) => {
                verify_slices_are_equal(hmac::sign(key, message).as_ref(), signature).is_ok()
            }
        })
    }

    fn new(
        id: Option<String>,
        ways: Vec<(Algorithm, Verifier)>,
        material: Vec<u8>,
    ) -> Result<Self, Unusable> {
        if ways.is_empty() {
            return Err(Unusable("no allowed algorithm is one of this kind of key"));
        }
        Ok(Self { id, ways, material })
    }
}

impl fmt::Debug for Key {
    /// Without the key itself, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().iter().collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

/// A set of keys.
#[derive(Debug, Default)]
pub struct Keys {
    list: Vec<Key>,
}

impl Keys {
    /// A set of these.
    pub fn new(list: Vec<Key>) -> Self {
        Self { list }
    }

    /// Adds the keys of another set.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// The keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A hash of all that the set is made of. A set that was fetched again and has the same needs no new generation of
    /// the [`TokenCache`](super::TokenCache).
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        for key in &self.list {
            part(key.id.as_deref().unwrap_or("\0").as_bytes());
            part(&key.material);
            part(&key.ways.iter().map(|(algorithm, _)| *algorithm as u8).collect::<Vec<_>>());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}
