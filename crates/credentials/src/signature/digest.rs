//! `Content-Digest` (RFC 9530): the body is the one that the head speaks of.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA512};

use super::structured::{Bare, Item, Member, dictionary};

const LONGEST: usize = 4 * 1024;

/// What is wrong with a `Content-Digest` or with the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// The field is not a dictionary of bytes, or longer than 4 KiB. The text says what is wrong.
    Malformed(&'static str),
    /// It has neither `sha-256` nor `sha-512`.
    Unknown,
    /// The body is another one.
    Mismatch,
}

impl std::fmt::Display for DigestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the digest of the body is malformed: {what}"),
            Self::Unknown => f.write_str("the digest of the body is neither sha-256 nor sha-512"),
            Self::Mismatch => f.write_str("the body is not the one of its digest"),
        }
    }
}

impl std::error::Error for DigestError {}

/// Compares a body with its digests while it passes. Each known digest has to fit; others are passed over.
pub struct DigestCheck {
    expected: Vec<(Context, Vec<u8>)>,
}

impl DigestCheck {
    /// Reads the value of the field, its lines joined by commas.
    ///
    /// # Errors
    /// If nothing could be compared with it.
    pub fn parse(value: &[u8]) -> Result<Self, DigestError> {
        if value.len() > LONGEST {
            return Err(DigestError::Malformed("longer than 4 KiB"));
        }
        let mut expected = Vec::new();
        for (name, member) in dictionary(value).map_err(DigestError::Malformed)? {
            let Member::Item(Item { bare: Bare::Bytes(digest), .. }) = member else {
                return Err(DigestError::Malformed("a member is not bytes"));
            };
            let algorithm: &'static Algorithm = match name.as_str() {
                "sha-256" => &SHA256,
                "sha-512" => &SHA512,
                _ => continue,
            };
            if digest.len() != algorithm.output_len() {
                return Err(DigestError::Malformed("a digest has not the length of its algorithm"));
            }
            expected.push((Context::new(algorithm), digest));
        }
        if expected.is_empty() { Err(DigestError::Unknown) } else { Ok(Self { expected }) }
    }

    /// Takes the next bytes of the body, content codings and all, transfer codings removed.
    pub fn update(&mut self, bytes: &[u8]) {
        for (context, _) in &mut self.expected {
            context.update(bytes);
        }
    }

    /// At the end of the body.
    ///
    /// # Errors
    /// [`DigestError::Mismatch`] if it was another body.
    pub fn finish(self) -> Result<(), DigestError> {
        for (context, digest) in self.expected {
            verify_slices_are_equal(context.finish().as_ref(), &digest).map_err(|_| DigestError::Mismatch)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for DigestCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestCheck").field("digests", &self.expected.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{DigestCheck, DigestError};

    /// RFC 9421 appendix B.2 has the second for its request.
    const SHA_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA_512: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const BODY: &[u8] = br#"{"hello": "world"}"#;

    fn check(field: &str, pieces: &[&[u8]]) -> Result<(), DigestError> {
        let mut check = DigestCheck::parse(field.as_bytes())?;
        pieces.iter().for_each(|piece| check.update(piece));
        check.finish()
    }

    #[test]
    fn the_digests_of_the_rfcs_fit_however_the_body_comes() {
        for field in [SHA_256, SHA_512, &format!("{SHA_256}, {SHA_512}"), &format!("md5=:aGk=:,{SHA_512}")] {
            assert_eq!(check(field, &[BODY]), Ok(()), "{field}");
            assert_eq!(check(field, &BODY.chunks(1).collect::<Vec<_>>()), Ok(()), "{field}");
            for other in [&BODY[1..], &BODY[..BODY.len() - 1], b"", b"{\"hello\": \"World\"}"] {
                assert_eq!(check(field, &[other]), Err(DigestError::Mismatch), "{field}");
            }
        }
    }

    #[test]
    fn one_right_digest_does_not_help_a_wrong_one() {
        let wrong = SHA_256.replace("X48E", "X48F");
        assert_eq!(check(&format!("{wrong}, {SHA_512}"), &[BODY]), Err(DigestError::Mismatch));
        assert_eq!(check(&format!("{SHA_512}, {wrong}"), &[BODY]), Err(DigestError::Mismatch));
    }

    #[test]
    fn what_compares_nothing_is_refused() {
        for field in ["", "md5=:aGk=:", "sha=:aGk=:, unixsum=:aGk=:"] {
            assert_eq!(check(field, &[BODY]), Err(DigestError::Unknown), "{field}");
        }
        for field in [
            "sha-256",
            "sha-256=1",
            "sha-256=:aGk=:",
            "sha-256=(:aGk=:)",
            "SHA-256=:aGk=:",
            "sha-256=X48E9q=",
        ] {
            assert!(matches!(check(field, &[BODY]), Err(DigestError::Malformed(_))), "{field}");
        }
        assert!(
            DigestCheck::parse(format!("{SHA_256}, {}", SHA_256.replace("X48E", "X48F")).as_bytes()).is_err()
        );
        assert!(DigestCheck::parse(&[b' '; 5000]).is_err());
    }
}
