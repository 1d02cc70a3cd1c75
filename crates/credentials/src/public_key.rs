//! Public keys from PEM text or their parts, of the kinds that tokens and requests are signed with.

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::public_key::RSAPublicKey;

/// The longest PEM text that is looked at, in bytes.
const LONGEST_PEM: usize = 64 * 1024;

/// Why a key cannot be used. Nothing of the key is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unusable {}

/// What kind of key it is: which algorithms may use it follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

/// A public key in the form that the library reads: the DER of PKCS #1 for RSA, the uncompressed point for a curve,
/// the 32 bytes for Ed25519.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    pub(crate) family: Family,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// From `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` in PEM.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, Unusable> {
        let (label, der) = pem(text)?;
        match label {
            "PUBLIC KEY" => Self::from_info(&der),
            "RSA PUBLIC KEY" => Self::new(Family::Rsa, der),
            "CERTIFICATE" => {
                let (_, certificate) = X509Certificate::from_der(&der)
                    .map_err(|_| Unusable("the certificate cannot be read"))?;
                Self::from_info(certificate.public_key().raw)
            }
            label if label.contains("PRIVATE KEY") => {
                Err(Unusable("this is a private key: only its public half belongs here"))
            }
            _ => Err(Unusable("no PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE in the PEM text")),
        }
    }

    /// From modulus and exponent, big-endian.
    pub(crate) fn from_rsa(n: &[u8], e: &[u8]) -> Result<Self, Unusable> {
        let mut numbers = der_integer(n);
        numbers.extend(der_integer(e));
        Self::new(Family::Rsa, der_value(0x30, &numbers))
    }

    /// From the coordinates of a point, each of the curve's full length (RFC 7518 section 6.2.1.2).
    pub(crate) fn from_point(family: Family, x: &[u8], y: &[u8]) -> Result<Self, Unusable> {
        let length = match family {
            Family::P256 => 32,
            Family::P384 => 48,
            _ => 66,
        };
        if x.len() != length || y.len() != length {
            return Err(Unusable("the coordinates of the point have not the length of the curve"));
        }
        Self::new(family, [&[4], x, y].concat())
    }

    /// From the 32 bytes of RFC 8032.
    pub(crate) fn from_ed25519(x: &[u8]) -> Result<Self, Unusable> {
        Self::new(Family::Ed25519, x.to_vec())
    }

    /// The key ready to verify by this algorithm, which must be one of its family.
    pub(crate) fn prepare(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
    ) -> Result<ParsedPublicKey, Unusable> {
        ParsedPublicKey::new(algorithm, &self.bytes)
            .map_err(|_| Unusable("the key is not one of its algorithm"))
    }

    /// The bytes that make it this key.
    pub(crate) fn material(&self) -> &[u8] {
        &self.bytes
    }

    fn from_info(der: &[u8]) -> Result<Self, Unusable> {
        let (rest, info) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| Unusable("the public key cannot be read"))?;
        if !rest.is_empty() {
            return Err(Unusable("something follows the public key"));
        }
        let curve = || info.algorithm.parameters.as_ref()?.as_oid().ok().map(|oid| oid.to_id_string());
        let family = match info.algorithm.algorithm.to_id_string().as_str() {
            // rsaEncryption, and id-RSASSA-PSS whose key is written the same way (RFC 4055).
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Family::Rsa,
            "1.3.101.112" => Family::Ed25519,
            "1.2.840.10045.2.1" => match curve().as_deref() {
                Some("1.2.840.10045.3.1.7") => Family::P256,
                Some("1.3.132.0.34") => Family::P384,
                Some("1.3.132.0.35") => Family::P521,
                _ => return Err(Unusable("the curve is none of P-256, P-384, P-521")),
            },
            _ => return Err(Unusable("neither an RSA, an EC nor an Ed25519 key")),
        };
        Self::new(family, info.subject_public_key.data.to_vec())
    }

    /// Checks that the library takes it, so that a bad key is told when it is read and not when it is used.
    fn new(family: Family, bytes: Vec<u8>) -> Result<Self, Unusable> {
        let probe: &'static dyn VerificationAlgorithm = match family {
            Family::Rsa => {
                let (rest, key) =
                    RSAPublicKey::from_der(&bytes).map_err(|_| Unusable("not an RSA public key"))?;
                if !rest.is_empty() {
                    return Err(Unusable("something follows the RSA public key"));
                }
                let bits = key.key_size();
                if !(2048..=8192).contains(&bits) {
                    return Err(Unusable("RSA keys have 2048 to 8192 bits"));
                }
                &signature::RSA_PKCS1_2048_8192_SHA256
            }
            Family::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Family::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Family::P521 => &signature::ECDSA_P521_SHA512_FIXED,
            Family::Ed25519 => &signature::ED25519,
        };
        let key = Self { family, bytes };
        key.prepare(probe).map(|_| key)
    }
}

/// The first block of the text: its label and bytes.
fn pem(text: &[u8]) -> Result<(&str, Vec<u8>), Unusable> {
    if text.len() > LONGEST_PEM {
        return Err(Unusable("the PEM text is longer than 64 KiB"));
    }
    let text = std::str::from_utf8(text).map_err(|_| Unusable("not PEM text"))?;
    let (_, after) =
        text.split_once("-----BEGIN ").ok_or(Unusable("not PEM text: `-----BEGIN` is missing"))?;
    let (label, after) = after.split_once("-----").ok_or(Unusable("the PEM label has no end"))?;
    let end = after.find("-----END ").ok_or(Unusable("the PEM text has no `-----END`"))?;
    let body: String = after[..end].split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| Unusable("the PEM text is not base64"))?;
    Ok((label, der))
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = number[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first & 0x80 != 0) {
        digits.insert(0, 0);
    }
    der_value(0x02, &digits)
}

fn der_value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        der.push(0x80 | digits.len() as u8);
        der.extend_from_slice(digits);
    }
    der.extend_from_slice(content);
    der
}
