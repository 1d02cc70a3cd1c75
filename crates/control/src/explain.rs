//! How a made-up request would be decided: the same functions that serve exchanges, told to explain
//! themselves.

use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_decision::Reason;
use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::{Progress, request};
use tollgate_message::FieldList;
use tollgate_proxy::decide;
use tollgate_proxy::http::Refusal;
use tollgate_proxy::http::begin::{check, check_route};
use tollgate_proxy::snapshot::{Action, Destination, Snapshot};
use tollgate_routing::{Considered, Scratch};
use tollgate_upstream::{PickKey, View};

/// How many losing routes are told; with very many routes the rest is counted.
const ROUTES_TOLD: usize = 50;

/// A request that nobody sent.
#[derive(Clone, Debug)]
pub struct MadeUpRequest {
    /// The method.
    pub method: String,
    /// The target as it would stand in the request line.
    pub target: String,
    /// Fields, `Host` included.
    pub fields: Vec<(String, String)>,
    /// The number that random choices are made from.
    pub seed: u64,
}

/// How it would be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The host, path and query that routes are matched with; `None` if the request is refused before.
    pub matched_as: Option<(String, String, String)>,
    /// Each route that was looked at, in order of precedence: its name and what became of it.
    pub routes: Vec<(String, String)>,
    /// How many further routes did not match either.
    pub routes_left_out: usize,
    /// The route's name.
    pub route: Option<String>,
    /// What the route does.
    pub action: Option<String>,
    /// Each endpoint of the chosen upstream: its name, and whether it can be picked.
    pub endpoints: Vec<(String, String)>,
    /// The endpoint that would be picked first.
    pub endpoint: Option<String>,
    /// Why the exchange would end in an answer from Tollgate; `None` if it would be forwarded.
    pub refusal: Option<(Reason, String)>,
}

/// Decides a made-up request on a snapshot, at `now_ms`, with the endpoints' health as it is now.
pub fn explain(snapshot: &Snapshot, request: &MadeUpRequest, now_ms: u64) -> Explanation {
    let mut explanation = Explanation {
        matched_as: None,
        routes: Vec::new(),
        routes_left_out: 0,
        route: None,
        action: None,
        endpoints: Vec::new(),
        endpoint: None,
        refusal: None,
    };
    if let Err(refusal) = walk(snapshot, request, now_ms, &mut explanation) {
        let detail = refusal.detail.unwrap_or(refusal.reason.explanation()).to_owned();
        explanation.refusal = Some((refusal.reason, detail));
    }
    explanation
}

fn walk(
    snapshot: &Snapshot,
    made_up: &MadeUpRequest,
    now_ms: u64,
    told: &mut Explanation,
) -> Result<(), Refusal> {
    let bytes = wire_form(made_up);
    let mut fields = FieldList::default();
    let line = match request::parse(&bytes, &snapshot.http.request_head, &mut fields) {
        Ok(Progress::Complete(line)) if line.end == bytes.len() => line,
        Ok(_) => return Err(Reason::BadRequestLine.into()),
        Err(malformed) => return Err(malformed.as_request_reason().into()),
    };
    let head = line.view(&bytes, &fields);
    let (mut path, mut host) = (Vec::new(), Vec::new());
    let options = ConnectionOptions::of(&head.fields);
    let (identity, body) = check(&head, options, snapshot, &mut path, &mut host)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    told.matched_as =
        Some((text(identity.host), text(identity.path), text(identity.query.unwrap_or_default())));
    let view = identity.view(&head);
    tell_routes(&snapshot.table.explain(&view), told);
    let found = decide::route(snapshot, &view, &mut Scratch::default())?;
    let route = &snapshot.routes[found.route as usize];
    told.route = Some(route.name.clone());
    told.action = Some(describe(snapshot, &route.action));
    check_route(snapshot, found, body)?;
    if let Action::Forward(destination) = &route.action {
        tell_endpoints(snapshot, destination, made_up.seed, now_ms, told)?;
    }
    Ok(())
}

