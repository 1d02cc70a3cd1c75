//! Keys of consumers, from the texts that they are kept as.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_credentials::Unusable;
use tollgate_credentials::signature::{Algorithm, Key};

/// Parsed keys that are kept. Beyond that, all are parsed anew: consumers with keys of their own in greater numbers
/// pay for the parsing, not with memory.
const KEPT: usize = 4096;

/// The text that a key is kept as, the secret of a credential of the kind `SigningKey`: the algorithm's name, a
/// colon, and of `hmac-sha256` the shared secret in base64 (with padding), of any other the public key in PEM.
pub fn write(algorithm: Algorithm, key: &[u8]) -> String {
    let text = match algorithm {
        Algorithm::HmacSha256 => STANDARD.encode(key),
        _ => String::from_utf8_lossy(key).into_owned(),
    };
    format!("{}:{text}", algorithm.name())
}

/// Reads a key as [`write()`] writes it.
///
/// # Errors
/// Why it cannot be used.
pub fn parse(text: &str) -> Result<Key, Unusable> {
    let (name, key) = text.split_once(':').ok_or(Unusable("no `algorithm:` before the key"))?;
    let algorithm = Algorithm::from_name(name).ok_or(Unusable("the algorithm is not known"))?;
    match algorithm {
        Algorithm::HmacSha256 => {
            let secret = STANDARD.decode(key).map_err(|_| Unusable("the secret is not base64"))?;
            Key::from_secret(&secret)
        }
        _ => Key::from_pem(key.as_bytes(), algorithm),
    }
}

/// Keys that were parsed, by the text that they are from: the pointer, which is as good while the text is held.
#[derive(Debug, Default)]
pub(super) struct KeyCache(Mutex<HashMap<usize, Parsed>>);

#[derive(Debug)]
struct Parsed {
    /// Held, so that no other text takes its place in memory.
    text: Arc<str>,
    key: Arc<Key>,
}

impl KeyCache {
    /// The key of this text.
    pub(super) fn get(&self, text: &Arc<str>) -> Result<Arc<Key>, Unusable> {
        let place = Arc::as_ptr(text).cast::<u8>() as usize;
        let known = |keys: &HashMap<usize, Parsed>| keys.get(&place).map(|parsed| parsed.key.clone());
        if let Some(key) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(key);
        }
        let key = Arc::new(parse(text)?);
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEPT {
            // Those that nobody else holds are of consumers that were replaced.
            keys.retain(|_, parsed| Arc::strong_count(&parsed.text) > 1);
        }
        if keys.len() < KEPT {
            keys.insert(place, Parsed { text: text.clone(), key: key.clone() });
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let text = write(Algorithm::HmacSha256, &[7; 32]);
        assert_eq!(parse(&text).unwrap().algorithm(), Algorithm::HmacSha256);
        for wrong in ["", "hmac-sha256", "hmac-sha256:!", "hmac-sha256:AAAA", "none:AAAA", "ed25519:AAAA"] {
            assert!(parse(wrong).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn a_text_is_parsed_once_and_memory_is_bounded() {
        let cache = KeyCache::default();
        let text: Arc<str> = write(Algorithm::HmacSha256, &[7; 32]).into();
        let key = cache.get(&text).unwrap();
        assert!(Arc::ptr_eq(&key, &cache.get(&text).unwrap()));
        let many: Vec<Arc<str>> = (0..KEPT as u64 + 10)
            .map(|number| {
                write(Algorithm::HmacSha256, &[&number.to_be_bytes()[..], &[0; 32]].concat()).into()
            })
            .collect();
        many.iter().for_each(|text| drop(cache.get(text).unwrap()));
        assert_eq!(cache.0.lock().unwrap().len(), KEPT);
        drop(many);
        let other: Arc<str> = write(Algorithm::HmacSha256, &[8; 32]).into();
        cache.get(&other).unwrap();
        assert_eq!(cache.0.lock().unwrap().len(), 2);
    }
}
