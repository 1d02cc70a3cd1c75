//! Rules about callers.

use std::sync::Arc;

use serde_json::Value as Json;
use tollgate_config::{self as config, Located};
use tollgate_expression::Wanted;
use tollgate_policies::access::{Access, Rule, Settings};
use tollgate_policy::Policy;

use super::{Compiler, made};

impl Compiler<'_> {
    pub(super) fn access(&mut self, at: Located<&config::Access>) -> Option<Arc<dyn Policy>> {
        let (allow, deny) = (self.rules(&at.value.allow), self.rules(&at.value.deny));
        let otherwise_allow = at.value.otherwise() == config::Otherwise::Allow;
        made(Access::new(Settings { allow: allow?, deny: deny?, otherwise_allow }))
    }

    pub(super) fn allow_if(&mut self, at: Located<&config::ExpressionText>) -> Option<Arc<dyn Policy>> {
        let text = Located { value: at.value.clone(), origin: at.origin };
        let allow = vec![Rule::If(self.expression(&text, Wanted::Bool)?)];
        made(Access::new(Settings { allow, ..Settings::default() }))
    }

    fn rules(&mut self, rules: &config::Many<Located<config::AccessRule>>) -> Option<Vec<Rule>> {
        // All of them, so that what is wrong in each is told.
        let made: Vec<_> = rules.iter().map(|rule| self.rule(&rule.value)).collect();
        made.into_iter().collect()
    }

    fn rule(&mut self, rule: &config::AccessRule) -> Option<Rule> {
        let names = |names: &config::Many<Located<config::Name>>| {
            names.iter().map(|name| name.value.as_str().into()).collect()
        };
        Some(match rule {
            config::AccessRule::Group(groups) => Rule::Group(names(groups)),
            config::AccessRule::Consumer(consumers) => Rule::Consumer(names(consumers)),
            config::AccessRule::Scope(scopes) => {
                Rule::Scope(scopes.iter().map(|scope| scope.value.as_str().into()).collect())
            }
            config::AccessRule::Claim(claims) => {
                let claim =
                    |(path, values): &(Located<config::ClaimPath>, config::Many<config::ClaimValue>)| {
                        (path.value.as_str().into(), values.iter().map(value).collect())
                    };
                Rule::Claim(claims.iter().map(claim).collect())
            }
            config::AccessRule::If(text) => Rule::If(self.expression(text, Wanted::Bool)?),
        })
    }
}

fn value(value: &config::ClaimValue) -> Json {
    match value {
        config::ClaimValue::Text(text) => Json::from(&**text),
        config::ClaimValue::Number(number) => Json::from(*number),
        config::ClaimValue::Flag(flag) => Json::from(*flag),
    }
}
