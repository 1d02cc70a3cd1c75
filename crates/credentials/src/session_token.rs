//! Tokens of sessions: what a client keeps so that its requests meet the same endpoint again. Short, of one length,
//! signed, and silent about the endpoint.
//!
//! A token is base64url of 33 bytes: a version byte; 16 bytes (a number that stands for the endpoint, the seconds since
//! 1970 at which it was made) covered by a pad; and the first 16 bytes of the HMAC-SHA-256 of what is covered.
//! The version, the name of the cookie or header and the name of the upstream are signed with it. The pad is
//! made of the signature by a second key, so that there is no nonce to run out of, and equal content is an equal token
//! (the shape of SIV, RFC 5297). Both keys of a secret are derived by HMAC.
//!
//! **Rotation**: the first secret signs, all verify. Put a new one in front, and take the old one away once its sessions
//! may move.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Unusable;

/// The length of every token, in bytes.
pub const LENGTH: usize = 44;
/// The shortest secret, in bytes.
pub const MIN_SECRET: usize = 32;
/// The most secrets: each costs two hashes when a token is a foreign one.
pub const MAX_SECRETS: usize = 8;
/// How far the clock of another instance may be ahead, in seconds.
pub const CLOCK_SKEW_S: u64 = 300;

const VERSION: u8 = 1;
const CONTENT: usize = 16;
const SIGNATURE: usize = 16;
const BYTES: usize = 1 + CONTENT + SIGNATURE;

/// Why a token counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Not of the length, not strict base64url, or of another version.
    Malformed,
    /// No secret has signed it: it was made up or changed, or is for another name or upstream.
    Forged,
    /// Its time is over, or has not begun.
    Expired,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::Forged => "no key here has signed it for this upstream",
            Self::Expired => "it is expired",
        })
    }
}

impl std::error::Error for Rejection {}

/// Signs and verifies the tokens of one cookie or header.
pub struct SessionTokens {
    name: Box<str>,
    keys: Vec<Keys>,
}

/// What comes of one secret.
struct Keys {
    signing: Key,
    padding: Key,
}

impl SessionTokens {
    /// For the cookie or header of this name, with these secrets.
    ///
    /// # Errors
    /// If there is no secret, there are more than [`MAX_SECRETS`], or one is shorter than [`MIN_SECRET`].
    pub fn new<S: AsRef<[u8]>>(name: &str, secrets: &[S]) -> Result<Self, Unusable> {
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            return Err(Unusable("there are 1 to 8 keys for sessions"));
        }
        if secrets.iter().any(|secret| secret.as_ref().len() < MIN_SECRET) {
            return Err(Unusable("a key for sessions has at least 32 bytes"));
        }
        let keys = secrets.iter().map(|secret| Keys::of(secret.as_ref())).collect();
        Ok(Self { name: name.into(), keys })
    }

    /// Appends the token of a session of `upstream` at the endpoint that `endpoint` stands for, made at `now` (seconds
    /// since 1970).
    pub fn write(&self, upstream: &str, endpoint: u64, now: u64, out: &mut Vec<u8>) {
        let Some(keys) = self.keys.first() else { return };
        let mut content = [0; CONTENT];
        content[..8].copy_from_slice(&endpoint.to_be_bytes());
        content[8..].copy_from_slice(&now.to_be_bytes());
        let signature = self.signature(keys, upstream, &content);
        keys.cover(&mut content, &signature);
        let mut bytes = [VERSION; BYTES];
        bytes[1..=CONTENT].copy_from_slice(&content);
        bytes[1 + CONTENT..].copy_from_slice(&signature);
        let mut text = [0; LENGTH];
        // 33 bytes are 44 characters: there is always room.
        if URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).is_ok() {
            out.extend_from_slice(&text);
        }
    }

    /// The number of the endpoint in a token of `upstream`, at the time `now` (seconds since 1970), if it was made within
    /// the last `lifetime_s` seconds; `None` for a session without such an end.
    ///
    /// # Errors
    /// Why it counts as none.
    pub fn read(
        &self,
        upstream: &str,
        token: &[u8],
        now: u64,
        lifetime_s: Option<u64>,
    ) -> Result<u64, Rejection> {
        if token.len() != LENGTH {
            return Err(Rejection::Malformed);
        }
        let mut bytes = [0; BYTES];
        let written = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes);
        if written != Ok(BYTES) || bytes[0] != VERSION {
            return Err(Rejection::Malformed);
        }
        let (covered, signature) = bytes[1..].split_at(CONTENT);
        let content = self.keys.iter().find_map(|keys| {
            let mut content = [0; CONTENT];
            content.copy_from_slice(covered);
            keys.cover(&mut content, signature);
            let own = self.signature(keys, upstream, &content);
            verify_slices_are_equal(&own, signature).ok().map(|()| u128::from_be_bytes(content))
        });
        let content = content.ok_or(Rejection::Forged)?;
        let (endpoint, made) = ((content >> 64) as u64, content as u64);
        let in_time = lifetime_s.is_none_or(|lifetime_s| {
            made <= now.saturating_add(CLOCK_SKEW_S) && now < made.saturating_add(lifetime_s)
        });
        if in_time { Ok(endpoint) } else { Err(Rejection::Expired) }
    }

    fn signature(&self, keys: &Keys, upstream: &str, content: &[u8; CONTENT]) -> [u8; SIGNATURE] {
        let mut context = Context::with_key(&keys.signing);
        context.update(&[VERSION]);
        for part in [&*self.name, upstream] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(content);
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&context.sign().as_ref()[..SIGNATURE]);
        signature
    }
}

