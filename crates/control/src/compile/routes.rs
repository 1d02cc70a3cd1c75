//! Routes of a document.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_config::{self as config, EffectiveTimeouts, RetryPlan};
use tollgate_http1::edits::Edits;
use tollgate_proxy::mirroring::Mirror;
use tollgate_proxy::snapshot::{
    Action, Destination, FixedResponse, Rescue, Retry, Rewrite, Route, RouteSettings, Sessions,
    UpstreamTimeouts,
};
use tollgate_routing::rewrite::{PathChange, Redirect, Scheme};
use tollgate_routing::{FieldPredicate, HostPattern, PathMatch, QueryPredicate, RouteSpec, ValueTest};
use tollgate_upstream::BackOff;

use super::{Compiler, grpc, overload};

/// Bytes of a request besides its body that are kept for another attempt, at the most.
const REPLAY_HEAD: usize = 64 * 1024;

/// What decides about a route's settings; routes with the same share them.
#[derive(PartialEq, Eq, Hash)]
struct SettingsKey {
    upstream: Option<u32>,
    retry: Option<RetryPlan>,
    rescue: Option<Arc<Rescue>>,
    timeouts: [Option<u128>; 6],
    max_body: Option<u64>,
    /// Where the chain is; the same one for all routes that share it.
    policies: Option<usize>,
}

impl<'d> Compiler<'d> {
    /// What matches, and what is done with it, by route.
    pub(super) fn routes(&mut self) -> (Vec<RouteSpec>, Vec<Route>) {
        let document = self.document;
        let mut shared: HashMap<SettingsKey, Arc<RouteSettings>> = HashMap::new();
        let (mut specs, mut routes) = (Vec::new(), Vec::new());
        self.names = document.routes.iter().enumerate().map(|(index, route)| name(route, index)).collect();
        for (index, route) in document.routes.iter().enumerate() {
            let name = self.names[index].clone();
            let policies = self.chain(route, index);
            let (action, upstream) = self.action(route);
            let plan = document.retry_plan(route, upstream);
            let rescue = self.rescue(route, upstream, plan.as_ref());
            let timeouts = document.timeouts(route, upstream);
            let max_body = match route.body.as_ref().and_then(|b| b.max_size) {
                Some(switch) => switch.on().map(|s| s.bytes()),
                None => document.limits.body_size.on().map(|s| s.bytes()),
            };
            let mirrors = self.mirrors(route, &name);
            let sessions = self.sessions(route);
            let has_own = mirrors.is_some()
                || route.rewrite.is_some()
                || route.headers.is_some()
                || route.forwarding.sticky.is_some()
                || !route.trace;
            let make = || {
                let plain = settings(route, plan.as_ref(), timeouts, max_body);
                let retry = keeping(plain.retry, mirrors.as_deref());
                let mut settings = RouteSettings {
                    policies: policies.clone(),
                    mirrors: mirrors.clone(),
                    rescue: rescue.clone(),
                    sessions: sessions.clone(),
                    retry,
                    ..plain
                };
                // What a client says of that is not for the endpoint.
                if let Some(field) = rescue.as_ref().and_then(|rescue| rescue.deadline_field.as_deref()) {
                    settings.request_edits.remove(field);
                }
                Arc::new(settings)
            };
            let settings = if !has_own && route.priority == config::Priority::Normal {
                let at = policies.as_ref().map(|chain| Arc::as_ptr(chain).addr());
                let key = settings_key(&action, plan.clone(), timeouts, max_body);
                let key = SettingsKey { policies: at, rescue: rescue.clone(), ..key };
                shared.entry(key).or_insert_with(make).clone()
            } else {
                make()
            };
            specs.push(spec(route, name.clone()));
            routes.push(Route { name, action, settings });
        }
        (specs, routes)
    }

