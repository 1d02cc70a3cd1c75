//! Who may come.

use std::sync::Arc;

use tollgate_config::{self as config, Located};
use tollgate_policies::auth::{self, Auth, IdentityFields, Wanted};
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
        made(Auth::new(methods, wanted, anonymous, IdentityFields::default()))
    }

    /// A method by its name, made once however many routes name it.
    fn method(&mut self, name: &Located<config::Name>) -> Option<Arc<dyn auth::Method>> {
        let key = name.value.as_str();
        if let Some(method) = self.shared.methods.get(key) {
            return method.clone();
        }
        // One that is not there was found by the checks.
        let _settings = self.document.gate.auth.get(key)?;
        None
    }
}
