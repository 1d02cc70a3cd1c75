//! Encrypted cookies: what the browser keeps for us and can neither read nor change.
//!
//! A sealed text is base64url of: a version byte, 12 random bytes, the AES-256-GCM of (expiry as 8 bytes, content), and
//! its tag of 16 bytes. The version, the purpose and the name of the cookie are authenticated with it: a
//! cookie is good under its own name and for its own purpose only. The key of each purpose is derived by HKDF
//! (RFC 5869) from a configured secret.
//!
//! **Rotation**: the first secret seals, all open. Put a new one in front, and take the old one away when all that it
//! sealed is expired.
//!
//! **Random nonces** meet after about 2^48 cookies of one secret with a chance of one half; up to 2^32 of them, the
//! bound of NIST SP 800-38D, it is below 2^-32. A login a second for a hundred years stays below that.
//!
//! **Size**: browsers take about 4096 bytes of name, value and attributes together. A sealed text may be longer (up to
//! [`LONGEST`]); splitting it over `name`, `name.1`, … is the caller's, who puts the parts together before opening.
//! A part left out or exchanged makes the whole unreadable.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Unusable;

/// The longest sealed text, in bytes: about four cookies.
pub const LONGEST: usize = 16 * 1024;
/// The longest content, in bytes.
pub const LONGEST_CONTENT: usize = LONGEST / 4 * 3 - 1 - NONCE_LEN - EXPIRY - TAG;
/// The shortest secret, in bytes.
pub const MIN_SECRET: usize = 32;
/// The most secrets: each costs a try when a cookie is a foreign one.
pub const MAX_SECRETS: usize = 8;

const VERSION: u8 = 1;
const EXPIRY: usize = 8;
const TAG: usize = 16;

/// Why a sealed text is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Too long, too short, not strict base64url, or of another version.
    Malformed,
    /// No secret opens it: it was changed, sealed with a secret that is gone, or for another name or purpose.
    WrongKey,
    /// It was good until then.
    Expired,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the sealed text is malformed",
            Self::WrongKey => "no secret opens the sealed text",
            Self::Expired => "the sealed text is expired",
        })
    }
}

impl std::error::Error for Rejection {}

/// Seals and opens for one purpose.
pub struct Sealer {
    purpose: String,
    keys: Vec<LessSafeKey>,
}

