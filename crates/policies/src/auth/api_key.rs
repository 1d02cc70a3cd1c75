//! API keys of consumers.
//!
//! A key is looked up by its hash, and compared with nothing: see `tollgate_credentials::api_key` for why that is
//! safe. A good key costs one SHA-256 and one look-up, and allocates nothing as long as it is in a header.

use std::sync::Arc;

use tollgate_credentials::api_key;
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Asked, Caller, CredentialKind, Gate, Refused, Resolution};

use super::places::{Places, Shown};
use super::{Finding, Method, bearer};

/// What a document sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the document calls the method.
    pub name: Arc<str>,
    /// Where a key may be. Where several places show one, all must show the same.
    pub places: Places,
    /// Whether the origin gets the key too.
    pub forward: bool,
    /// The protection space that callers are told of, if keys are shown as bearer tokens.
    pub realm: String,
}

/// Finds consumers by their API keys.
#[derive(Debug)]
pub struct ApiKey {
    settings: Settings,
}

impl ApiKey {
    /// A method with these settings. Consumers have keys as [`CredentialKind::ApiKey`], the 32 bytes of
    /// `tollgate_credentials::api_key::parse`.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn consumer(&self, asked: &Asked<'_>, key: &[u8]) -> Finding {
        if !key.iter().all(u8::is_ascii_graphic) {
            return malformed("the key is not of visible ASCII characters");
        }
        let Some(hash) = api_key::hash(key) else {
            return malformed("the key is empty or longer than 512 bytes");
        };
        match asked.consumers.find(CredentialKind::ApiKey, &hash) {
            Some((consumer, _)) => Finding::Known(Caller {
                consumer: Some(consumer.clone()),
                subject: None,
                auth: self.settings.name.clone(),
                claims: None,
                anonymous: false,
            }),
            None => Finding::Refused(Reason::CredentialUnknown.into()),
        }
    }
}

impl Method for ApiKey {
    fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Finding {
        let finding = match self.settings.places.only(asked) {
            Shown::Nothing => return Finding::Absent,
            Shown::Unclear(why) => return malformed(why),
            Shown::One(key) => self.consumer(asked, &key),
        };
        if !self.settings.forward && matches!(finding, Finding::Known(_)) {
            self.settings.places.take_away(asked, gate);
        }
        finding
    }

    fn challenge(&self, _: Reason) -> Option<String> {
        self.settings.places.has_bearer().then(|| bearer::realm("Bearer", &self.settings.realm))
    }

    fn remove_forged(&self, _: &mut Edits) {}
}

fn malformed(why: &'static str) -> Finding {
    Finding::Refused(Refused::because(Reason::CredentialMalformed, why))
}

#[cfg(test)]
mod tests;
