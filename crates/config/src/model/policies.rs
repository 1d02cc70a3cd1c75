//! Policies of routes: what is asked of requests before they are sent on.

mod access;
mod admission;
mod fault;
mod identity;
mod limits;
mod pages;

pub use access::{Access, AccessRule, Otherwise};
pub use admission::{Addresses, RequestLimits};
pub use fault::{Fault, FaultAbort, FaultCondition, FaultDelay};
pub use identity::{Anonymous, Auth, AuthMethods, IdentityHeaders};
pub use limits::{
    ConcurrencyLimit, IfStoreDown, KeyPart, KeyWord, LimitFields, LimitKey, LimitStore, LimitUse, Quota,
    QuotaPeriod, RateAlgorithm, RateLimit, RedisName, StoreMode,
};
pub use pages::{Cors, Csrf, FrameOptions, SecurityHeaders};

use super::{Document, Route};
use crate::preset::Preset;
use crate::section::section;
use crate::setting::{Many, Switch};
use crate::source::Located;
use crate::units::ExpressionText;

/// A policy's key: left out, switched off by `none`, or set. Large settings are boxed, since most routes have none.
pub type Policy<T> = Option<Located<Switch<T>>>;

/// Several rate limits: a request must be within each of them.
pub type RateLimits = Many<Located<LimitUse<RateLimit>>>;

section! {
    /// Policies. On a route, `none` switches off what `defaults` say.
    pub struct Policies {
        /// Who may come: a method of `auth`, a list of which any is enough, or the long form.
        auth: Policy<Box<Auth>> = optional;
        /// What callers may do, by group, scope, claim or expression.
        access: Policy<Box<Access>> = optional;
        /// An expression that must be true: short for `access` with it alone.
        allow_if: Policy<Box<ExpressionText>> = optional;
        /// Which client addresses may come.
        addresses: Policy<Box<Addresses>> = optional;
        /// Which pages of other origins may read the answers (CORS). Preflight requests are answered here.
        cors: Policy<Box<Cors>> = optional;
        /// Refuses requests that change something and begin on other sites: `true`, or the long form.
        csrf: Policy<Box<Preset<Csrf>>> = optional;
        /// Response headers that make browsers careful: `true`, or the long form.
        security_headers: Policy<Box<Preset<SecurityHeaders>>> = optional;
        /// What requests must be like.
        request_limits: Policy<Box<RequestLimits>> = optional;
        /// How many requests per time: the name of a rate limit, one of the route's own, or a list of them.
        rate_limit: Policy<RateLimits> = optional;
        /// How many requests at once: a number, the name of a concurrency limit, or one of the route's own.
        concurrency_limit: Policy<Box<LimitUse<ConcurrencyLimit>>> = optional;
        /// How many requests in a day or a month: the name of a quota, or one of the route's own.
        quota: Policy<Box<LimitUse<Quota>>> = optional;
        /// Delays and failures on purpose, to see how callers take them.
        fault: Policy<Box<Fault>> = optional;
    }
}

/// The policies of a route once `defaults` are combined with it. `None` is no such policy. The origins are where
/// the policies were set.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectivePolicies<'d> {
    /// Who may come.
    pub auth: Option<Located<&'d Auth>>,
    /// What callers may do.
    pub access: Option<EffectiveAccess<'d>>,
    /// Which client addresses may come.
    pub addresses: Option<Located<&'d Addresses>>,
    /// Which pages of other origins may read the answers.
    pub cors: Option<Located<&'d Cors>>,
    /// Which requests from other sites are refused.
    pub csrf: Option<Located<&'d Csrf>>,
    /// Response headers for browsers.
    pub security_headers: Option<Located<&'d SecurityHeaders>>,
    /// What requests must be like.
    pub request_limits: Option<Located<&'d RequestLimits>>,
    /// How many requests per time.
    pub rate_limit: Option<Located<&'d RateLimits>>,
    /// How many requests at once.
    pub concurrency_limit: Option<Located<&'d LimitUse<ConcurrencyLimit>>>,
    /// How many requests in a long period.
    pub quota: Option<Located<&'d LimitUse<Quota>>>,
    /// Delays and failures on purpose.
    pub fault: Option<Located<&'d Fault>>,
}

/// What callers may do, in either form.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectiveAccess<'d> {
    /// `access`.
    Rules(Located<&'d Access>),
    /// `allow_if`.
    AllowIf(Located<&'d ExpressionText>),
}

/// The first level that sets a policy decides.
fn first<T>(levels: [Option<&Policies>; 2], key: fn(&Policies) -> &Policy<T>) -> Option<Located<&T>> {
    let set = levels.into_iter().flatten().find_map(|level| key(level).as_ref())?;
    set.on().map(|value| Located { value, origin: set.origin })
}

fn boxed<T>(levels: [Option<&Policies>; 2], key: fn(&Policies) -> &Policy<Box<T>>) -> Option<Located<&T>> {
    first(levels, key).map(|found| Located { value: &**found.value, origin: found.origin })
}

/// `access` and `allow_if` are one policy in two forms.
fn access<'d>(levels: [Option<&'d Policies>; 2]) -> Option<EffectiveAccess<'d>> {
    let writes = |level: &&Policies| level.access.is_some() || level.allow_if.is_some();
    let level = levels.into_iter().flatten().find(writes);
    let rules = boxed([level, None], |level| &level.access).map(EffectiveAccess::Rules);
    rules.or_else(|| boxed([level, None], |level| &level.allow_if).map(EffectiveAccess::AllowIf))
}

impl Document {
    /// The policies of a route: its own, else those of `defaults`, key by key.
    pub fn policies<'d>(&'d self, route: &'d Route) -> EffectivePolicies<'d> {
        let levels = [route.policies.as_deref(), self.defaults.policies.as_deref()];
        EffectivePolicies {
            auth: boxed(levels, |level| &level.auth),
            access: access(levels),
            addresses: boxed(levels, |level| &level.addresses),
            cors: boxed(levels, |level| &level.cors),
            csrf: boxed(levels, |level| &level.csrf).map(inside),
            security_headers: boxed(levels, |level| &level.security_headers).map(inside),
            request_limits: boxed(levels, |level| &level.request_limits),
            rate_limit: first(levels, |level| &level.rate_limit),
            concurrency_limit: boxed(levels, |level| &level.concurrency_limit),
            quota: boxed(levels, |level| &level.quota),
            fault: boxed(levels, |level| &level.fault),
        }
    }
}

fn inside<T>(found: Located<&Preset<T>>) -> Located<&T> {
    Located { value: &found.value.0, origin: found.origin }
}
