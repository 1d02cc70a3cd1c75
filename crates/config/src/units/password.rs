//! Hashes of passwords.

use std::fmt;

use serde_json::{Value as Json, json};

use super::secret::{SEALED, seal};
use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::Node;

/// How hashes begin that can be verified: argon2 in PHC form, bcrypt in crypt form.
const KINDS: [&str; 6] = ["$argon2id$", "$argon2i$", "$argon2d$", "$2b$", "$2y$", "$2a$"];

/// Bytes of a hash, at most.
const LONGEST: usize = 512;

/// The hash of a password: argon2 (`$argon2id$…`) or bcrypt (`$2b$…`). Never printed, since weak passwords can be
/// found from it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// The hash itself. Must not be logged.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password hash)")
    }
}

impl Setting for PasswordHash {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let scalar = decoder.scalar(node, "the hash of a password")?;
        if !scalar.filled {
            decoder.sources.mark_secret(node.origin);
        }
        let text = scalar.text.as_str();
        let known = KINDS.iter().any(|kind| text.starts_with(kind));
        if known && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(Self(text.into()));
        }
        // It may be the password itself.
        let finding = Diagnostic::error(node.origin, "this is not the hash of a password");
        decoder.report(finding.mend(
            "write an argon2 or bcrypt hash (`$argon2id$…`, `$2b$…`); `tollgate credential new` makes one",
        ));
        None
    }
    fn shape() -> Shape {
        Shape::pattern("password hash", r"^\$(argon2id?|argon2d|2[aby])\$[!-~]+$")
    }
    fn encode(&self) -> Json {
        json!({ SEALED: seal(&self.0) })
    }
}
