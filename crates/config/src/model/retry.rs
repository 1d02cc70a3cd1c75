//! Retries and timeouts, and how `defaults`, upstream and route combine.

use std::time::Duration as Time;

use super::{Document, Policies, Route, Upstream};
use crate::section::section;
use crate::setting::{Many, Switch, Whole};
use crate::source::Located;
use crate::units::{Duration, MethodName, Percent, ResponseTest, Size};

section! {
    /// When a failed attempt is tried again. Only what is safe to repeat is: the request had not been
    /// sent, or its method is idempotent and no response has begun.
    pub struct Retry {
        /// Attempts in all, the first included; 3 if no level sets it.
        attempts: Option<Whole<1, 16>> = optional;
        /// The largest request body that is kept for another attempt.
        body: Option<Size<0, 16_777_216>> = optional;
        /// The wait before the second attempt; doubled before each further one, with jitter.
        backoff: Option<Duration> = optional;
        /// The longest wait.
        max_backoff: Option<Duration> = optional;
        /// Responses that are tried again as well, of requests that are safe to repeat: `on: [503, unavailable]`, by status or
        /// by the status of a gRPC call.
        on: Option<Many<ResponseTest>> = optional;
        /// Methods that may be repeated besides the idempotent ones.
        methods: Option<Many<MethodName>> = optional;
        /// The longest `Retry-After` that is waited for before another attempt; 5s if no level sets it. A response that asks for
        /// more is passed on.
        retry_after: Option<Duration> = optional;
    }
}

section! {
    /// When a failed attempt is tried again, and how many retries an upstream may get in all.
    pub struct SharedRetry {
        /// Attempts in all, the first included; 3 if no level sets it.
        attempts: Option<Whole<1, 16>> = optional;
        /// The largest request body that is kept for another attempt.
        body: Option<Size<0, 16_777_216>> = optional;
        /// The wait before the second attempt; doubled before each further one, with jitter.
        backoff: Option<Duration> = optional;
        /// The longest wait.
        max_backoff: Option<Duration> = optional;
        /// Responses that are tried again as well, of requests that are safe to repeat: `on: [503, unavailable]`, by status or
        /// by the status of a gRPC call.
        on: Option<Many<ResponseTest>> = optional;
        /// Methods that may be repeated besides the idempotent ones.
        methods: Option<Many<MethodName>> = optional;
        /// The longest `Retry-After` that is waited for before another attempt; 5s if no level sets it. A response that asks for
        /// more is passed on.
        retry_after: Option<Duration> = optional;
        /// Retries of an upstream, as a share of its requests in flight.
        budget: Option<Percent> = optional;
        /// Retries at once that are allowed whatever the share.
        budget_min: Option<Whole<0, 10_000>> = optional;
    }
}

section! {
    /// How long to wait on the upstream side. `none` switches one off. What a route sets wins over its
    /// upstream, and that over `defaults`, key by key.
    pub struct Timeouts {
        /// For a connection; 2s if no level sets it.
        connect: Option<Switch<Duration<1>>> = optional;
        /// From the request sent to the first byte of the response; 60s if no level sets it.
        first_byte: Option<Switch<Duration<1>>> = optional;
        /// Between two parts of a body; 60s if no level sets it.
        idle: Option<Switch<Duration<1>>> = optional;
        /// For one attempt, up to the response's end; none if no level sets it.
        attempt ("try"): Option<Switch<Duration<1>>> = optional;
        /// For the exchange with all its attempts, up to the response's end; none if no level sets it.
        total: Option<Switch<Duration<1>>> = optional;
        /// Between two bytes of a tunnel (WebSocket and other upgraded connections), in either direction; 1h if no
        /// level sets it.
        tunnel_idle: Option<Switch<Duration<1>>> = optional;
    }
}

section! {
    /// Settings for all upstreams and routes that do not set them.
    pub struct Defaults {
        /// When to try again, and how many retries an upstream may get in all.
        retry: Option<Located<Switch<SharedRetry>>> = optional;
        /// How long to wait on the upstream side.
        timeouts: Timeouts = section;
        /// Policies of routes that do not set them.
        policies: Option<Box<Policies>> = flatten;
    }
}

/// The retry settings of a route once all levels are combined.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryPlan {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// The largest request body that is kept for another attempt, in bytes.
    pub body: u64,
    /// The wait before the second attempt.
    pub backoff: Time,
    /// The longest wait.
    pub max_backoff: Time,
    /// Responses that are tried again.
    pub on: Vec<ResponseTest>,
    /// Methods that may be repeated besides the idempotent ones.
    pub methods: Vec<MethodName>,
    /// The longest `Retry-After` that is waited for.
    pub retry_after: Time,
}

/// How many retries an upstream may get in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// As a share of its requests in flight.
    pub share: Percent,
    /// At once, whatever the share.
    pub min: u32,
}

