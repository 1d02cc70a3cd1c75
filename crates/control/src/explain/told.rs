//! How a decision is told: for people and for programs.

use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_decision::Reason;
use tollgate_proxy::http::Refusal;

use super::{Explanation, Head, PolicyTold};

impl Explanation {
    pub(super) fn end(mut self, ended: Result<(), Refusal>) -> Self {
        self.refusal = ended.err().map(|refusal| {
            (refusal.reason, refusal.detail.unwrap_or(refusal.reason.explanation()).to_owned())
        });
        self
    }

    /// Status and reason of the answer that Tollgate gives; `None` where it is forwarded.
    pub fn answer(&self) -> Option<(u16, Reason)> {
        let answered = self.answers.as_ref().map(|answered| (answered.status, answered.reason));
        answered.or_else(|| self.refusal.as_ref().map(|(reason, _)| (reason.status(), *reason)))
    }

    /// The choices of endpoints, for programs.
    pub(crate) fn picks_to_json(&self) -> Json {
        let picks = self.picks.iter().map(|pick| {
            let endpoints = pick.endpoints.iter();
            let endpoints = endpoints.map(|(name, state)| json!({ "endpoint": name, "state": state }));
            json!({ "endpoints": endpoints.collect::<Vec<_>>(), "endpoint": pick.endpoint, "by": pick.by, "session": pick.session })
        });
        picks.collect()
    }

    /// The first choice of an endpoint.
    fn first(&self) -> (&[(String, String)], Option<&str>) {
        self.picks.first().map_or((&[], None), |pick| (&pick.endpoints, pick.endpoint.as_deref()))
    }

    /// For programs.
    pub fn to_json(&self) -> Json {
        let pairs = |pairs: &[(String, String)], key: &str, value: &str| -> Vec<Json> {
            pairs.iter().map(|(k, v)| json!({ key: k, value: v })).collect()
        };
        let (endpoints, endpoint) = self.first();
        json!({
            "matched_as": self.matched_as.as_ref().map(|(host, path, query)| json!({ "host": host, "path": path, "query": query })),
            "routes": pairs(&self.routes, "route", "outcome"),
            "routes_left_out": self.routes_left_out,
            "route": self.route,
            "action": self.action,
            "policies": self.policies.iter().map(PolicyTold::to_json).collect::<Vec<_>>(),
            "consumer": self.consumer,
            "mirrors": self.mirrors,
            "endpoints": pairs(endpoints, "endpoint", "state"),
            "endpoint": endpoint,
            "picked_by": self.picks.first().and_then(|pick| pick.by.as_deref()),
            "session": self.picks.first().and_then(|pick| pick.session.as_deref()),
            "reason": self.answer().map(|(_, reason)| reason.code()),
            "status": self.answer().map(|(status, _)| status),
            "detail": self.refusal.as_ref().map(|(_, detail)| detail),
            "upstream": self.upstream,
            "overload": self.overload,
            "sends": self.sends.as_ref().map(Head::to_json),
            "answer": self.answers.as_ref().map(|answered| answered.head.to_json()),
        })
    }
}

/// For people.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell_route(f)?;
        for told in &self.overload {
            writeln!(f, "upstream    {}: {told}", self.upstream.as_deref().unwrap_or_default())?;
        }
        let (endpoints, picked) = self.first();
        for (endpoint, state) in endpoints {
            writeln!(f, "endpoint    {endpoint}: {state}")?;
        }
        if let Some(endpoint) = picked {
            match self.picks.first().and_then(|pick| pick.by.as_deref()) {
                Some(by) => writeln!(f, "pick        {endpoint}, by {by}")?,
                None => writeln!(f, "pick        {endpoint}")?,
            }
        }
        if let Some(session) = self.picks.first().and_then(|pick| pick.session.as_deref()) {
            writeln!(f, "session     {session}")?;
        }
        if let Some(head) = &self.sends {
            writeln!(f, "sends       {}", head.line)?;
            head.tell_fields(f)?;
        }
        if let Some((status, reason)) = self.answer() {
            let detail = self.refusal.as_ref().map_or("", |(_, detail)| detail);
            let colon = if detail.is_empty() { "" } else { ": " };
            writeln!(f, "answer      {status} {}{colon}{detail}", reason.code())?;
        }
        self.answers.as_ref().map_or(Ok(()), |answered| answered.head.tell_fields(f))
    }
}

impl Explanation {
    /// For people: up to the route.
    pub(crate) fn tell_route(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        for policy in &self.policies {
            writeln!(f, "policy      {policy}")?;
        }
        if let Some(consumer) = &self.consumer {
            writeln!(f, "consumer    {consumer}")?;
        }
        self.mirrors.iter().try_for_each(|mirror| writeln!(f, "mirror      {mirror}"))
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}
