//! Digests that stand for credentials, so that the document does not hold the credentials themselves.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// A SHA-256 digest (FIPS 180-4): `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The bytes of the digest.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl FromStr for Sha256 {
    type Err = ValueError;

    // The text may be a secret that somebody forgot to hash, so no message repeats it.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(hex) = text.strip_prefix("sha256:") else {
            let mend = "write `sha256:` and 64 hexadecimal digits; `tollgate credential new` makes one";
            return Err(ValueError::mend("this is not the hash of a credential", mend));
        };
        let wrong = || {
            let mend = format!("write 64 hexadecimal digits behind `sha256:`; here are {} signs", hex.len());
            ValueError::mend("this is not a SHA-256 hash", mend)
        };
        let mut bytes = [0; 32];
        let hex = hex.as_bytes();
        if hex.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let (Some(high), Some(low)) = (hex_digit(pair[0]), hex_digit(pair[1])) else {
                return Err(wrong());
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    Sha256,
    "a SHA-256 hash",
    Shape::pattern("SHA-256 hash", r"^sha256:[0-9A-Fa-f]{64}$"),
    suspect | _ | true
);

/// What a client's certificate must be like: `sha256:` and the digest of the whole of it (DER), `san:` and one of
/// its alternative names, or `subject:` and its subject as RFC 4514 writes it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum CertificateMatch {
    /// The digest of the certificate.
    Fingerprint(Sha256),
    /// A DNS name, URI, address or e-mail address among its alternative names.
    AlternativeName(Box<str>),
    /// Its subject: `CN=alice,O=x`.
    Subject(Box<str>),
}

impl FromStr for CertificateMatch {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            Some(("sha256", _)) => text.parse().map(Self::Fingerprint),
            Some(("san", name)) if !name.is_empty() => Ok(Self::AlternativeName(name.into())),
            Some(("subject", name)) if name.contains('=') => Ok(Self::Subject(name.into())),
            _ => Err(ValueError::mend(
                format!("`{text}` says nothing of a certificate"),
                "write `sha256:…`, `san:alice.example` or `subject:CN=alice,O=x`",
            )),
        }
    }
}

impl fmt::Display for CertificateMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(digest) => digest.fmt(f),
            Self::AlternativeName(name) => write!(f, "san:{name}"),
            Self::Subject(name) => write!(f, "subject:{name}"),
        }
    }
}

impl fmt::Debug for CertificateMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    CertificateMatch,
    "what a certificate must be like",
    Shape::pattern("certificate", r"^(sha256:[0-9A-Fa-f]{64}|san:.+|subject:.*=.*)$")
);

#[cfg(test)]
mod tests {
    use super::{CertificateMatch, Sha256};

    #[test]
    fn digests_are_read_or_refused_without_repeating_them() {
        let hex = "00ff".repeat(16);
        let digest: Sha256 = format!("sha256:{}", hex.to_uppercase()).parse().unwrap();
        assert_eq!((digest.bytes()[0], digest.bytes()[1]), (0, 255));
        assert_eq!(digest.to_string(), format!("sha256:{hex}"));
        for text in [hex.as_str(), "hunter2", "sha256:hunter2", &format!("sha256:{}g", &hex[1..]), ""] {
            let error = text.parse::<Sha256>().unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains(&hex), "{error}");
        }
    }

    #[test]
    fn certificates_are_named_in_three_ways() {
        for text in ["san:alice.example", "subject:CN=alice,O=x", &format!("sha256:{}", "0a".repeat(32))] {
            assert_eq!(text.parse::<CertificateMatch>().unwrap().to_string(), text);
        }
        for text in ["alice", "san:", "subject:alice", "sha256:00", "issuer:CN=x"] {
            assert!(text.parse::<CertificateMatch>().is_err(), "{text}");
        }
    }
}