    /// What a route does, and the upstream whose settings it takes over.
    fn action(&mut self, route: &config::Route) -> (Action, Option<&'d config::Upstream>) {
        match &route.action {
            config::Action::To(to) => {
                let (destination, upstream) = self.one_target(to);
                (Action::Forward(destination), upstream)
            }
            config::Action::Split(shares) => {
                let (destination, upstream) = self.split_target(shares);
                (Action::Forward(destination), upstream)
            }
            config::Action::Redirect(redirect) => (self.redirect(redirect), None),
            config::Action::Respond(respond) => (Action::Respond(fixed(respond)), None),
        }
    }

    fn redirect(&self, redirect: &config::Redirect) -> Action {
        Action::Redirect {
            redirect: Redirect {
                scheme: redirect.scheme.map(|s| match s {
                    config::Scheme::Http => Scheme::Http,
                    config::Scheme::Https => Scheme::Https,
                }),
                host: redirect.host.as_ref().map(|h| h.as_str().to_owned()),
                port: redirect.port.map(|p| p.get() as u16),
                path: redirect.path.as_ref().map(|p| path_change(&p.value)),
            },
            status: redirect.status.code(),
        }
    }
}

/// A response from the document.
pub(super) fn fixed(respond: &config::Respond) -> Arc<FixedResponse> {
    let body = respond.body.as_ref().map(|b| b.value.clone().into_bytes()).unwrap_or_default();
    let content_type = respond.content_type.as_ref().map(ToString::to_string);
    let standard = (!body.is_empty()).then(|| "text/plain; charset=utf-8".to_owned());
    let fields = respond.headers.iter().map(|(n, v)| (n.value.to_string(), v.as_ref().to_owned()));
    Arc::new(FixedResponse {
        status: respond.status.value.get() as u16,
        content_type: content_type.or(standard),
        fields: fields.collect(),
        body,
    })
}

/// A route without a name is called by its place.
fn name(route: &config::Route, index: usize) -> String {
    route.name.as_ref().map_or_else(|| format!("routes[{index}]"), |n| n.value.to_string())
}

fn spec(route: &config::Route, name: String) -> RouteSpec {
    let (mut headers, query) = match &route.conditions {
        None => (Vec::new(), Vec::new()),
        Some(conditions) => (
            conditions
                .headers
                .iter()
                .map(|(n, t)| FieldPredicate { name: n.value.to_string(), test: value_test(&t.value) })
                .collect(),
            conditions
                .query
                .iter()
                .map(|(n, t)| QueryPredicate { name: n.value.to_string(), test: value_test(&t.value) })
                .collect(),
        ),
    };
    let mut paths: Vec<PathMatch> = route.paths.iter().map(|p| path_match(&p.value)).collect();
    let mut methods: Vec<String> = route.methods.iter().map(|m| m.value.to_string()).collect();
    if let Some(calls) = &route.grpc {
        // Of one field there is one condition; who writes one about the content type knows which.
        if !headers.iter().any(|known| known.name.eq_ignore_ascii_case("content-type")) {
            headers.push(grpc::content_type());
        }
        paths.extend(grpc::path(calls));
        methods.push("POST".to_owned());
    }
    RouteSpec {
        name,
        // The document checked the form already; a pattern that routing refuses all the same matches nothing.
        hosts: route.hosts.iter().filter_map(|h| h.value.as_str().parse::<HostPattern>().ok()).collect(),
        paths,
        methods,
        headers,
        query,
    }
}

fn path_match(path: &config::PathMatch) -> PathMatch {
    match path {
        config::PathMatch::Exact(path) => PathMatch::Exact(path.as_str().to_owned()),
        config::PathMatch::Prefix(path) => PathMatch::Prefix(path.as_str().to_owned()),
        config::PathMatch::Regex(pattern) => PathMatch::Regex(pattern.as_str().to_owned()),
    }
}

fn value_test(test: &config::TextMatch) -> ValueTest {
    match test {
        config::TextMatch::Exact(value) => ValueTest::Exact(value.clone()),
        config::TextMatch::Regex(pattern) => ValueTest::Regex(pattern.as_str().to_owned()),
        config::TextMatch::Present(_) => ValueTest::Present,
    }
}

