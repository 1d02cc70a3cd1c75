//! Secret keys, which may hold any bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value as Json;

use super::Secret;
use super::digest::hex_digit;
use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::Node;

/// A secret key: a text, which stands for its bytes, or `base64:` (either alphabet, RFC 4648) or `hex:` and what
/// encodes them; or `{ file: … }` with such a text in it. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret {
    written: Secret,
    bytes: Box<[u8]>,
}

impl KeySecret {
    /// The bytes of the key. Must not be logged.
    pub fn reveal(&self) -> &[u8] {
        &self.bytes
    }

    /// The file it was read from, as the document names it.
    pub fn file(&self) -> Option<&str> {
        self.written.file()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Setting for KeySecret {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let written = Secret::decode(node, decoder)?;
        let wrong = match bytes(written.reveal()) {
            Ok(bytes) if bytes.is_empty() => "this key is empty",
            Ok(bytes) => return Some(Self { written, bytes: bytes.into() }),
            Err(problem) => problem,
        };
        decoder.report(Diagnostic::error(node.origin, wrong).mend("`openssl rand -hex 32` makes a good one"));
        None
    }
    fn shape() -> Shape {
        Secret::shape()
    }
    fn encode(&self) -> Json {
        self.written.encode()
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    if let Some(encoded) = text.strip_prefix("base64:") {
        let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
        let decoded = engines.iter().find_map(|engine| engine.decode(encoded).ok());
        return decoded.ok_or("what follows `base64:` is not base64");
    }
    let Some(hex) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    let problem = "what follows `hex:` is not pairs of hexadecimal digits";
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or(problem)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn keys_are_texts_or_encoded() {
        assert_eq!(bytes("abc").unwrap(), b"abc");
        for text in ["base64:/+8=", "base64:/+8", "base64:_-8=", "base64:_-8", "hex:ffef", "hex:FFEF"] {
            assert_eq!(bytes(text).unwrap(), [0xff, 0xef], "{text}");
        }
        assert_eq!(bytes("hex:").unwrap(), b"");
        for text in ["base64:!", "base64:/+8==", "hex:f", "hex:fg", "hex:é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