fn wire_form(request: &MadeUpRequest) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    for (name, value) in &request.fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn tell_routes(considered: &[Considered<'_>], told: &mut Explanation) {
    let shown = considered.iter().take(ROUTES_TOLD);
    told.routes = shown.map(|c| (c.name.to_owned(), c.outcome.to_string())).collect();
    told.routes_left_out = considered.len().saturating_sub(ROUTES_TOLD);
}

fn describe(snapshot: &Snapshot, action: &Action) -> String {
    let name =
        |index: &u32| snapshot.upstreams.get(*index as usize).map_or(String::new(), |u| u.name().to_string());
    match action {
        Action::Forward(Destination::Upstream(index)) => format!("forward to the upstream {}", name(index)),
        Action::Forward(Destination::Split(shares)) => {
            let mut before = 0;
            let shares = shares.iter().map(|(sum, index)| {
                let weight = sum - std::mem::replace(&mut before, *sum);
                format!("{} {weight}", name(index))
            });
            format!("split over {}", shares.collect::<Vec<_>>().join(", "))
        }
        Action::Redirect { status, .. } => format!("redirect with {status}"),
        Action::Respond(response) => format!("respond with {}", response.status),
    }
}

fn tell_endpoints(
    snapshot: &Snapshot,
    destination: &Destination,
    seed: u64,
    now_ms: u64,
    told: &mut Explanation,
) -> Result<(), Refusal> {
    let index = decide::upstream(destination, seed)?;
    let upstream = snapshot.upstreams.get(index as usize).ok_or(Reason::NoDestination)?;
    let mut view = View::default();
    view.refresh(upstream, now_ms);
    for (number, endpoint) in (0..).zip(upstream.endpoints()) {
        let state = match view.exclusion(number) {
            None => {
                format!("can be picked, weight {}, {} requests now", endpoint.weight(), endpoint.in_flight())
            }
            Some(exclusion) if view.is_panicking() && !exclusion.is_meant() => {
                format!("{exclusion}, but too few others are left, so it is used")
            }
            Some(exclusion) => exclusion.to_string(),
        };
        told.endpoints.push((format!("{} {}", upstream.name(), endpoint.name()), state));
    }
    let picked = decide::endpoint(upstream, &view, &PickKey { turn: seed, seed, tried: &[] })?;
    told.endpoint = upstream.endpoint(picked).map(|e| e.name().to_string());
    Ok(())
}

impl Explanation {
    /// For programs.
    pub fn to_json(&self) -> Json {
        let pairs = |pairs: &[(String, String)], key: &str, value: &str| -> Vec<Json> {
            pairs.iter().map(|(k, v)| json!({ key: k, value: v })).collect()
        };
        json!({
            "matched_as": self.matched_as.as_ref().map(|(host, path, query)| json!({ "host": host, "path": path, "query": query })),
            "routes": pairs(&self.routes, "route", "outcome"),
            "routes_left_out": self.routes_left_out,
            "route": self.route,
            "action": self.action,
            "endpoints": pairs(&self.endpoints, "endpoint", "state"),
            "endpoint": self.endpoint,
            "reason": self.refusal.as_ref().map(|(reason, _)| reason.code()),
            "status": self.refusal.as_ref().map(|(reason, _)| reason.status()),
            "detail": self.refusal.as_ref().map(|(_, detail)| detail),
        })
    }
}

/// For people.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((host, path, query)) = &self.matched_as {
            writeln!(
                f,
                "matched as  host {}, path {path}{}",
                or_none(host),
                if query.is_empty() { String::new() } else { format!(", query {query}") }
            )?;
        }
        if !self.routes.is_empty() {
            writeln!(f, "routes      by precedence:")?;
            let width = self.routes.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, outcome) in &self.routes {
                let mark = if outcome == "matched" { "->" } else { "  " };
                writeln!(f, "         {mark} {name:width$}  {outcome}")?;
            }
            if self.routes_left_out > 0 {
                writeln!(f, "            and {} more", self.routes_left_out)?;
            }
        }
        if let (Some(route), Some(action)) = (&self.route, &self.action) {
            writeln!(f, "route       {route}: {action}")?;
        }
        for (endpoint, state) in &self.endpoints {
            writeln!(f, "endpoint    {endpoint}: {state}")?;
        }
        if let Some(endpoint) = &self.endpoint {
            writeln!(f, "pick        {endpoint}")?;
        }
        match &self.refusal {
            Some((reason, detail)) => {
                writeln!(f, "answer      {} {}: {detail}", reason.status(), reason.code())
            }
            None => Ok(()),
        }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}
