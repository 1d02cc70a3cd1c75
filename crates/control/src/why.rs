//! Why a past exchange ended as it did: what was recorded of it, and its decisions made again and told.

mod carried;
mod cause;
mod mirrored;
mod overload;
mod place;
pub(crate) mod request;
mod secured;
mod setting;

use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tollgate_decision::{Attempt, Queued, Reason};
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::verify;
use tollgate_proxy::mirroring::board::Differing;
use tollgate_proxy::recorder::{Entry, TracePlace};
use tollgate_runtime::date;
use tollgate_telemetry::trace::SpanId;

use crate::explain::{Explanation, explain_recorded};
use crate::recorders::Recorded;
pub use mirrored::MirrorTold;
pub use request::RequestTold;

/// What of a request is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// The values of the query too, which may hold secrets.
    pub query: bool,
}

/// Why a past exchange ended as it did.
#[derive(Clone, Debug)]
pub struct Why {
    /// The cause in one sentence.
    pub cause: String,
    /// The request id.
    pub request_id: String,
    /// When it began, by the wall clock.
    pub began: Duration,
    /// Who asked, on which listener: the client's address, the peer's where it is another, the listener's name.
    pub client: (String, Option<String>, String),
    /// The request, with secrets hidden; `None` for a connection that was refused or carried as it is.
    pub request: Option<RequestTold>,
    /// Its place in a distributed trace, if it has one.
    pub trace: Option<TracePlace>,
    /// Why the exchange ended.
    pub reason: Reason,
    /// What the client got.
    pub answer: Answer,
    /// What happened when, in microseconds since the exchange began.
    pub timeline: Vec<(u64, String)>,
    /// Each attempt.
    pub attempts: Vec<AttemptTold>,
    /// The names of the route and the upstream that were chosen.
    pub chosen: (Option<String>, Option<String>),
    /// The decisions, made again; `None` where there was none to make or its snapshot is gone.
    pub explanation: Option<Explanation>,
    /// The number of the snapshot it was decided on.
    pub snapshot: u64,
    /// What is wrong with this account, if something is.
    pub doubt: Option<String>,
    /// Why it was kept: `failed`, `slow` or `sample`.
    pub kept_as: &'static str,
}

/// What the client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 where there was none.
    pub status: u16,
    /// Who made it.
    pub by: String,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// Body bytes received from the client.
    pub received: u64,
    /// How long the whole exchange took, in microseconds.
    pub total_us: u64,
    /// How those of mirrors differed from it.
    pub mirrors: Vec<MirrorTold>,
}

/// One attempt as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptTold {
    /// The endpoint's name.
    pub endpoint: String,
    /// Why it was made.
    pub because: String,
    /// How it ended.
    pub ended: String,
    /// Its span in the exchange's trace, if that is exported.
    pub span: Option<SpanId>,
    /// Its times and status.
    pub facts: Attempt,
}

/// Tells about a recorded exchange. With its snapshot all decisions are told; without, what was recorded.
pub fn why(recorded: &Recorded, snapshot: Option<&Snapshot>, show: Show) -> Why {
    let entry = &*recorded.entry;
    let mut explanation = snapshot.filter(|_| has_decisions(entry)).map(|s| explain_recorded(s, entry));
    if let Some((_, _, query)) = explanation.as_mut().and_then(|e| e.matched_as.as_mut()) {
        *query = request::query_shown(query, show);
    }
    let doubt = match (snapshot, &entry.head) {
        (Some(snapshot), _) => verify(snapshot, entry).err().map(|divergence| {
            format!("its decisions do not come out the same again ({divergence}): please report this")
        }),
        (None, _) if has_decisions(entry) => Some(format!(
            "snapshot {} is gone, so routes and endpoints that were not chosen cannot be told",
            entry.snapshot_number
        )),
        (None, _) => None,
    };
    let attempts = attempts(entry);
    let answer = answer(entry);
    Why {
        cause: cause::sentence(entry, &attempts, explanation.as_ref(), snapshot),
        request_id: String::from_utf8_lossy(&entry.request_id).into_owned(),
        began: entry.began,
        client: (
            entry.client.address.to_string(),
            (entry.client.peer != entry.client.address).then(|| entry.client.peer.to_string()),
            entry.names.listener.clone(),
        ),
        request: entry.head.as_deref().map(|head| RequestTold::new(head, show)),
        trace: entry.trace.clone(),
        reason: entry.reason(),
        timeline: timeline(entry, &attempts, &answer),
        answer,
        attempts,
        chosen: (entry.names.route.clone(), entry.names.upstream.as_deref().map(str::to_owned)),
        explanation,
        snapshot: entry.snapshot_number,
        doubt,
        kept_as: recorded.class.label(),
    }
}

