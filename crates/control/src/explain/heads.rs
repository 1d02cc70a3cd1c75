//! The heads that a request comes to that nobody sent: the one that would go on, or the one of the answer.

use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_decision::Reason;
use tollgate_message::Method;
use tollgate_policy::{Gate, Passed};
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::Understood;
use tollgate_proxy::decide::gate::{Arrival, Judged};
use tollgate_proxy::decide::written::{self, Routed};
use tollgate_proxy::http::Refusal;
use tollgate_proxy::snapshot::Action;
use tollgate_routing::Found;

use super::Explanation;

/// The head of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its first line.
    pub line: String,
    /// Its fields, in their order.
    pub fields: Vec<(String, String)>,
}

/// An answer that Tollgate would give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Its head.
    pub head: Head,
}

impl Head {
    /// Reads what was written; a body behind it is not looked at.
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(": ").or_else(|| line.split_once(':')));
        Self { line, fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// The value of a field, those of several lines as a list (RFC 9110 section 5.2).
    pub fn value(&self, name: &str) -> Option<String> {
        let lines = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let values: Vec<&str> = lines.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// For programs.
    pub fn to_json(&self) -> Json {
        let fields = self.fields.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        json!({ "line": self.line, "fields": fields.collect::<Vec<_>>() })
    }

    /// Its fields for people, a line each.
    pub(super) fn tell_fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.iter().try_for_each(|(name, value)| writeln!(f, "            {name}: {value}"))
    }
}

impl Answered {
    /// The answer for a refusal.
    pub(super) fn refusal(
        refusal: Refusal,
        method: Method,
        arrival: &Arrival<'_>,
        gate: Option<&Gate>,
    ) -> Self {
        let head = Head::of(&written::refusal(refusal, method, arrival, gate));
        Self { status: refusal.reason.status(), reason: refusal.reason, head }
    }
}

/// What comes of a request that has a route: the answer or the head that goes on, and what the route's policies
/// leave behind.
pub(super) fn tell(
    snapshot: &Snapshot,
    found: Found,
    understood: &Understood<'_>,
    arrival: &Arrival<'_>,
    judged: Option<Judged>,
    told: &mut Explanation,
) -> Result<Option<Gate>, Refusal> {
    let Some(route) = snapshot.routes.get(found.route as usize) else { return Ok(None) };
    let method = understood.head.method;
    let (passed, mut gate) = judged.map_or((Passed::On, None), |judged| (judged.passed, Some(judged.gate)));
    match passed {
        Passed::Refused(refused) => {
            if let Some(gate) = &mut gate {
                written::say_when_again(&refused, gate);
            }
            let refusal = refused.reason.into();
            told.answers = Some(Answered::refusal(refusal, method, arrival, gate.as_ref()));
            return Err(refusal);
        }
        Passed::Answered(answer) => {
            let reason = answer.reason.unwrap_or(Reason::FixedResponse);
            let head = Head::of(&written::policy(&answer, method, arrival, gate.as_ref()));
            told.answers = Some(Answered { status: answer.status, reason, head });
            return Err(reason.into());
        }
        Passed::On | Passed::Waits(_) => {}
    }
    let matched = found.matched as usize;
    let routed = Routed { snapshot, route, matched, understood, arrival, gate: gate.as_ref() };
    let own = match &route.action {
        Action::Forward(_) => None,
        Action::Redirect { status, .. } => Some((*status, Reason::Redirect)),
        Action::Respond(response) => Some((response.status, Reason::FixedResponse)),
    };
    match own.zip(routed.own_answer()) {
        Some(((status, reason), bytes)) => {
            told.answers = Some(Answered { status, reason, head: Head::of(&bytes) });
        }
        None => told.sends = Some(Head::of(&routed.request())),
    }
    Ok(gate)
}
