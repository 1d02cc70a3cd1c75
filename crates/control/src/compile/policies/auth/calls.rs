//! How methods reach those whom they ask.

use std::sync::Arc;

use tollgate_config::{Diagnostic, FilePath, HttpUrl, Located, Origin};
use tollgate_outbound::source::{Event, OnEvent};
use tollgate_outbound::{HttpClient, Security, Settings, Url};
use tollgate_tls::Roots;

use super::super::Compiler;
use crate::outside::Outside;

impl Compiler<'_> {
    /// Where calls run. `None` after a finding.
    pub(super) fn outside(&mut self, origin: Origin) -> Option<Arc<Outside>> {
        match self.carried.outside() {
            Ok(outside) => Some(outside),
            Err(error) => self.wrong(origin, error),
        }
    }

    /// Whose certificates a method trusts, and what tells them apart. `None` after a finding.
    pub(super) fn security(&mut self, ca: Option<&Located<FilePath>>) -> Option<(Security, String)> {
        let Some(path) = ca else {
            let roots = self.system_roots.get_or_insert_with(Roots::system).clone();
            return Some((Security::with_roots(roots), "system".to_owned()));
        };
        let pem = self.file(path)?;
        match Roots::from_pem(pem.value.bytes()) {
            Ok(roots) => {
                let identity = format!("{:?}", roots.digest());
                Some((Security::with_roots(roots), identity))
            }
            Err(problem) => self.wrong(path.origin, problem.what().to_owned()),
        }
    }

    /// The client for calls of methods that trust the same authorities: they share its connections. Besides, what
    /// tells it apart. `None` after a finding.
    pub(super) fn client(
        &mut self,
        ca: Option<&Located<FilePath>>,
        origin: Origin,
    ) -> Option<(HttpClient, String)> {
        let (security, identity) = self.security(ca)?;
        let outside = self.outside(origin)?;
        let make = || HttpClient::new(Settings::default(), security, outside.handle().clone());
        match self.carried.keep(self.before.carried(), &format!("client {identity}"), make) {
            Ok(client) => Some(((*client).clone(), identity)),
            Err(problem) => self.wrong(origin, problem.what().to_owned()),
        }
    }

    /// A URL of the document, which has checked it already. `None` after a finding.
    pub(super) fn url(&mut self, url: &Located<HttpUrl>) -> Option<Url> {
        match url.value.as_str().parse() {
            Ok(url) => Some(url),
            Err(error) => self.wrong(url.origin, error.to_string()),
        }
    }

    /// Notes a finding.
    pub(super) fn wrong<T>(&mut self, origin: Origin, message: String) -> Option<T> {
        self.diagnostics.push(Diagnostic::error(origin, message));
        None
    }

    /// Tells the operator of a source of keys or the like.
    pub(super) fn heard_of(&self, what: String) -> OnEvent {
        let say = self.carried.say();
        Arc::new(move |event: &Event| match event {
            Event::Changed { .. } | Event::Unchanged => {}
            Event::Failed { error, failures, has_value } => {
                // The first of a row, and then now and then.
                if failures.is_power_of_two() {
                    let kept = if *has_value { "what is known is used on" } else { "nothing is known" };
                    say(&format!("{what}: {error} ({failures} in a row, {kept})"));
                }
            }
            Event::Expired => say(&format!("{what}: what is known is too old to be used")),
        })
    }
}

/// Random bytes, fit for keys.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills in random bytes, fit for keys.
pub(super) fn fill(bytes: &mut [u8]) {
    if tollgate_runtime::random::unguessable(bytes).is_err() {
        // It does not happen on a system that runs. What is made of bytes that can be guessed must not be used by
        // anybody.
        std::process::abort();
    }
}