/// Whether anything was decided that can be decided again.
fn has_decisions(entry: &Entry) -> bool {
    entry.head.is_some() || entry.record.upstream.is_some()
}

fn answer(entry: &Entry) -> Answer {
    let reason = entry.reason();
    let deciding = entry.record.deciding();
    let last = deciding.and_then(|(number, attempt)| Some((attempt, entry.names.endpoints.get(number)?)));
    let by = match (reason, last) {
        _ if carried::is_carried(entry) => carried::other_end(entry),
        (Reason::Forwarded | Reason::Upgraded, Some((_, endpoint))) => endpoint.to_string(),
        (Reason::Redirect | Reason::FixedResponse, _) => "Tollgate, as the route says".to_owned(),
        (_, Some((attempt, endpoint))) if attempt.status != 0 && attempt.status == entry.status => {
            format!("{endpoint}, but not to its end")
        }
        _ if entry.status == 0 => "nobody".to_owned(),
        _ => "Tollgate".to_owned(),
    };
    Answer {
        status: entry.status,
        by,
        sent: entry.bytes.sent,
        received: entry.bytes.received,
        total_us: entry.timings.total_us,
        mirrors: Vec::new(),
    }
}

fn attempts(entry: &Entry) -> Vec<AttemptTold> {
    let mut before: Option<Attempt> = None;
    let told = entry.record.kept_attempts().enumerate().map(|(number, attempt)| {
        let endpoint = entry.names.endpoints.get(number).map_or_else(String::new, ToString::to_string);
        let elsewhere = entry.record.fallback.filter(|fallback| fallback.after as usize == number);
        let because = match (elsewhere, before.replace(*attempt)) {
            (Some(fallback), _) => {
                let name = entry.names.fallback.as_deref().unwrap_or_default();
                format!("the upstream {name} stands in ({})", fallback.because.code())
            }
            (None, None) => "the first".to_owned(),
            (None, Some(_)) if attempt.beside => {
                "the one before had not answered in time, so this one was made beside it".to_owned()
            }
            (None, Some(failed)) if is_stale(&failed) => {
                "the idle connection of the one before had been closed unseen, which counts as no attempt"
                    .into()
            }
            (None, Some(failed)) => format!(
                "the one before failed ({}) and repeating was safe",
                failed.outcome.map_or("unknown", Reason::code)
            ),
        };
        let ended = match attempt.outcome {
            None => "not ended when the exchange was".to_owned(),
            Some(reason) if attempt.status != 0 && !reason.is_failure() => {
                format!("answered {}", attempt.status)
            }
            Some(reason) if attempt.status != 0 => {
                format!("answered {}, then {}", attempt.status, reason.code())
            }
            Some(reason) => reason.code().to_owned(),
        };
        let span = entry.trace.as_ref().and_then(|trace| trace.attempts.get(number).copied());
        AttemptTold { endpoint, because, ended, span, facts: *attempt }
    });
    told.collect()
}

/// Whether an attempt met an idle connection that had ended unseen.
fn is_stale(attempt: &Attempt) -> bool {
    attempt.reused && attempt.first_byte_us == 0 && attempt.outcome == Some(Reason::UpstreamClosed)
}

