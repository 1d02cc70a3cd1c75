//! Policies of routes: from what the document says to the chains that requests pass.
//!
//! What several routes share in the document is one policy and one chain here, so that 100,000 routes under the same
//! defaults cost one. What policies count and remember is found again by name in the document before, and goes on.

mod access;
mod addresses;
mod admission;
mod auth;
mod carried;
mod fault;
mod limits;
mod redis;

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_config::{
    self as config, Diagnostic, Document, EffectiveAccess, EffectivePolicies, Located, Origin,
};
use tollgate_expression::{Expression, Wanted};
use tollgate_policies::Unusable;
use tollgate_policy::{Chain, Entry, Policy};

use super::Compiler;
use super::destinations::Subsets;

pub use carried::{Carried, Say};

/// Policies, chains and subsets that routes share.
#[derive(Default)]
pub struct Shared {
    /// By the place of their settings in the document, and what else they depend on.
    policies: HashMap<(usize, Usage), Option<Arc<dyn Policy>>>,
    chains: HashMap<Vec<(usize, Usage)>, Option<Arc<Chain>>>,
    methods: HashMap<String, Option<Arc<dyn tollgate_policies::auth::Method>>>,
    /// The parts of upstreams that they send to.
    pub(super) subsets: Subsets,
}

/// What a policy depends on besides its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Usage {
    /// The route finds out who its callers are.
    authenticated: bool,
    /// The route's number, where it has settings of its own that count by themselves.
    route: Option<u32>,
}

/// Settings of a policy, where they stand, and what makes the policy of them.
struct Wish<'c> {
    place: usize,
    usage: Usage,
    shadow: bool,
    make: Make<'c>,
}

/// Makes a policy; `None` after a finding.
type Make<'c> = Box<dyn FnOnce(&mut Compiler<'c>) -> Option<Arc<dyn Policy>> + 'c>;

/// Where settings are: the same for the same part of the document.
fn place<T>(settings: &T) -> usize {
    std::ptr::from_ref(settings).addr()
}

impl<'c> Compiler<'c> {
    /// The chain of a route; `None` where it has no policies.
    pub(super) fn chain(&mut self, route: &'c config::Route, index: usize) -> Option<Arc<Chain>> {
        let effective = self.document.policies(route);
        let wishes = wishes(self.document, route, index, &effective);
        if wishes.is_empty() {
            return None;
        }
        let key: Vec<_> = wishes.iter().map(|wish| (wish.place, wish.usage)).collect();
        if let Some(chain) = self.shared.chains.get(&key) {
            return chain.clone();
        }
        let entries = wishes.into_iter().filter_map(|wish| self.entry(wish)).collect();
        let chain = Chain::new(entries).map(Arc::new);
        self.shared.chains.insert(key, chain.clone());
        chain
    }

    fn entry(&mut self, wish: Wish<'c>) -> Option<Entry> {
        let key = (wish.place, wish.usage);
        let policy = match self.shared.policies.get(&key) {
            Some(policy) => policy.clone(),
            None => {
                let policy = (wish.make)(self);
                self.shared.policies.insert(key, policy.clone());
                policy
            }
        }?;
        let owner = wish.usage.route.map_or("", |route| self.names[route as usize].as_str());
        let series = self.carried.series(self.before.carried(), policy.name(), owner);
        Some(Entry { policy, shadow: wish.shadow, series })
    }

    /// Takes what a policy says of its settings for a finding at their place.
    fn usable<T>(&mut self, made: Result<T, Unusable>, origin: Origin) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(unusable) => {
                self.diagnostics.push(Diagnostic::error(origin, unusable.to_string()));
                None
            }
        }
    }

    /// Compiles an expression of the document. Columns are told of its text.
    fn expression(&mut self, text: &Located<config::ExpressionText>, wanted: Wanted) -> Option<Expression> {
        match Expression::compile(text.value.as_str(), wanted) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let place = error.column.map_or_else(String::new, |column| format!(" at column {column}"));
                let message = format!("the expression is wrong{place}: {}", error.message);
                let finding = Diagnostic::error(text.origin, message);
                self.diagnostics.push(match error.mend {
                    Some(mend) => finding.mend(mend),
                    None => finding,
                });
                None
            }
        }
    }
}

fn made<P: Policy + 'static>(policy: P) -> Option<Arc<dyn Policy>> {
    Some(Arc::new(policy))
}

/// What a route wants, in the order in which policies of one stage are asked.
fn wishes<'c>(
    document: &'c Document,
    route: &'c config::Route,
    index: usize,
    effective: &EffectivePolicies<'c>,
) -> Vec<Wish<'c>> {
    let usage = Usage { authenticated: effective.auth.is_some(), route: Some(index as u32) };
    let set = route.policies.as_deref();
    let mut wishes = Vec::new();
    /// One line a policy: its key, and what makes it.
    macro_rules! wish {
        ($key:ident, $at:expr, $shadow:expr, $make:expr) => {{
            let at = $at;
            let is_own = set.is_some_and(|set| set.$key.is_some());
            let usage = Usage { route: usage.route.filter(|_| is_own), ..usage };
            let make = Box::new(move |compiler: &mut Compiler<'c>| $make(compiler, at));
            wishes.push(Wish { place: place(at.value), usage, shadow: $shadow, make });
        }};
    }
    if let Some(at) = effective.security_headers {
        wish!(security_headers, at, at.value.shadow, Compiler::security_headers);
    }
    // Before all that can refuse: pages may then read why, and preflights are asked about nothing else.
    if let Some(at) = effective.cors {
        wish!(cors, at, at.value.shadow, Compiler::cors);
    }
    if let Some(at) = effective.addresses {
        wish!(addresses, at, at.value.shadow, Compiler::addresses);
    }
    if let Some(at) = effective.request_limits {
        wish!(request_limits, at, at.value.shadow, Compiler::request_limits);
    }
    if let Some(at) = effective.csrf {
        wish!(csrf, at, at.value.shadow, Compiler::csrf);
    }
    if let Some(at) = effective.auth {
        wish!(auth, at, at.value.shadow, Compiler::auth);
    }
    match effective.access {
        Some(EffectiveAccess::Rules(at)) => wish!(access, at, at.value.shadow, Compiler::access),
        Some(EffectiveAccess::AllowIf(at)) => wish!(allow_if, at, false, Compiler::allow_if),
        None => {}
    }
    limits::wishes(document, set, effective, usage, &mut wishes);
    if let Some(at) = effective.fault {
        wish!(fault, at, at.value.shadow, Compiler::fault);
    }
    wishes
}
