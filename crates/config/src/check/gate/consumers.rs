//! Consumers and their credentials.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Consumer, Credential, CredentialIdentity, Gate, SignatureAlgorithm, SignatureMaterial};
use crate::source::{Located, Origin};
use crate::table::Table;
use crate::units::Name;

pub(super) fn check(gate: &Gate, found: &mut Diagnostics) {
    duplicates(&gate.consumers, found);
    for pattern in gate.consumer_files.iter() {
        let folder = pattern.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.contains(['*', '?']) {
            let message =
                format!("`{}` has a wildcard in a folder's name, not only in the file's", pattern.as_str());
            found.push(Diagnostic::error(pattern.origin, message).mend("write a pattern for each folder"));
        }
    }
}

/// Checks each credential, and that no two are the same: their consumers could not be told apart.
pub(crate) fn duplicates(consumers: &Table<Name, Consumer>, found: &mut Diagnostics) {
    let mut seen: HashMap<CredentialIdentity<'_>, (&str, Origin)> = HashMap::with_capacity(consumers.len());
    for (name, consumer) in consumers.iter() {
        for credential in consumer.credentials.iter() {
            self::credential(credential, found);
            let identity = credential.identity();
            let here = (name.as_str(), credential.origin);
            let Some((first, origin)) = seen.insert(identity, here) else { continue };
            let message = match first == name.as_str() {
                true => format!("`{first}` has this {} twice", identity.words()),
                false => format!("`{}` and `{first}` have the same {}", name.as_str(), identity.words()),
            };
            let finding = Diagnostic::error(credential.origin, message).note(origin, "first here");
            found.push(finding.mend("remove one of the two"));
        }
    }
}

fn credential(credential: &Located<Credential>, found: &mut Diagnostics) {
    match &credential.value {
        Credential::Password(password) => {
            let user = password.user.as_str();
            if user.is_empty() || user.contains(':') {
                // RFC 7617 section 2.
                let message = "a user has at least one sign, and no `:`";
                found.push(Diagnostic::error(credential.origin, message));
            }
        }
        Credential::Signature(key) => {
            let shared = key.algorithm.value == SignatureAlgorithm::HmacSha256;
            let mend = match (&key.material, shared) {
                (SignatureMaterial::PublicKey(_), true) => "write `secret`",
                (SignatureMaterial::Secret(_), false) => "write `public_key: FILE`",
                _ => return,
            };
            let message = format!("`{}` cannot be verified with this kind of key", key.algorithm.word());
            found.push(Diagnostic::error(key.algorithm.origin, message).mend(mend));
        }
        Credential::ApiKey(_) | Credential::Subject(_) | Credential::Certificate(_) => {}
    }
}
