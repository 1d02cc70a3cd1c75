//! Limits of routes.

use std::sync::Arc;

use tollgate_config::{
    self as config, Diagnostic, Document, EffectivePolicies, IfStoreDown, LimitStore, LimitUse, Located,
    Name, Origin, Table,
};
use tollgate_expression::Wanted;
use tollgate_policies::limit::concurrency::{self, ConcurrencyLimit};
use tollgate_policies::limit::fields::Style;
use tollgate_policies::limit::quota::{self, Ledger, Quota};
use tollgate_policies::limit::rate::{self, Rate, RateLimit};
use tollgate_policies::limit::{Amounts, Cost};
use tollgate_policy::Policy;
use tollgate_policy::key::{KeySource, USUAL_V6_PREFIX};
use tollgate_stores::disk::Quotas;
use tollgate_stores::{Gcra, Limit, Period, SlidingWindow};

use super::redis::Sharing;
use super::{Compiler, Usage, Wish, made, place};

/// Of how many keys of a quota units are held at once, where they are leased.
const LEASED_QUOTA_KEYS: u32 = 100_000;

/// The limits that a route wants.
pub(super) fn wishes<'c>(
    document: &'c Document,
    set: Option<&'c config::Policies>,
    effective: &EffectivePolicies<'c>,
    usage: Usage,
    wishes: &mut Vec<Wish<'c>>,
) {
    let own = |is_own: bool| Usage { route: usage.route.filter(|_| is_own), ..usage };
    if let Some(at) = effective.rate_limit {
        let usage = own(set.is_some_and(|p| p.rate_limit.is_some()));
        for (number, used) in at.value.iter().enumerate() {
            let Some(called) = call(&used.value, &document.gate.rate_limits, usage, number) else { continue };
            wishes.push(called.wish(used.origin, called.settings.shadow, Compiler::rate_limit));
        }
    }
    if let Some(at) = effective.concurrency_limit {
        let usage = own(set.is_some_and(|p| p.concurrency_limit.is_some()));
        if let Some(called) = call(at.value, &document.gate.concurrency_limits, usage, 0) {
            wishes.push(called.wish(at.origin, called.settings.shadow, Compiler::concurrency_limit));
        }
    }
    if let Some(at) = effective.quota {
        let usage = own(set.is_some_and(|p| p.quota.is_some()));
        if let Some(called) = call(at.value, &document.gate.quotas, usage, 0) {
            wishes.push(called.wish(at.origin, called.settings.shadow, Compiler::quota));
        }
    }
}

/// A limit, and what the document calls it.
pub(super) struct Called<'c, T> {
    settings: &'c T,
    /// Its name; empty where it has none.
    name: &'c str,
    usage: Usage,
    /// Which of the limits of its route it is.
    number: usize,
}

// Copied whatever the settings are.
impl<T> Clone for Called<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Called<'_, T> {}

fn call<'c, T>(
    used: &'c LimitUse<T>,
    named: &'c Table<Name, Located<T>>,
    usage: Usage,
    number: usize,
) -> Option<Called<'c, T>> {
    match used {
        // One that is not there was found by the checks.
        LimitUse::Named(name) => {
            let settings = &named.get(name.as_str())?.value;
            // The same for all routes that name it.
            Some(Called { settings, name: name.as_str(), usage: Usage { route: None, ..usage }, number: 0 })
        }
        LimitUse::Own(own) => Some(Called { settings: own, name: "", usage, number }),
    }
}

impl<'c, T> Called<'c, T> {
    fn wish(
        self,
        origin: Origin,
        shadow: bool,
        make: fn(&mut Compiler<'c>, Self, Origin) -> Option<Arc<dyn Policy>>,
    ) -> Wish<'c> {
        let make = Box::new(move |compiler: &mut Compiler<'c>| make(compiler, self, origin));
        Wish { place: place(self.settings), usage: self.usage, shadow, make }
    }
}

impl Compiler<'_> {
    /// What a limit is found again by in the document before.
    fn identity<T>(&self, called: &Called<'_, T>) -> String {
        match (called.name, called.usage.route) {
            ("", Some(route)) => format!("route {} {}", self.names[route as usize], called.number),
            ("", None) => format!("defaults {}", called.number),
            (name, _) => format!("named {name}"),
        }
    }