fn timeline(entry: &Entry, attempts: &[AttemptTold], answer: &Answer) -> Vec<(u64, String)> {
    let began = match (&entry.head, entry.reason()) {
        (None, _) => carried::beginning(entry),
        (_, Reason::HeadTimeout) => "the head was given up on",
        (Some(head), Reason::ClientClosed) if place::is_cut(head) => "a part of the head had come",
        _ => "the head had come",
    };
    let mut steps = vec![(0, began.to_owned())];
    if let Some(queued) = entry.record.queued {
        let Queued { position, length, waited_us } = queued;
        let told = format!(
            "waited for its turn for {}: {length} waited when it came, {position} before it",
            millis(waited_us)
        );
        steps.push((waited_us, told));
    }
    if entry.record.held_us > 0 {
        let held = format!("held for {}: there was no endpoint", millis(entry.record.held_us));
        steps.push((entry.record.held_us.min(attempts.first().map_or(u64::MAX, |a| a.facts.start_us)), held));
    }
    for (number, AttemptTold { endpoint, ended, facts, .. }) in (1..).zip(attempts) {
        let waited = match facts.waited_us {
            0 => String::new(),
            us => format!(", {} after the one before", millis(us)),
        };
        steps.push((facts.start_us, format!("attempt {number} at {endpoint}{waited}")));
        if facts.reused {
            steps.push((facts.start_us, "an idle connection was taken".to_owned()));
        } else if facts.connect_us > 0 && facts.end_us > facts.start_us + facts.connect_us {
            let connected = format!("connected in {}", millis(facts.connect_us));
            steps.push((facts.start_us + facts.connect_us, connected));
        }
        if facts.first_byte_us > 0 {
            let of = if entry.head.is_some() { "of the response" } else { "from the endpoint" };
            steps.push((facts.first_byte_us, format!("first byte {of}")));
        }
        if facts.end_us > 0 {
            steps.push((facts.end_us, format!("attempt {number} ended: {ended}")));
        }
    }
    let end = match answer.status {
        _ if carried::is_carried(entry) => carried::end(entry),
        0 => format!("ended without an answer: {}", entry.reason().code()),
        status => format!("ended with {status} from {}", answer.by),
    };
    steps.push((entry.timings.total_us, end));
    steps
}

/// A time for people: milliseconds, three digits behind the point.
fn millis(us: u64) -> String {
    format!("{}.{:03}ms", us / 1000, us % 1000)
}

impl Why {
    /// With how the answers of mirrors differed from what the client got.
    #[must_use]
    pub fn beside<'m>(mut self, mirrors: impl IntoIterator<Item = &'m Differing>) -> Self {
        self.answer.mirrors = mirrors.into_iter().map(MirrorTold::new).collect();
        self
    }

    /// For programs.
    pub fn to_json(&self) -> Json {
        let attempts = self.attempts.iter().map(|AttemptTold { endpoint, because, ended, span, facts }| {
            json!({
                "endpoint": endpoint,
                "because": because,
                "ended": ended,
                "span_id": span.map(|span| span.to_string()),
                "reason": facts.outcome.map(Reason::code),
                "status": (facts.status != 0).then_some(facts.status),
                "reused": facts.reused,
                "waited_us": facts.waited_us,
                "start_us": facts.start_us,
                "connect_us": facts.connect_us,
                "first_byte_us": (facts.first_byte_us != 0).then_some(facts.first_byte_us),
                "end_us": facts.end_us,
            })
        });
        let timeline = self.timeline.iter().map(|(at, what)| json!({ "at_us": at, "what": what }));
        json!({
            "cause": self.cause,
            "request_id": self.request_id,
            "began": date::rfc3339(self.began),
            "client": { "address": self.client.0, "peer": self.client.1, "listener": self.client.2 },
            "request": self.request.as_ref().map(RequestTold::to_json),
            "trace": self.trace.as_ref().map(|TracePlace { context, .. }| json!({
                "trace_id": context.trace_id.to_string(),
                "span_id": context.span_id.to_string(),
                "sampled": context.sampled,
            })),
            "reason": self.reason.code(),
            "end": self.reason.side().label(),
            "answer": {
                "status": (self.answer.status != 0).then_some(self.answer.status),
                "by": self.answer.by,
                "bytes_sent": self.answer.sent,
                "bytes_received": self.answer.received,
                "total_us": self.answer.total_us,
            },
            "mirrors": self.answer.mirrors.iter().map(MirrorTold::to_json).collect::<Vec<_>>(),
            "timeline": timeline.collect::<Vec<_>>(),
            "attempts": attempts.collect::<Vec<_>>(),
            "route": self.chosen.0,
            "upstream": self.chosen.1,
            "decisions": self.explanation.as_ref().map(Explanation::to_json),
            "picks": self.explanation.as_ref().map(Explanation::picks_to_json),
            "snapshot": self.snapshot,
            "doubt": self.doubt,
            "kept_as": self.kept_as,
        })
    }
}

