//! Methods for what callers show of their own.

use std::sync::Arc;

use tollgate_config::{self as config, Origin};
use tollgate_credentials::password::{PasswordCache, Stored};
use tollgate_credentials::signature::ReplayGuard;
use tollgate_policies::auth::basic::{self, Basic, ChecksSettings, PasswordChecks};
use tollgate_policies::auth::certificate::{self, Certificate};
use tollgate_policies::auth::signature::{self, Nonces, Signature};
use tollgate_policies::auth::{Method, Places, api_key};

use super::super::Compiler;
use super::calls::random;

/// Passwords that were right are remembered so long, in seconds: whoever changes one waits no longer for the old to
/// stop working.
const RIGHT_S: u64 = 300;
/// How many of them, for all methods.
const RIGHT: usize = 10_000;

impl Compiler<'_> {
    pub(super) fn api_key(&mut self, name: &str, at: &config::ApiKeyAuth) -> Option<Arc<dyn Method>> {
        let text = |header: &config::HeaderName| header.to_string();
        let header = at.header.as_ref().map(|header| text(&header.value));
        let query = at.query.as_ref().map(|query| query.value.to_string());
        let cookie = at.cookie.as_ref().map(|cookie| cookie.value.to_string());
        Some(Arc::new(api_key::ApiKey::new(api_key::Settings {
            name: name.into(),
            places: Places::new(header.as_deref(), query.as_deref(), cookie.as_deref()),
            forward: at.forward,
            realm: "tollgate".to_owned(),
        })))
    }

    pub(super) fn certificate(
        &mut self,
        name: &str,
        at: &config::CertificateAuth,
    ) -> Option<Arc<dyn Method>> {
        let settings = certificate::Settings { name: name.into(), allow_unknown: at.allow_unknown };
        Some(Arc::new(Certificate::new(settings)))
    }

    pub(super) fn basic(
        &mut self,
        name: &str,
        at: &config::BasicAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let of_consumers =
            self.document.gate.consumers.iter().flat_map(|(_, consumer)| consumer.credentials.iter());
        let hashes = of_consumers.filter_map(|credential| match &credential.value {
            config::Credential::Password(password) => Stored::parse(password.hash.reveal()).ok(),
            _ => None,
        });
        let known = hashes.collect();
        let users = self.users(at.htpasswd.as_ref(), known)?;
        let before = self.before.carried();
        let start = || PasswordChecks::start(ChecksSettings::default());
        let checks = match self.carried.keep(before, "password checks", start) {
            Ok(checks) => checks,
            Err(error) => {
                return self.wrong(origin, format!("cannot start threads that verify passwords: {error}"));
            }
        };
        let remember = || Ok::<_, ()>(PasswordCache::new(RIGHT, RIGHT_S, &random()));
        let right = self.carried.keep(before, "right passwords", remember).ok()?;
        let settings =
            basic::Settings { name: name.into(), realm: at.realm.value.to_string(), forward: at.forward };
        Some(Arc::new(Basic::new(settings, users, checks, right)))
    }

    pub(super) fn signature(
        &mut self,
        name: &str,
        at: &config::SignatureAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let covered: Vec<String> = at.covered.iter().map(|component| component.value.to_string()).collect();
        let covered: Vec<&str> = covered.iter().map(String::as_str).collect();
        let settings = signature::Settings {
            max_age_s: at.max_age.get().as_secs(),
            clock_skew_s: at.clock_skew.get().as_secs(),
            nonces: match at.nonce {
                config::NonceRule::Required => Nonces::Required,
                config::NonceRule::Optional => Nonces::Once,
                config::NonceRule::Ignored => Nonces::Ignored,
            },
            label: at.label.as_ref().map(|label| label.value.to_string()),
            ..signature::Settings::new(name, &covered)
        };
        let max = at.max_nonces.get() as usize;
        let identity = format!("nonces {name} {max}");
        let make = || Ok::<_, ()>(ReplayGuard::new(max));
        let guard = self.carried.keep(self.before.carried(), &identity, make).ok()?;
        let made = self.usable(Signature::new(&settings, guard), origin)?;
        Some(Arc::new(made))
    }
}