    fn rate_limit(
        &mut self,
        called: Called<'_, config::RateLimit>,
        origin: Origin,
    ) -> Option<Arc<dyn Policy>> {
        let limit = called.settings;
        let by = self.key(&limit.key(called.usage.authenticated), origin);
        let cost = self.cost(limit.cost.as_ref());
        let rate = |rate: config::Rate, burst: Option<u64>| {
            let (count, period) = (u64::from(rate.count()), rate.period());
            let period_us = period.as_micros() as u64;
            let counted = match limit.algorithm.value {
                config::RateAlgorithm::Gcra => {
                    Limit::Gcra(Gcra::new(count, period_us, burst.unwrap_or(count)))
                }
                config::RateAlgorithm::SlidingWindow => {
                    Limit::SlidingWindow(SlidingWindow::new(count, period_us))
                }
            };
            Rate { limit: counted, quota: count, window_s: period.as_secs() }
        };
        let burst = limit.burst.as_ref().map(|burst| u64::from(burst.value.get()));
        let groups = named(&limit.groups, |at| rate(at.value, None));
        let consumers = named(&limit.consumers, |at| rate(at.value, None));
        // The highest is the one that lets most pass in the same time.
        let per_day = |rate: &Rate| rate.quota.saturating_mul(86_400) / rate.window_s.max(1);
        let settings = rate::Settings {
            name: called.name.to_owned(),
            by: by?,
            rates: Amounts::new(rate(limit.rate.value, burst), groups, per_day).with_consumers(consumers),
            cost: cost?,
            style: style(limit.fields),
            delay_us: limit.delay.as_ref().map_or(0, |delay| delay.value.get().as_micros() as u64),
        };
        let identity = self.identity(&called);
        let max_keys = limit.max_keys.get();
        let sharing = Sharing {
            store: &limit.store.value,
            mode: limit.mode.as_ref(),
            if_down: limit.if_store_down.as_ref().map_or(IfStoreDown::Local, |down| down.value),
            limit: format!("rate {identity}"),
            max_keys,
        };
        self.has_turns(limit.delay.as_ref().map(|delay| delay.origin), &sharing)?;
        let counter = self.counter(&sharing, |compiler| {
            Some(compiler.carried.rate(compiler.before.carried(), &identity, max_keys))
        });
        made(RateLimit::new(settings, counter?))
    }

    /// Finds a limit at fault that would have requests wait for a turn that is not known.
    fn has_turns(&mut self, delay: Option<Origin>, sharing: &Sharing<'_>) -> Option<()> {
        let (Some(delay), true) = (delay, sharing.is_leased()) else { return Some(()) };
        let message = "`delay` needs to know each request's turn, which `mode: leased` does not";
        let finding = Diagnostic::error(delay, message).mend("write `mode: exact`, or remove `delay`");
        self.diagnostics.push(match sharing.mode {
            Some(mode) => finding.note(mode.origin, "it is set here"),
            None => finding,
        });
        None
    }

    fn concurrency_limit(
        &mut self,
        called: Called<'_, config::ConcurrencyLimit>,
        origin: Origin,
    ) -> Option<Arc<dyn Policy>> {
        let limit = called.settings;
        let by = self.key(&limit.by.value, origin)?;
        let groups = named(&limit.groups, |max| u64::from(max.get()));
        let consumers = named(&limit.consumers, |max| u64::from(max.get()));
        let max =
            Amounts::new(u64::from(limit.max.value.get()), groups, |max| *max).with_consumers(consumers);
        let settings = concurrency::Settings { name: called.name.to_owned(), by, max };
        let identity = self.identity(&called);
        let inside = self.carried.concurrency(self.before.carried(), &identity, limit.max_keys.get());
        made(ConcurrencyLimit::new(settings, inside, self.carried.hash()))
    }