/// For people.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.cause)?;
        writeln!(f, "request     {}  {}", self.request_id, date::rfc3339(self.began))?;
        let (client, peer, listener) = &self.client;
        let through = peer.as_ref().map_or_else(String::new, |peer| format!(" through {peer}"));
        writeln!(f, "client      {client}{through}, listener {listener}")?;
        if let Some(request) = &self.request {
            write!(f, "{request}")?;
        }
        if let Some(TracePlace { context, .. }) = &self.trace {
            let unsampled = if context.sampled { "" } else { ", not sampled" };
            writeln!(f, "trace       {}, span {}{unsampled}", context.trace_id, context.span_id)?;
        }
        let code = self.reason.code();
        match self.answer.status {
            0 if self.request.is_none() => writeln!(f, "end         {code}, with {}", self.answer.by)?,
            0 => writeln!(f, "answer      none; {code}")?,
            status => writeln!(f, "answer      {status} from {}; {code}", self.answer.by)?,
        }
        self.answer.mirrors.iter().try_for_each(|mirror| write!(f, "{mirror}"))?;
        let carried = if self.request.is_some() { "bodies" } else { "bytes " };
        writeln!(f, "{carried}      {} bytes received, {} sent", self.answer.received, self.answer.sent)?;
        writeln!(f, "timeline")?;
        for (at, what) in &self.timeline {
            writeln!(f, "{:>14}  {what}", millis(*at))?;
        }
        match (&self.explanation, &self.chosen) {
            (Some(explanation), _) => {
                explanation.tell_route(f)?;
                self.tell_attempts(f, explanation)?;
            }
            (None, (route, upstream)) => {
                for (what, name) in [("route", route), ("upstream", upstream)] {
                    if let Some(name) = name {
                        writeln!(f, "{what:<12}{name}")?;
                    }
                }
                self.tell_attempts(f, &Explanation::default())?;
            }
        }
        writeln!(f, "kept as     {}, snapshot {}", self.kept_as, self.snapshot)?;
        self.doubt.as_ref().map_or(Ok(()), |doubt| writeln!(f, "doubt       {doubt}"))
    }
}

impl Why {
    /// Each attempt, or each question to a balancer, with the endpoints as they were at that moment.
    fn tell_attempts(&self, f: &mut fmt::Formatter<'_>, explanation: &Explanation) -> fmt::Result {
        let count = self.attempts.len().max(explanation.picks.len());
        for number in 0..count {
            match self.attempts.get(number) {
                Some(told) => {
                    writeln!(f, "attempt {}   {}: {}", number + 1, told.endpoint, told.ended)?;
                    writeln!(f, "            made since: {}", told.because)?;
                    if let Some(span) = told.span {
                        writeln!(f, "            span {span}")?;
                    }
                }
                None => writeln!(f, "attempt {}   not made: there was no endpoint to pick", number + 1)?,
            }
            if let Some(pick) = explanation.picks.get(number) {
                for (endpoint, state) in &pick.endpoints {
                    writeln!(f, "            {endpoint}: {state}")?;
                }
                if let Some(by) = &pick.by {
                    writeln!(f, "            picked by {by}")?;
                }
                if let Some(session) = &pick.session {
                    writeln!(f, "            {session}")?;
                }
            }
        }
        Ok(())
    }
}
