//! Methods that have a service decide.

use std::sync::Arc;

use tollgate_config::{self as config, Located, Origin};
use tollgate_outbound::grpc::{self, GrpcClient};
use tollgate_policies::auth::ext_authz::{self, ExtAuthz};
use tollgate_policies::auth::forward::{self, Forward};
use tollgate_policies::auth::{IfUnreachable, Method};

use super::super::Compiler;

impl Compiler<'_> {
    pub(super) fn forward(
        &mut self,
        name: &str,
        at: &config::ForwardAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let place = self.url(&at.url)?;
        let (client, _) = self.client(at.ca.as_ref(), origin)?;
        let settings = forward::Settings {
            timeout: at.timeout.get(),
            request_headers: names(&at.request_headers),
            response_headers: names(&at.response_headers),
            if_unreachable: if_unreachable(at.if_unreachable),
            ..forward::Settings::new(name, place)
        };
        let method = self.usable(Forward::new(&settings, client), origin)?;
        Some(Arc::new(method))
    }

    pub(super) fn ext_authz(
        &mut self,
        name: &str,
        at: &config::ExtAuthzAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let place = self.url(&at.url)?;
        let (security, trust) = self.security(at.ca.as_ref())?;
        let outside = self.outside(origin)?;
        let timeout = at.timeout.get();
        let settings = grpc::Settings {
            timeout,
            connect_timeout: timeout.min(grpc::Settings::default().connect_timeout),
            ..grpc::Settings::default()
        };
        let identity = format!("grpc {} {timeout:?} {trust}", at.url.value.as_str());
        let authority = place.authority().to_string();
        let make = || GrpcClient::new(place, settings, security, outside.handle().clone());
        let client = match self.carried.keep(self.before.carried(), &identity, make) {
            Ok(client) => (*client).clone(),
            Err(problem) => return self.wrong(origin, problem.what().to_owned()),
        };
        let settings = ext_authz::Settings {
            name: name.to_owned(),
            place: authority,
            response_headers: names(&at.response_headers),
            if_unreachable: if_unreachable(at.if_unreachable),
            ..ext_authz::Settings::default()
        };
        let method = self.usable(ExtAuthz::new(settings, client), origin)?;
        Some(Arc::new(method))
    }
}

fn names(names: &config::Many<Located<config::HeaderName>>) -> Vec<String> {
    names.iter().map(|name| name.value.to_string()).collect()
}

fn if_unreachable(setting: config::IfUnreachable) -> IfUnreachable {
    match setting {
        config::IfUnreachable::Deny => IfUnreachable::Deny,
        config::IfUnreachable::Allow => IfUnreachable::Allow,
    }
}