impl Keys {
    fn of(secret: &[u8]) -> Self {
        let secret = Key::new(HMAC_SHA256, secret);
        let derived = |what: &[u8]| Key::new(HMAC_SHA256, sign(&secret, what).as_ref());
        Self {
            signing: derived(b"tollgate session token 1: signature"),
            padding: derived(b"tollgate session token 1: pad"),
        }
    }

    /// Covers content, or uncovers it.
    fn cover(&self, content: &mut [u8; CONTENT], signature: &[u8]) {
        let pad = sign(&self.padding, signature);
        content.iter_mut().zip(pad.as_ref()).for_each(|(byte, pad)| *byte ^= pad);
    }
}

impl std::fmt::Debug for SessionTokens {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTokens").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOCK_SKEW_S, LENGTH, Rejection, SessionTokens};

    const NOW: u64 = 1_800_000_000;

    fn tokens(secrets: &[u8]) -> SessionTokens {
        let secrets: Vec<[u8; 32]> = secrets.iter().map(|byte| [*byte; 32]).collect();
        SessionTokens::new("tollgate-session", &secrets).unwrap()
    }

    fn token(tokens: &SessionTokens, endpoint: u64) -> Vec<u8> {
        let mut out = Vec::new();
        tokens.write("app", endpoint, NOW, &mut out);
        out
    }

    fn numbers(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }

    #[test]
    fn what_was_written_is_read_and_says_nothing_itself() {
        let one = tokens(&[1]);
        for seed in 0..2000 {
            let endpoint = numbers(seed)();
            let text = token(&one, endpoint);
            assert_eq!(text.len(), LENGTH, "seed {seed}");
            assert_eq!(one.read("app", &text, NOW, None), Ok(endpoint), "seed {seed}");
        }
        // Neighbours have nothing in common but the version.
        let (a, b) = (token(&one, 1), token(&one, 2));
        assert_ne!(a[2..8], b[2..8]);
        assert_eq!(a, token(&one, 1));
    }

    #[test]
    fn no_changed_bit_and_nothing_made_up_is_taken() {
        let one = tokens(&[1, 2]);
        for seed in 0..3000 {
            let mut next = numbers(seed);
            let text = token(&one, next());
            let mut changed = text.clone();
            changed[next() as usize % LENGTH] ^= 1 << (next() % 8);
            assert!(one.read("app", &changed, NOW, None).is_err(), "seed {seed}: {changed:?}");
            let length = next() as usize % 100;
            let made_up: Vec<u8> = (0..length).map(|_| b"AQabz-_019"[next() as usize % 10]).collect();
            assert!(one.read("app", &made_up, NOW, None).is_err(), "seed {seed}: {made_up:?}");
            let noise: Vec<u8> = (0..LENGTH).map(|_| next() as u8).collect();
            assert!(one.read("app", &noise, NOW, None).is_err(), "seed {seed}: {noise:?}");
        }
        let text = token(&one, 7);
        for at in 0..LENGTH {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                assert!(one.read("app", &changed, NOW, None).is_err(), "byte {at} bit {bit}");
            }
            assert_eq!(one.read("app", &text[..at], NOW, None), Err(Rejection::Malformed), "cut at {at}");
        }
    }

    #[test]
    fn a_token_is_for_one_name_and_one_upstream() {
        let one = tokens(&[1]);
        let text = token(&one, 7);
        assert_eq!(one.read("app2", &text, NOW, None), Err(Rejection::Forged));
        let other = SessionTokens::new("other", &[[1; 32]]).unwrap();
        assert_eq!(other.read("app", &text, NOW, None), Err(Rejection::Forged));
        // Nor can the end of one name be the beginning of the other.
        let shifted = SessionTokens::new("tollgate-sessiona", &[[1; 32]]).unwrap();
        assert_eq!(shifted.read("pp", &text, NOW, None), Err(Rejection::Forged));
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let (before, during, after) = (tokens(&[1]), tokens(&[2, 1]), tokens(&[2]));
        assert_eq!(during.read("app", &token(&before, 7), NOW, None), Ok(7));
        assert_eq!(after.read("app", &token(&during, 7), NOW, None), Ok(7));
        assert_eq!(after.read("app", &token(&before, 7), NOW, None), Err(Rejection::Forged));
    }

    #[test]
    fn a_lifetime_has_an_end_and_a_beginning() {
        let one = tokens(&[1]);
        let text = token(&one, 7);
        let read = |now| one.read("app", &text, now, Some(60));
        assert_eq!(read(NOW + 59), Ok(7));
        assert_eq!(read(NOW + 60), Err(Rejection::Expired));
        assert_eq!(read(NOW - CLOCK_SKEW_S), Ok(7));
        assert_eq!(read(NOW - CLOCK_SKEW_S - 1), Err(Rejection::Expired));
        assert_eq!(one.read("app", &text, NOW + 1_000_000, None), Ok(7));
    }

    #[test]
    fn weak_keys_are_refused() {
        assert!(SessionTokens::new("x", &[[1; 31]]).is_err());
        assert!(SessionTokens::new::<Vec<u8>>("x", &[]).is_err());
        assert!(SessionTokens::new("x", &[[1; 32]; 9]).is_err());
    }
}