impl Sealer {
    /// For this purpose (`session`, `login`, …), with these secrets.
    ///
    /// # Errors
    /// If there is no secret, there are more than [`MAX_SECRETS`], or one is shorter than [`MIN_SECRET`].
    pub fn new<S: AsRef<[u8]>>(purpose: &str, secrets: &[S]) -> Result<Self, Unusable> {
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            return Err(Unusable("there are 1 to 8 secrets for cookies"));
        }
        let keys = secrets.iter().map(|secret| derive(secret.as_ref(), purpose)).collect::<Result<_, _>>()?;
        Ok(Self { purpose: purpose.to_owned(), keys })
    }

    /// Seals content for the cookie of this name, good before `expires_at` (seconds since 1970). `random` fills in
    /// the 12 bytes of the nonce, and must never repeat them.
    ///
    /// # Errors
    /// If the content is longer than [`LONGEST_CONTENT`].
    pub fn seal(
        &self,
        name: &str,
        content: &[u8],
        expires_at: u64,
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<String, Unusable> {
        if content.len() > LONGEST_CONTENT {
            return Err(Unusable("the content is too long to be sealed"));
        }
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut bytes = [&expires_at.to_be_bytes(), content].concat();
        let key = self.keys.first().ok_or(Unusable("there is no secret"))?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.bound_to(name), &mut bytes)
            .map_err(|_| Unusable("the content cannot be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([&[VERSION], &nonce[..], &bytes].concat()))
    }

    /// Opens what was sealed for this name, at the time `now`.
    ///
    /// # Errors
    /// Why it is not opened.
    pub fn open(&self, name: &str, sealed: &[u8], now: u64) -> Result<Vec<u8>, Rejection> {
        if sealed.len() > LONGEST {
            return Err(Rejection::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Rejection::Malformed)?;
        let (version, rest) = bytes.split_first().ok_or(Rejection::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Rejection::Malformed)?;
        if *version != VERSION || sealed.len() < EXPIRY + TAG {
            return Err(Rejection::Malformed);
        }
        let mut opened = vec![0; sealed.len() - TAG];
        let (text, tag) = sealed.split_at(sealed.len() - TAG);
        let opens = |key: &LessSafeKey| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            key.open_separate_gather(nonce, self.bound_to(name), text, tag, &mut opened).is_ok()
        };
        if !self.keys.iter().any(opens) {
            return Err(Rejection::WrongKey);
        }
        let (expiry, _) = opened.split_first_chunk::<EXPIRY>().ok_or(Rejection::Malformed)?;
        if now >= u64::from_be_bytes(*expiry) {
            return Err(Rejection::Expired);
        }
        opened.drain(..EXPIRY);
        Ok(opened)
    }

    fn bound_to(&self, name: &str) -> Aad<Vec<u8>> {
        let mut bound = vec![VERSION];
        for part in [self.purpose.as_str(), name] {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        Aad::from(bound)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

fn derive(secret: &[u8], purpose: &str) -> Result<LessSafeKey, Unusable> {
    if secret.len() < MIN_SECRET {
        return Err(Unusable("a secret for cookies has at least 32 bytes"));
    }
    let info = [purpose.as_bytes()];
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate sealed cookie 1");
    let random_key = salt.extract(secret);
    let derived = random_key.expand(&info, &AES_256_GCM).map_err(|_| Unusable("no key can be derived"))?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, LONGEST_CONTENT, Rejection, Sealer};

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    fn sealer(secrets: &[[u8; 32]]) -> Sealer {
        Sealer::new("session", secrets).unwrap()
    }

    fn seal(sealer: &Sealer, content: &[u8]) -> Vec<u8> {
        sealer.seal("tollgate", content, 1000, |nonce| nonce.fill(9)).unwrap().into_bytes()
    }

    #[test]
    fn what_was_sealed_is_opened_until_it_expires() {
        let one = sealer(&[OLD]);
        let sealed = seal(&one, b"alice");
        assert_eq!(one.open("tollgate", &sealed, 999), Ok(b"alice".to_vec()));
        assert_eq!(one.open("tollgate", &sealed, 1000), Err(Rejection::Expired));
        assert!(!sealed.windows(5).any(|part| part == b"alice"));
        assert_eq!(one.open("tollgate", &seal(&one, b""), 0), Ok(Vec::new()));
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        let (before, during, after) = (sealer(&[OLD]), sealer(&[NEW, OLD]), sealer(&[NEW]));
        assert!(during.open("tollgate", &seal(&before, b"x"), 0).is_ok());
        assert!(after.open("tollgate", &seal(&during, b"x"), 0).is_ok());
        assert_eq!(after.open("tollgate", &seal(&before, b"x"), 0), Err(Rejection::WrongKey));
    }

    #[test]
    fn a_cookie_is_good_under_its_name_and_for_its_purpose_only() {
        let session = sealer(&[OLD]);
        let sealed = seal(&session, b"x");
        assert_eq!(session.open("tollgate2", &sealed, 0), Err(Rejection::WrongKey));
        let login = Sealer::new("login", &[OLD]).unwrap();
        assert_eq!(login.open("tollgate", &sealed, 0), Err(Rejection::WrongKey));
    }

    #[test]
    fn no_changed_bit_is_opened() {
        let one = sealer(&[OLD]);
        let sealed = seal(&one, b"some content");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(one.open("tollgate", &changed, 0).is_err(), "byte {at} bit {bit}");
            }
            assert!(one.open("tollgate", &sealed[..at], 0).is_err(), "cut at {at}");
        }
        let padded = [&sealed[..], b"="].concat();
        assert_eq!(one.open("tollgate", &padded, 0), Err(Rejection::Malformed));
    }

    #[test]
    fn sizes_are_bounded() {
        let one = sealer(&[OLD]);
        let longest = seal(&one, &[b'x'; LONGEST_CONTENT]);
        assert!(longest.len() <= LONGEST);
        assert!(one.open("tollgate", &longest, 0).is_ok());
        assert!(one.seal("tollgate", &[b'x'; LONGEST_CONTENT + 1], 1, |_| {}).is_err());
        assert_eq!(one.open("tollgate", &[b'A'; LONGEST + 1], 0), Err(Rejection::Malformed));
        assert_eq!(one.open("tollgate", b"", 0), Err(Rejection::Malformed));
    }

    #[test]
    fn weak_secrets_are_refused() {
        assert!(Sealer::new("x", &[[1; 31]]).is_err());
        assert!(Sealer::new::<Vec<u8>>("x", &[]).is_err());
        assert!(Sealer::new("x", &[[1; 32]; 9]).is_err());
    }
}
