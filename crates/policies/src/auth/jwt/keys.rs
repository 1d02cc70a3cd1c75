//! The keys that tokens are verified with.

use std::sync::Arc;
use std::time::Duration;

use tollgate_credentials::jwt::{Algorithms, Keys};
use tollgate_outbound::jwks::KeySource;

/// Keys that are known beforehand, and a source of those that the issuer publishes.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    known: Arc<Keys>,
    fetched: Option<KeyUse>,
}

/// A source of keys, and how often tokens may make it fetch.
#[derive(Clone, Debug)]
pub struct KeyUse {
    /// The source, of sets read by [`read_keys`].
    pub source: KeySource<Keys>,
    /// How much time passes at least between two fetches that tokens of unknown keys bring about, however many come.
    pub interval: Duration,
}

impl KeyUse {
    /// A source that tokens may make fetch every ten seconds.
    pub fn new(source: KeySource<Keys>) -> Self {
        Self { source, interval: Duration::from_secs(10) }
    }
}

impl TokenKeys {
    /// These keys.
    pub fn new(known: Keys, fetched: Option<KeyUse>) -> Self {
        Self { known: Arc::new(known), fetched }
    }

    pub(super) fn known(&self) -> &Keys {
        &self.known
    }

    pub(super) fn source(&self) -> Option<&KeySource<Keys>> {
        self.fetched.as_ref().map(|fetched| &fetched.source)
    }

    pub(super) fn interval(&self) -> Duration {
        self.fetched.as_ref().map_or(Duration::MAX, |fetched| fetched.interval)
    }

    /// Another one for each set that the source has had.
    pub(super) fn generation(&self) -> u64 {
        self.source().map_or(0, KeySource::generation)
    }
}

/// Reads a published set, for a [`KeySource`]. Keys without `alg` may be used by those of `allowed` that are of their
/// kind. Secrets are never taken: whoever can read the set could sign with them. A set without one key that can
/// be used is taken as well: an issuer may withdraw all.
pub fn read_keys(allowed: Algorithms) -> impl Fn(&[u8]) -> Result<Keys, String> + Send + Sync + 'static {
    move |text| Keys::from_jwks(text, allowed, false).map(|(keys, _)| keys).map_err(|why| why.to_string())
}
