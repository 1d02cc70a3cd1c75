//! The certificates that listeners serve with.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::Process;
use tollgate_control::certificates::{Told, told};
use tollgate_runtime::date;

/// A certificate that is served with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateStatus {
    /// What it is found by: its file, or `acme:` and a name.
    pub id: String,
    /// The listeners that serve with it.
    pub listeners: Vec<String>,
    /// The names that it is for.
    pub names: Vec<String>,
    /// Who made it.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The kind of its key: `ecdsa`, `ed25519`, `rsa` or `other`.
    pub key: String,
    /// From when it is valid, RFC 3339.
    pub begins: String,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The file that its key is in, if it was read from files.
    pub key_file: Option<String>,
    /// Whether an OCSP response is stapled to it.
    pub stapled: bool,
    /// What someone should know of it: that it ends soon, that its files cannot be used any more.
    pub warnings: Vec<String>,
}

pub(super) fn certificates(process: &Process) -> Vec<CertificateStatus> {
    told(process).into_iter().map(CertificateStatus::of).collect()
}

impl CertificateStatus {
    fn of(told: Told) -> Self {
        let at =
            |seconds: i64| date::rfc3339(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
        let Told { listeners, description, files, warnings, .. } = told;
        Self {
            id: description.id,
            listeners,
            names: description.names,
            issuer: description.issuer,
            serial: description.serial,
            key: description.kind.as_str().to_owned(),
            begins: at(description.not_before),
            expires: at(description.not_after),
            key_file: files.map(|files| files.key.display().to_string()),
            stapled: description.is_stapled,
            warnings,
        }
    }
}