    fn quota(&mut self, called: Called<'_, config::Quota>, origin: Origin) -> Option<Arc<dyn Policy>> {
        let quota = called.settings;
        let by = self.key(&quota.by.value, origin);
        let cost = self.cost(quota.cost.as_ref());
        let groups = named(&quota.groups, |limit| u64::from(limit.get()));
        let consumers = named(&quota.consumers, |limit| u64::from(limit.get()));
        let settings = quota::Settings {
            name: called.name.to_owned(),
            by: by?,
            period: match quota.per {
                config::QuotaPeriod::Hour => Period::Hour,
                config::QuotaPeriod::Day => Period::Day,
                config::QuotaPeriod::Month => Period::Month,
            },
            limit: Amounts::new(u64::from(quota.limit.value.get()), groups, |limit| *limit)
                .with_consumers(consumers),
            cost: cost?,
            style: style(quota.fields),
        };
        let identity = self.identity(&called);
        let sharing = Sharing {
            store: &quota.store.value,
            mode: quota.mode.as_ref(),
            if_down: quota.if_store_down.as_ref().map_or(IfStoreDown::Open, |down| down.value),
            limit: format!("quota {identity}"),
            max_keys: LEASED_QUOTA_KEYS,
        };
        let counter = self.counter(&sharing, |compiler| {
            let quotas = match &quota.store.value {
                LimitStore::Redis(_) => compiler.carried.spare_quotas(),
                _ => compiler.quota_store()?,
            };
            Some(Ledger::new(quotas, &identity))
        });
        made(Quota::new(settings, counter?))
    }

    /// The store of quotas on the disk. It is opened once in the life of the process, when a document first wants it.
    fn quota_store(&mut self) -> Option<Arc<Quotas>> {
        let data_dir = self.document.gate.data_dir.as_ref()?;
        match self.carried.quotas(data_dir.value.path()) {
            Ok(quotas) => Some(quotas),
            Err(error) => {
                self.diagnostics.push(Diagnostic::error(data_dir.origin, error));
                None
            }
        }
    }

    fn cost(&mut self, text: Option<&Located<config::ExpressionText>>) -> Option<Cost> {
        match text {
            None => Some(Cost::default()),
            Some(text) => self.expression(text, Wanted::Int).map(|expression| Cost::new(Some(expression))),
        }
    }

    fn key(&mut self, by: &config::LimitKey, origin: Origin) -> Option<KeySource> {
        let source = match by {
            config::LimitKey::Of(config::KeyWord::Consumer) => KeySource::Consumer,
            config::LimitKey::Of(config::KeyWord::Address) => {
                KeySource::Address { v6_prefix: USUAL_V6_PREFIX }
            }
            config::LimitKey::Of(config::KeyWord::Route) => KeySource::Route,
            config::LimitKey::Part(part) => self.key_part(part)?,
        };
        if let Err(problem) = source.check() {
            self.diagnostics.push(Diagnostic::error(origin, format!("by: {problem}")));
            return None;
        }
        Some(source)
    }

    /// A part of requests that tells them apart.
    pub(in crate::compile) fn key_part(&mut self, part: &config::KeyPart) -> Option<KeySource> {
        Some(match part {
            config::KeyPart::Header(name) => KeySource::Header(name.to_string().into()),
            config::KeyPart::Cookie(name) => KeySource::Cookie(name.to_string().into()),
            config::KeyPart::Query(name) => KeySource::Query(name.to_string().into()),
            config::KeyPart::Claim(path) => KeySource::Claim(path.as_str().into()),
            config::KeyPart::Expression(text) => KeySource::Expression(self.expression(text, Wanted::Key)?),
        })
    }
}

/// Amounts by the names that they are for.
fn named<T, A, C: FromIterator<(Box<str>, A)>>(table: &Table<Name, T>, amount: impl Fn(&T) -> A) -> C {
    table.iter().map(|(name, at)| (name.value.as_str().into(), amount(at))).collect()
}

fn style(fields: config::LimitFields) -> Style {
    match fields {
        config::LimitFields::Draft => Style::Draft,
        config::LimitFields::X => Style::Trio,
        config::LimitFields::None => Style::Silent,
    }
}