fn path_change(path: &config::PathRewrite) -> PathChange {
    match path {
        config::PathRewrite::Full(path) => PathChange::Full(path.as_str().to_owned()),
        config::PathRewrite::Prefix(path) => PathChange::Prefix(path.as_str().to_owned()),
    }
}

fn settings_key(
    action: &Action,
    plan: Option<RetryPlan>,
    t: EffectiveTimeouts,
    max_body: Option<u64>,
) -> SettingsKey {
    let upstream = match action {
        Action::Forward(Destination::Upstream(target)) => Some(target.upstream),
        _ => None,
    };
    let millis = |time: Option<std::time::Duration>| time.map(|t| t.as_millis());
    SettingsKey {
        upstream,
        retry: plan,
        rescue: None,
        timeouts: [t.connect, t.first_byte, t.idle, t.attempt, t.total, t.tunnel_idle].map(millis),
        max_body,
        policies: None,
    }
}

fn settings(
    route: &config::Route,
    plan: Option<&RetryPlan>,
    timeouts: EffectiveTimeouts,
    max_body: Option<u64>,
) -> RouteSettings {
    let (request, response) = match &route.headers {
        None => (Edits::default(), Edits::default()),
        Some(headers) => (edits(&headers.request), edits(&headers.response)),
    };
    RouteSettings {
        request_edits: request,
        response_edits: response,
        rewrite: route.rewrite.as_ref().map_or_else(Rewrite::default, |rewrite| Rewrite {
            host: rewrite.host.as_ref().map(|h| h.as_str().to_owned()),
            path: rewrite.path.as_ref().map(|p| path_change(&p.value)),
        }),
        policies: None,
        mirrors: None,
        rescue: None,
        sessions: Sessions::OfUpstream,
        retry: retry(plan),
        timeouts: upstream_timeouts(timeouts),
        max_body,
        upgrade: true,
        trace: route.trace,
        priority: overload::class(route.priority),
    }
}

/// Keeps as much of requests as mirrors copy.
fn keeping(retry: Retry, mirrors: Option<&[Mirror]>) -> Retry {
    let copied = mirrors.into_iter().flatten().map(|mirror| mirror.max_body.saturating_add(REPLAY_HEAD));
    Retry { replay_bytes: copied.fold(retry.replay_bytes, usize::max), ..retry }
}

fn retry(plan: Option<&RetryPlan>) -> Retry {
    let Some(plan) = plan else {
        return Retry { attempts: 0, replay_bytes: REPLAY_HEAD, back_off: BackOff::default() };
    };
    let body = usize::try_from(plan.body).unwrap_or(usize::MAX);
    Retry {
        attempts: plan.attempts.saturating_sub(1),
        replay_bytes: body.saturating_add(REPLAY_HEAD),
        back_off: BackOff {
            base_ms: plan.backoff.as_millis() as u64,
            cap_ms: plan.max_backoff.as_millis() as u64,
        },
    }
}

fn upstream_timeouts(timeouts: EffectiveTimeouts) -> UpstreamTimeouts {
    let millis = |time: Option<std::time::Duration>| time.map_or(u64::MAX, |t| t.as_millis() as u64);
    UpstreamTimeouts {
        connect_ms: millis(timeouts.connect),
        first_byte_ms: millis(timeouts.first_byte),
        idle_ms: millis(timeouts.idle),
        try_ms: millis(timeouts.attempt),
        total_ms: millis(timeouts.total),
        tunnel_idle_ms: millis(timeouts.tunnel_idle),
    }
}

fn edits(edits: &config::MessageEdits) -> Edits {
    let mut compiled = Edits::default();
    for name in edits.remove.iter() {
        compiled.remove(name.value.as_ref());
    }
    for (name, value) in edits.set.iter() {
        compiled.set(name.value.as_ref(), value.reveal());
    }
    for (name, value) in edits.add.iter() {
        compiled.add(name.value.as_ref(), value.reveal());
    }
    compiled
}