/// The upstream-side timeouts of a route once all levels are combined; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveTimeouts {
    /// For a connection.
    pub connect: Option<Time>,
    /// From the request sent to the first byte of the response.
    pub first_byte: Option<Time>,
    /// Between two parts of a body.
    pub idle: Option<Time>,
    /// For one attempt, up to the response's end.
    pub attempt: Option<Time>,
    /// For the exchange with all its attempts.
    pub total: Option<Time>,
    /// Between two bytes of a tunnel.
    pub tunnel_idle: Option<Time>,
}

impl Document {
    /// When requests of a route are tried again; `None` if never. The most specific level that writes
    /// `none` or a mapping decides whether, and each key comes from the most specific level that sets it,
    /// down to the last level that says `none`.
    pub fn retry_plan(&self, route: &Route, upstream: Option<&Upstream>) -> Option<RetryPlan> {
        self.retry_plan_of(route.retry.as_deref(), upstream)
    }

    /// When connections that no route is for are tried again; `None` if never.
    pub fn stream_retry_plan(&self, upstream: Option<&Upstream>) -> Option<RetryPlan> {
        self.retry_plan_of(None, upstream)
    }

    fn retry_plan_of(&self, route: Option<&Switch<Retry>>, upstream: Option<&Upstream>) -> Option<RetryPlan> {
        let mut plan = RetryPlan {
            attempts: 3,
            body: 64 << 10,
            backoff: Time::from_millis(25),
            max_backoff: Time::from_millis(250),
            on: Vec::new(),
            methods: Vec::new(),
            retry_after: Time::from_secs(5),
        };
        let standard = plan.clone();
        let mut on = true;
        for level in [self.defaults.retry.as_ref(), upstream.and_then(|upstream| upstream.retry.as_ref())] {
            on = match level.map(|level| &level.value) {
                None => on,
                Some(Switch::Off) => {
                    plan = standard.clone();
                    false
                }
                Some(Switch::On(shared)) => {
                    plan.overlay(&shared.of_a_route());
                    true
                }
            };
        }
        match route {
            None => {}
            Some(Switch::Off) => on = false,
            Some(Switch::On(retry)) => {
                plan.overlay(retry);
                on = true;
            }
        }
        on.then_some(plan)
    }

    /// How many retries an upstream may get in all: 20 % of its requests in flight and at least 3, unless
    /// the upstream or `defaults` say otherwise.
    pub fn retry_budget(&self, upstream: Option<&Upstream>) -> RetryBudget {
        let upstream = upstream.and_then(|upstream| upstream.retry.as_ref()).and_then(|retry| retry.on());
        let defaults = self.defaults.retry.as_ref().and_then(|retry| retry.on());
        let levels = || [upstream, defaults].into_iter().flatten();
        RetryBudget {
            share: levels().find_map(|level| level.budget).unwrap_or(Percent::whole(20)),
            min: levels().find_map(|level| level.budget_min).map_or(3, Whole::get),
        }
    }

    /// The upstream-side timeouts of a route.
    pub fn timeouts(&self, route: &Route, upstream: Option<&Upstream>) -> EffectiveTimeouts {
        self.timeouts_of(route.timeouts.as_deref(), upstream)
    }

    /// The upstream-side timeouts of connections that no route is for.
    pub fn stream_timeouts(&self, upstream: Option<&Upstream>) -> EffectiveTimeouts {
        self.timeouts_of(None, upstream)
    }

    fn timeouts_of(&self, route: Option<&Timeouts>, upstream: Option<&Upstream>) -> EffectiveTimeouts {
        let levels = [route, upstream.map(|upstream| &upstream.timeouts), Some(&self.defaults.timeouts)];
        type Field = fn(&Timeouts) -> Option<Switch<Duration<1>>>;
        let pick = |field: Field, standard: Option<u64>| match levels.iter().flatten().find_map(|l| field(l))
        {
            Some(Switch::On(duration)) => Some(duration.get()),
            Some(Switch::Off) => None,
            None => standard.map(Time::from_secs),
        };
        EffectiveTimeouts {
            connect: pick(|level| level.connect, Some(2)),
            first_byte: pick(|level| level.first_byte, Some(60)),
            idle: pick(|level| level.idle, Some(60)),
            attempt: pick(|level| level.attempt, None),
            total: pick(|level| level.total, None),
            tunnel_idle: pick(|level| level.tunnel_idle, Some(3600)),
        }
    }
}

impl SharedRetry {
    /// The part that a route can set too.
    fn of_a_route(&self) -> Retry {
        let Self { attempts, body, backoff, max_backoff, on, methods, retry_after, .. } = self.clone();
        Retry { attempts, body, backoff, max_backoff, on, methods, retry_after }
    }
}

impl RetryPlan {
    fn overlay(&mut self, level: &Retry) {
        self.attempts = level.attempts.map_or(self.attempts, Whole::get);
        self.body = level.body.map_or(self.body, Size::bytes);
        self.backoff = level.backoff.map_or(self.backoff, Duration::get);
        self.max_backoff = level.max_backoff.map_or(self.max_backoff, Duration::get);
        self.retry_after = level.retry_after.map_or(self.retry_after, Duration::get);
        if let Some(on) = &level.on {
            self.on = on.to_vec();
        }
        if let Some(methods) = &level.methods {
            self.methods = methods.to_vec();
        }
    }
}
