//! What requests must be like, where they may come from, and what browsers are told.

use std::sync::Arc;

use tollgate_config::{self as config, Located, Switch};
use tollgate_policies::cors::{self, Cors};
use tollgate_policies::csrf::{self, Csrf};
use tollgate_policies::request_limits::{self, RequestLimits};
use tollgate_policies::security_headers::{self, Hsts, Preset, SecurityHeaders};
use tollgate_policy::Policy;

use super::{Compiler, made};

fn texts<T: ToString>(list: &config::Many<Located<T>>) -> Vec<String> {
    list.iter().map(|entry| entry.value.to_string()).collect()
}

impl Compiler<'_> {
    pub(super) fn cors(&mut self, at: Located<&config::Cors>) -> Option<Arc<dyn Policy>> {
        let cors = at.value;
        let settings = cors::Settings {
            origins: texts(&cors.origins),
            methods: texts(&cors.methods),
            headers: texts(&cors.headers),
            expose: texts(&cors.expose),
            credentials: cors.credentials.value,
            max_age_s: cors.max_age.get().as_secs(),
        };
        self.usable(Cors::new(&settings), at.origin).and_then(made)
    }

    pub(super) fn csrf(&mut self, at: Located<&config::Csrf>) -> Option<Arc<dyn Policy>> {
        let settings = csrf::Settings { trusted_origins: texts(&at.value.trusted_origins), same_site: false };
        self.usable(Csrf::new(&settings), at.origin).and_then(made)
    }

    pub(super) fn request_limits(&mut self, at: Located<&config::RequestLimits>) -> Option<Arc<dyn Policy>> {
        let limits = at.value;
        let settings = request_limits::Settings {
            methods: texts(&limits.methods),
            content_types: texts(&limits.content_types),
            body_size: limits.body_size.map(|size| size.bytes()),
            fields: limits.fields.map(|fields| fields.get() as usize),
            ..request_limits::Settings::default()
        };
        self.usable(RequestLimits::new(settings), at.origin).and_then(made)
    }

    pub(super) fn security_headers(
        &mut self,
        at: Located<&config::SecurityHeaders>,
    ) -> Option<Arc<dyn Policy>> {
        let wanted = at.value;
        let mut fields = Vec::new();
        let mut say = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields.push((name.to_owned(), Some(value.to_owned())));
            }
        };
        let frames = wanted.frame_options.on().map(|options| match options {
            config::FrameOptions::Deny => "DENY",
            config::FrameOptions::SameOrigin => "SAMEORIGIN",
        });
        say("X-Content-Type-Options", wanted.nosniff.then_some("nosniff"));
        say("X-Frame-Options", frames);
        say("Referrer-Policy", wanted.referrer_policy.on().map(|v| v.as_str()));
        say("Content-Security-Policy", wanted.content_security_policy.as_ref().map(|v| v.as_str()));
        say("Permissions-Policy", wanted.permissions_policy.as_ref().map(|v| v.as_str()));
        say("Cross-Origin-Opener-Policy", wanted.opener_policy.on().map(|v| v.as_str()));
        say("Cross-Origin-Resource-Policy", wanted.resource_policy.on().map(|v| v.as_str()));
        let hsts = match &wanted.hsts {
            Switch::On(hsts) => Some(Hsts {
                max_age_s: hsts.max_age.get().as_secs(),
                include_subdomains: hsts.include_subdomains,
                preload: hsts.preload.value,
            }),
            Switch::Off => None,
        };
        let settings = security_headers::Settings {
            preset: Preset::None,
            fields,
            overwrite: wanted.replace,
            remove: texts(&wanted.remove),
            hide_software: false,
            hsts,
        };
        self.usable(SecurityHeaders::new(&settings), at.origin).and_then(made)
    }
}
