//! Who may come.

mod asked;
mod calls;
mod htpasswd;
mod login;
mod shown;
mod tokens;

use std::sync::Arc;

use tollgate_config::{self as config, AuthMethod, Located};
use tollgate_policies::auth::{self, Auth, HandedOn, IdentityFields, Method, Wanted};
use tollgate_policy::Policy;

use super::{Compiler, made};

impl Compiler<'_> {
    pub(super) fn auth(&mut self, at: Located<&config::Auth>) -> Option<Arc<dyn Policy>> {
        let wanted = match &at.value.methods {
            config::AuthMethods::Any(_) => Wanted::Any,
            config::AuthMethods::All(_) => Wanted::All,
        };
        let methods: Vec<_> = at.value.methods.names().iter().map(|name| self.method(name)).collect();
        let anonymous = match at.value.anonymous.as_ref().map(|anonymous| &anonymous.value) {
            None | Some(config::Anonymous::Refused) => None,
            Some(config::Anonymous::Nobody) => Some(auth::Anonymous::Nobody),
            Some(config::Anonymous::Consumer(name)) => Some(auth::Anonymous::Consumer(name.to_string())),
        };
        let methods = methods.into_iter().collect::<Option<_>>()?;
        let name =
            |name: &Option<Located<config::HeaderName>>| name.as_ref().map(|name| name.value.to_string());
        let fields = &at.value.identity_headers;
        let identity = IdentityFields {
            consumer: name(&fields.consumer),
            groups: name(&fields.groups),
            subject: name(&fields.subject),
            auth: name(&fields.auth),
        };
        made(Auth::new(methods, wanted, anonymous, identity))
    }

    /// A method by its name, made once however many routes name it.
    fn method(&mut self, name: &Located<config::Name>) -> Option<Arc<dyn Method>> {
        let key = name.value.as_str();
        if let Some(method) = self.shared.methods.get(key) {
            return method.clone();
        }
        // One that is not there was found by the checks.
        let settings = self.document.gate.auth.get(key)?;
        let (origin, method) = (settings.origin, &settings.value);
        let method = match method {
            AuthMethod::ApiKey(settings) => self.api_key(key, settings),
            AuthMethod::Basic(settings) => self.basic(key, settings, origin),
            AuthMethod::Certificate(settings) => self.certificate(key, settings),
            AuthMethod::Signature(settings) => self.signature(key, settings, origin),
            AuthMethod::Jwt(settings) => self.jwt(key, settings, origin),
            AuthMethod::Introspection(settings) => self.introspection(key, settings, origin),
            AuthMethod::Oidc(settings) => self.oidc(key, settings, origin),
            AuthMethod::Forward(settings) => self.forward(key, settings, origin),
            AuthMethod::ExtAuthz(settings) => self.ext_authz(key, settings, origin),
        };
        self.shared.methods.insert(key.to_owned(), method.clone());
        method
    }
}

fn handed_on(claims: &config::Table<config::HeaderName, config::ClaimPath>) -> HandedOn {
    let field = |(name, path): &(Located<config::HeaderName>, config::ClaimPath)| {
        (name.value.to_string(), path.as_str().to_owned())
    };
    HandedOn::new(claims.iter().map(field).collect())
}
