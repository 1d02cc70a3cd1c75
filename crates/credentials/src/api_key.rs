//! API keys: 256 random bits that the caller shows and of which only the SHA-256 is kept.
//!
//! **Why a plain hash is enough.** A slow hash protects passwords because people choose few of them. A key of 256
//! random bits cannot be guessed from its hash however fast the hash is, so look-up may cost 100 ns instead of 50 ms.
//!
//! **Why look-up by hash is safe from timing.** The table is asked for the hash of what was presented. A caller who
//! measures how far a comparison came learns about a prefix of the hash of its own guess, and cannot turn
//! that into a key: to find one whose hash begins as the stored one does, and then one more byte of it, is to
//! break SHA-256. The presented bytes themselves are compared with nothing.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::hex;

/// What shown keys begin with, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "tg_";
/// The longest presented key that is worth hashing, in bytes: keys made elsewhere may be longer than ours.
pub const LONGEST: usize = 512;

const STORED_PREFIX: &str = "sha256:";

/// A key just made.
#[derive(Clone)]
pub struct NewKey {
    /// What the caller gets, once: `tg_` and 43 characters of base64url.
    pub shown: String,
    /// What is kept: `sha256:` and 64 hexadecimal digits.
    pub stored: String,
}

/// Makes a key from 32 random bytes that `random` fills in.
pub fn generate(mut random: impl FnMut(&mut [u8])) -> NewKey {
    let mut secret = [0; 32];
    random(&mut secret);
    let shown = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let stored = format!("{STORED_PREFIX}{}", hex::write(&sha256(shown.as_bytes())));
    NewKey { shown, stored }
}

/// The hash by which a presented key is looked up. `None` for an empty one and for one longer than [`LONGEST`], which
/// no consumer has.
pub fn hash(presented: &[u8]) -> Option<[u8; 32]> {
    (!presented.is_empty() && presented.len() <= LONGEST).then(|| sha256(presented))
}

/// Reads the stored form.
///
/// # Errors
/// Text that says what it should be; the text itself is not in it, since people paste keys where hashes belong.
pub fn parse(stored: &str) -> Result<[u8; 32], &'static str> {
    if stored.starts_with(PREFIX) {
        return Err("this is the key itself: store what `tollgate credential new` prints beside it");
    }
    let digits = stored.strip_prefix(STORED_PREFIX).ok_or("the hash of a key begins with `sha256:`")?;
    hex::read(digits).ok_or("`sha256:` is followed by 64 hexadecimal digits")
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, generate, hash, parse};

    #[test]
    fn a_new_key_is_found_by_its_stored_form_and_no_other() {
        let key = generate(|bytes| bytes.fill(7));
        assert_eq!(key.shown.len(), 3 + 43);
        assert_eq!(parse(&key.stored).ok(), hash(key.shown.as_bytes()));
        let other = generate(|bytes| bytes.fill(8));
        assert_ne!(parse(&other.stored).ok(), hash(key.shown.as_bytes()));
    }

    #[test]
    fn what_is_not_a_stored_form_is_refused_without_being_repeated() {
        let key = generate(|bytes| bytes.fill(7));
        let digits = "a".repeat(64);
        for text in [
            key.shown.as_str(),
            "",
            "sha256:",
            "sha256:12",
            &format!("md5:{digits}"),
            &format!("sha256:{digits}0"),
            &format!("sha256:{}é", &digits[2..]),
        ] {
            let message = parse(text).expect_err(text);
            assert!(text.is_empty() || text == "sha256:" || !message.contains(text), "{message}");
        }
        assert!(parse(&format!("sha256:{}", "AB".repeat(32))).is_ok());
    }

    #[test]
    fn empty_and_endless_keys_are_nobodys() {
        assert_eq!(hash(b""), None);
        assert!(hash(&[b'a'; LONGEST]).is_some());
        assert_eq!(hash(&[b'a'; LONGEST + 1]), None);
    }
}
